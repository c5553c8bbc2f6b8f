"""One attack on the lanes of a cohort: its scenario, its run, its scores."""

import contextlib
import functools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from gpz_jax import checkpoints
from gpz_jax.attacks.activation import interception, scores
from gpz_jax.attacks.activation.cohorts import AttackLane, subsets
from gpz_jax.attacks.activation.interception import Activations, Intercepted
from gpz_jax.attacks.activation.protocol import Attack, Outcome, Scenario
from gpz_jax.evaluators import Evaluator
from gpz_jax.study.events import name_run
from gpz_jax.study.session import Session
from gpz_jax.study.snapshots import SnapshotStore
from gpz_jax.sweep import memory, recognition
from gpz_jax.sweep.plan import Plan, Shape
from gpz_jax.training.loop import Trainer
from gpz_jax.types import InputError

NUM_SAMPLES = 8  # test images shown in the report
AUX_SCORES = ('mse', 'psnr', 'mse_paper', 'psnr_paper')


def intercept(
  session: Session[Plan], lanes: Sequence[AttackLane], targets
) -> Intercepted:
  """What an attacker of lanes of one activation shape sees."""
  plan = session.plan
  shape = plan.shapes[lanes[0].split].shape
  place = memory.choose_place(plan, shape, len(lanes))
  keep = functools.partial(_intercept, session, lanes, targets, place)
  aux, test = keep('aux', plan.task.aux.image), keep('test', plan.task.test.image)
  return Intercepted(aux, test, place)


def _intercept(
  session: Session[Plan],
  lanes: Sequence[AttackLane],
  targets,
  place: interception.Place,
  name: str,
  images: np.ndarray,
  **options: Any,
) -> Activations:
  """The activations of some images; the name is that of their file on disk."""
  plan = session.plan
  return interception.intercept(
    plan.model,
    targets.best.variables,
    lanes,
    images,
    memory.activation_dtype(plan, plan.shapes[lanes[0].split].shape),
    bits=plan.config.payload_bits,
    engine=session.engine,
    place=place,
    path=session.workdir.activations / f'{name}.npy',
    **options,
  )


def make_scenario(
  session: Session[Plan],
  lanes: Sequence[AttackLane],
  intercepted: Intercepted,
  targets,
  **options: Any,
) -> Scenario:
  """What an attack on `lanes` is handed; the options are further fields of it."""
  plan, config = session.plan, session.plan.config
  train, held_out = subsets(plan.task, config.selection)
  aux, shape = intercepted.aux, plan.task.image_shape

  def redraw(number: int) -> Activations:
    given = session, lanes, targets, intercepted.place, 'redrawn', train.image
    return _intercept(*given, number=number, known=aux)

  is_drawn = any(interception.draws(plan.model, lane, shape) for lane in lanes)
  return Scenario(
    model=plan.model,
    targets=targets.best.variables,
    lanes=lanes,
    intercepted=intercepted,
    train=train,
    held_out=held_out,
    held_out_activations=(
      intercepted.test if config.selection == 'test' else aux[:, len(train) :]
    ),
    test=plan.task.test,
    decoder_recipe=config.make_decoder_recipe(),
    target_recipe=config.make_target_recipe(),
    engine=session.engine,
    order_seed=config.data_seed,
    redraw=redraw if is_drawn else None,
    **options,
  )


class Run:
  """One attack on some lanes, with the snapshots of its trainings."""

  def __init__(self, session: Session[Plan], attack: Attack, shape: Shape):
    self.session, self.attack = session, attack
    self.cohort = cohort_name(shape)
    self._stores: list[SnapshotStore] = []

  @property
  def changed(self) -> list[str]:
    """The conditions that changed while it ran."""
    return [store.changed for store in self._stores]

  def run(
    self,
    lanes: Sequence[AttackLane],
    intercepted: Intercepted,
    targets,
    trainer: Trainer | None,
  ) -> tuple[Outcome, dict[str, Any], np.ndarray]:
    """Attacks the lanes and saves what the attack leaves.

    Returns:
      What was found, its scores (column -> [L]) and the reconstructions
      [L, n, H, W, C] that are shown.

    Raises:
      InputError: The attack refuses what it is given, or makes no images.
    """
    fingerprint = make_fingerprint(intercepted.aux)
    scenario = make_scenario(
      self.session,
      lanes,
      intercepted,
      targets,
      phase=self._phase,
      snapshots=functools.partial(self._snapshots, fingerprint),
      trainer=trainer,
    )
    try:
      outcome = self.attack.run(scenario)
      found = score(outcome, scenario, self.session.plan.judge)
    except InputError as error:  # of several attacks it says nothing else which
      raise InputError(f'attack {self.attack.text}: {error}') from error
    if outcome.history is not None:
      runs = [name_run(each.lane, each.split) for each in lanes]
      self.session.events.write(f'decoder {self.attack.text}', runs, outcome.history)
    if outcome.saved is not None:
      folder = self.session.workdir.decoders / self._folder(lanes)
      checkpoints.save(folder, outcome.saved, self._identity(lanes))
    return outcome, found, make_samples(outcome)

  def drop_snapshots(self) -> None:
    """Removes the snapshots, once the rows are written."""
    for store in self._stores:
      store.drop()

  def _phase(self, name: str) -> contextlib.AbstractContextManager:
    title = f'{self.cohort} {self.attack.text}: {name}'
    return self.session.progress.phase(title)

  def _snapshots(
    self, fingerprint: str, part: str, lanes: Sequence[AttackLane]
  ) -> SnapshotStore:
    identity = self._identity(lanes) | {'part': part, 'sent': fingerprint}
    store = self.session.snapshots(self._folder(lanes, part), **identity)
    self._stores.append(store)
    return store

  def _identity(self, lanes: Sequence[AttackLane]) -> dict[str, Any]:
    return {'lanes': [lane.name for lane in lanes], 'attack': self.attack.text}

  def _folder(self, lanes: Sequence[AttackLane], part: str = '') -> str:
    workdir = self.session.workdir
    return workdir.training(self.cohort, lanes[0].name, self.attack.text, part)


def score(
  outcome: Outcome, scenario: Scenario, judge: Evaluator | None = None
) -> dict[str, Any]:
  """The scores of an attack, column of results -> [L]."""
  engine, test = scenario.engine, scenario.test.image[: outcome.n_test]
  nothing = np.full(len(scenario.lanes), math.nan)  # where no image was learned from
  on_aux = dict.fromkeys(AUX_SCORES, nothing)
  if outcome.on_train is not None:
    on_aux = scores.evaluate(scenario.train.image, outcome.on_train, engine)
  witness = recognition.Witness(outcome, scenario, judge)
  on_test = scores.evaluate(test, witness.rebuild, engine)
  return {
    **{f'test_{name}': value for name, value in on_test.items()},
    **{f'aux_{name}': on_aux[name] for name in AUX_SCORES},
    'recognised': witness.share(),
    'judge_recognised': witness.judged_share(),
  }


def make_samples(outcome: Outcome) -> np.ndarray:
  """The first reconstructions [L, n, H, W, C], for the report."""
  ((rows, mask),) = interception.chunks(min(NUM_SAMPLES, outcome.n_test))
  return np.asarray(outcome.on_test(rows))[:, mask == 1]


def make_fingerprint(activations: Activations) -> str:
  """A checksum of what is trained on: other targets send other activations."""
  first = np.asarray(activations[:, 0])
  return checkpoints.checksums(first)['']


def cohort_name(shape: Shape) -> str:
  """The name of a cohort as in the rows: 4x4x128."""
  return 'x'.join(map(str, shape))
