"""The attacks on lanes whose activations have one shape, up to their rows."""

import collections
import math
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import numpy as np

from gpz_jax import metrics, results
from gpz_jax.attacks.activation.cohorts import AttackLane
from gpz_jax.attacks.activation.interception import Intercepted
from gpz_jax.attacks.activation.protocol import Attack, Outcome
from gpz_jax.study.conditions import conditions
from gpz_jax.study.progress import count, format_seconds
from gpz_jax.study.session import Session
from gpz_jax.sweep import attack as attack_lib
from gpz_jax.sweep import cut_quality, memory
from gpz_jax.sweep.ahead import Ahead, Job
from gpz_jax.sweep.plan import Plan, Shape
from gpz_jax.training import programs
from gpz_jax.training.snapshots import History
from gpz_jax.zone import doubts

Wanted = dict[AttackLane, list[Attack]]


class Cohort:
  """Lanes of one activation shape, attacked chunk by chunk.

  Args:
    session: The running sweep.
    shape: The shape of the activations.
    ahead: What compiles the attacks.
    guess_mse: What the best guess that needs no activation scores on so many of the
      first test images, for the rows.
  """

  def __init__(
    self,
    session: Session[Plan],
    shape: Shape,
    ahead: Ahead,
    guess_mse: Callable[[int], float],
  ):
    self.session, self.plan = session, session.plan
    self.guess_mse = guess_mse
    self.shape, self.ahead = shape, ahead
    self.name = attack_lib.cohort_name(shape)

  def run(self, wanted: Wanted, targets, quality) -> Iterator[list[results.Row]]:
    """Attacks every lane as wanted; yields the rows of each attack as they are there.

    Activations are captured once for all attacks, in chunks that fit the budget.
    """
    chunks = collections.deque(memory.lane_chunks(self.plan, self.shape, list(wanted)))
    try:
      yield from self._run_chunks(chunks, wanted, targets, quality)
    finally:
      shutil.rmtree(self.session.workdir.activations, ignore_errors=True)

  def _run_chunks(
    self, chunks: collections.deque, wanted: Wanted, targets, quality
  ) -> Iterator[list[results.Row]]:
    """One chunk after another; one that is too much for the device is halved."""
    while chunks:
      chunk = chunks.popleft()
      try:
        yield from self._attack_chunk(chunk, wanted, targets, quality)
      except (memory.TooLargeError, jax.errors.JaxRuntimeError) as error:
        is_large = isinstance(error, memory.TooLargeError) or programs.is_exhausted(
          error
        )
        if not is_large or len(chunk) == 1:
          raise
        half = len(chunk) // 2
        self.session.say(
          f'{self.name}: {len(chunk)} lanes do not fit the device; {half} at a time'
        )
        chunks.extendleft((chunk[half:], chunk[:half]))

  def _attack_chunk(
    self, chunk: Sequence[AttackLane], wanted: Wanted, targets, quality
  ) -> Iterator[list[results.Row]]:
    """Every attack wanted of lanes that fit the device together."""
    intercepted = None
    for attack in self.plan.attacked:
      index = [i for i, lane in enumerate(chunk) if attack in wanted[lane]]
      if not index:
        continue
      if intercepted is None:  # an attack may be all that is missing, or none
        intercepted = attack_lib.intercept(self.session, chunk, targets)
      lanes = [chunk[i] for i in index]
      is_part = len(index) < len(chunk)
      seen = intercepted.take(np.array(index)) if is_part else intercepted
      run = attack_lib.Run(self.session, attack, self.shape)
      rows = self._attack(run, lanes, seen, targets, quality)
      for lane in lanes:  # not again, should a later attack run out of memory
        wanted[lane] = [other for other in wanted[lane] if other is not attack]
      yield rows
      run.drop_snapshots()  # not before the rows are written

  def _attack(
    self,
    run: attack_lib.Run,
    lanes: Sequence[AttackLane],
    intercepted: Intercepted,
    targets,
    quality,
  ) -> list[results.Row]:
    """Runs one attack on its lanes and writes what it leaves, but for its rows."""
    began, attack = time.monotonic(), run.attack
    trainer = self.ahead.take(Job(self.shape, attack, len(lanes)))
    if trainer is not None:
      memory.check_fits(trainer)
    outcome, scores, samples = run.run(lanes, intercepted, targets, trainer)
    for lane, images in zip(lanes, samples, strict=True):
      self.session.workdir.save_sample(
        lane.lane.lane_id, lane.split, attack.text, images
      )
    seconds = time.monotonic() - began
    errors = ' '.join(f'{mse:.4f}' for mse in scores['test_mse'])
    self.session.say(
      f'{self.name} {attack.text}: {count(len(lanes), "lane")} in'
      f' {format_seconds(seconds)};'
      f' test MSE {errors}'
    )
    per_lane = {
      **scores,
      'best_epoch': np.broadcast_to(outcome.best_epoch, len(lanes)),
      'steps': np.broadcast_to(outcome.steps, len(lanes)),
      'loss_fall': measure_fall(outcome.history, len(lanes)),
    }
    common = self._common(run, intercepted, outcome) | {
      'wave': len(lanes),
      'wall_seconds': seconds / len(lanes),
    }
    # A decoder may have trained well and still make no image of a test activation.
    is_finite = np.asarray(outcome.is_finite) & np.isfinite(scores['test_mse'])
    rows = [
      self._row(lane, quality, bool(is_finite[i]))
      | {name: value[i] for name, value in per_lane.items()}
      | common
      for i, lane in enumerate(lanes)
    ]
    return [row | {'doubt': doubts.describe_row(row)} for row in rows]

  def _common(
    self, run: attack_lib.Run, intercepted: Intercepted, outcome: Outcome
  ) -> results.Row:
    """What the rows of one attack share."""
    config, task, judge = self.plan.config, self.plan.task, self.plan.judge
    return conditions(self.session.engine) | {
      'dataset': task.name,
      'model_options': self.plan.model_options,
      'finetuned_from': self.plan.finetuned_from,
      'payload_bits': config.payload_bits,
      'guess_mse': self.guess_mse(outcome.n_test),
      'chance_accuracy': metrics.chance_accuracy(task.test.label),
      'aux_dataset': task.aux_name,
      'judge_accuracy': math.nan if judge is None else judge.accuracy,
      'attack': run.attack.text,
      'decoder': outcome.architecture,
      'selection': config.selection,
      'activation_shape': self.name,
      'decoder_params': outcome.num_params,
      'epochs': outcome.epochs,
      'n_test': outcome.n_test,
      'n_aux': outcome.n_train,
      'changed': '; '.join(filter(None, (self.session.changed, *run.changed))),
      'activation_dtype': memory.activation_dtype(self.plan, self.shape).name,
      'cache': intercepted.place,
    }

  def _row(
    self, attack_lane: AttackLane, quality: dict[str, Any], is_finite: bool
  ) -> results.Row:
    """What a lane is, what its split costs and how good its target is."""
    lane, target = attack_lane.lane, attack_lane.target
    is_done = is_finite and quality['is_finite'][target]
    return {
      'model': lane.model,
      **lane.treatment.columns,
      'skips_final': str(quality['skips_final'][target]),
      'seed': lane.seed,
      'split': attack_lane.split,
      'split_index': list(self.plan.shapes).index(attack_lane.split),
      **self.plan.costs[lane.treatment.skips][attack_lane.split],
      'split_module': self.plan.modules[attack_lane.split],
      **cut_quality.columns(quality, target, attack_lane.split),
      'status': 'done' if is_done else 'diverged',
      'lane_id': lane.lane_id,
    }


def measure_fall(history: History | None, num_lanes: int) -> np.ndarray:
  """The share by which each lane's held-out error fell in the last fifth of its epochs.

  Where a fifth is no whole number of epochs, the fall of the nearest number is scaled
  as if the error fell by the same share in each epoch.

  Args:
    history: The history of the attack, with the held-out error `mse` [epochs, L].
    num_lanes: L.

  Returns:
    [L], at least 0; NaN where there is no such history, or only one epoch.
  """
  if history is None or 'mse' not in history or len(history['mse']) < 2:
    return np.full(num_lanes, np.nan)
  best = np.minimum.accumulate(np.asarray(history['mse'], np.float64), axis=0)
  epochs = len(best)
  last = max(1, round(epochs / 5))
  with np.errstate(divide='ignore', invalid='ignore'):
    kept = best[-1] / best[-1 - last]
  return 1 - kept ** (epochs / 5 / last)
