"""The variables of the best few epochs of each target, to compare at equal accuracy.

A defence that costs accuracy is compared fairly with an undefended target of the same
accuracy: with one that was trained for less long. Of each lane those epochs are kept
that were better than all before by half a point, and of them the best few.
"""

import pathlib
import shutil
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gpz_jax import checkpoints, classification
from gpz_jax import targets as targets_lib
from gpz_jax.study.plan import StudyPlan
from gpz_jax.study.workdir import Workdir
from gpz_jax.targets import Targets
from gpz_jax.training import lanes as lanes_lib
from gpz_jax.training.engine import Engine
from gpz_jax.training.snapshots import Values
from gpz_jax.training.state import Best, FitState
from gpz_jax.types import InputError, Lane

Measure = Callable[[Targets], np.ndarray]
LEAST_STEP = 0.005  # of accuracy, by which an epoch is better than those before it


class Kept(NamedTuple):
  """One epoch of one lane."""

  accuracy: float  # on val
  epoch: int  # from 1
  folder: pathlib.Path  # of its checkpoint


def list_kept(folder: pathlib.Path, lane: Lane) -> list[Kept]:
  """The epochs of a lane that are there and intact, the least accurate first."""
  found = []
  for path in sorted(folder.glob(f'{lane.lane_id}-*')):
    meta = checkpoints.read_meta(path)
    if meta is not None:
      found.append(Kept(meta['accuracy'], meta['epoch'], path))
  return sorted(found)


def choose(
  plan: StudyPlan, workdir: Workdir, engine: Engine, targets: Targets
) -> Targets:
  """The targets [L] at the accuracy that is asked for; as they are where none is.

  Args:
    plan: The study.
    workdir: Its workdir, which holds the kept epochs unless targets are borrowed.
    engine: How lanes are computed.
    targets: The targets [L] at their best epochs.

  Raises:
    InputError: A lane has no epoch that was kept.
  """
  config = plan.config
  if config.at_accuracy is None:
    return targets

  def measure(found: Targets) -> np.ndarray:
    found = refresh(plan, engine, found)
    return targets_lib.evaluate(plan.model, found, plan.task.val, engine=engine)[
      'accuracy'
    ]

  source = Workdir(config.targets_from) if config.targets_from else workdir
  return select(
    source.epochs,
    plan.lanes,
    targets,
    config.at_accuracy,
    # What the training measured is of batch-norm averages that lag behind.
    measure if config.bn_refresh else None,
  )


def refresh(plan: StudyPlan, engine: Engine, chosen: Targets) -> Targets:
  """What `choose` gave, with the batch-norm averages that finished targets have."""
  if plan.config.at_accuracy is None or not plan.config.bn_refresh:
    return chosen
  return targets_lib.refresh_batch_norm(
    plan.model, chosen, plan.task.train, engine=engine
  )


class Keeper:
  """Keeps epochs while targets train.

  Args:
    folder: Folder of the checkpoints.
    lanes: The lanes.
    count: How many epochs of each lane are kept; 0 keeps none.
    epochs: The epochs of the training.
  """

  def __init__(
    self, folder: pathlib.Path, lanes: Sequence[Lane], count: int, epochs: int
  ):
    self._folder, self._lanes = folder, lanes
    self._count, self._epochs = count, epochs
    self._errors = np.full(len(lanes), np.nan)
    self._kept: dict[str, list[Kept]] = {}  # by lane id; read from disk once

  def watch(self, values: Values) -> None:
    """Takes the values of an epoch, which come before its states."""
    if 'error' in values:
      self._errors = np.asarray(values['error'])

  def keep(self, epoch: int, states: FitState) -> None:
    """Keeps the lanes that became better in an epoch.

    Args:
      epoch: Its number, from 1.
      states: The states [L] at its end.
    """
    if not self._count:
      return
    for i, lane in enumerate(self._lanes):
      if not classification.is_eligible(lane.treatment, epoch, self._epochs):
        continue
      self._keep_lane(i, lane, epoch, states)

  def _keep_lane(self, i: int, lane: Lane, epoch: int, states: FitState) -> None:
    accuracy = 1 - float(self._errors[i])
    if lane.lane_id not in self._kept:
      self._kept[lane.lane_id] = list_kept(self._folder, lane)
    before = self._kept[lane.lane_id]
    for later in [kept for kept in before if kept.epoch >= epoch]:
      shutil.rmtree(later.folder)  # of a training that went on from an earlier epoch
      before.remove(later)
    if before and not accuracy >= before[-1].accuracy + LEAST_STEP:
      return
    best = Best.create(
      jnp.float32(self._errors[i]),
      epoch,
      jax.device_get(lanes_lib.take(states.train.variables, i)),
    )
    path = self._folder / f'{lane.lane_id}-{epoch:05d}'
    checkpoints.save(path, best, {'accuracy': accuracy, 'epoch': epoch})
    before.append(Kept(accuracy, epoch, path))
    for worst in before[: -self._count]:
      shutil.rmtree(worst.folder)
    del before[: -self._count]


def select(
  folder: pathlib.Path,
  lanes: Sequence[Lane],
  targets: Targets,
  accuracy: float,
  measure: Measure | None = None,
) -> Targets:
  """The targets at the kept epochs whose accuracy on val is nearest to a given one.

  Args:
    folder: Folder of the checkpoints.
    lanes: The lanes of `targets`.
    targets: The targets [L] at their best epochs, whose structure is taken.
    accuracy: The accuracy, in [0, 1].
    measure: Gives the accuracy [L] on val of targets as they will be attacked. Without
      it, what was measured in the training counts.

  Raises:
    InputError: A lane has no epoch that was kept.
  """
  kept = [list_kept(folder, lane) for lane in lanes]
  for lane, own in zip(lanes, kept, strict=True):
    if not own:
      raise InputError(
        f'--at_accuracy={accuracy:g}: {folder} holds no epoch of target {lane}; train'
        ' it with --keep_checkpoints=8, in a new --workdir'
      )
  rounds = [
    [own[min(place, len(own) - 1)] for own in kept]  # a lane may have kept fewer
    for place in range(max(map(len, kept)))
  ]
  if measure is None:
    found = np.array([[each.accuracy for each in chosen] for chosen in rounds])
  else:
    found = np.stack([measure(_restore(chosen, targets)) for chosen in rounds])
  nearest = np.nan_to_num(np.abs(found - accuracy), nan=np.inf).argmin(0)
  return _restore([rounds[place][i] for i, place in enumerate(nearest)], targets)


def _restore(chosen: Sequence[Kept], targets: Targets) -> Targets:
  """The targets [L] at an epoch of each lane."""
  best: list[Any] = []
  for i, kept in enumerate(chosen):
    like = jax.eval_shape(lambda i=i: lanes_lib.take(targets.best, i))
    found = checkpoints.restore(kept.folder, like)
    assert found is not None, 'its plain values were intact'
    best.append(found[0])
  return targets._replace(best=lanes_lib.stack(best))
