"""How good the targets of a study are, and what is said or refused because of it."""

import numpy as np

from gpz_jax import metrics
from gpz_jax import targets as targets_lib
from gpz_jax.models import skip_lanes
from gpz_jax.study.plan import StudyPlan
from gpz_jax.study.session import Session
from gpz_jax.targets import Targets
from gpz_jax.types import InputError

MOST_MISSED = 0.02  # of the accuracy that was asked for


def measure(session: Session, targets: Targets) -> dict[str, np.ndarray]:
  """How good the targets are.

  Returns:
    The accuracy [L] on `val` and `test`; [L] bool `is_finite`, whether the training
    went well; and [L] str `skips_final`, see `skip_lanes.describe_final`.

  Raises:
    Interrupted: A signal came.
  """
  plan = session.plan
  quality: dict[str, np.ndarray] = {
    subset: targets_lib.evaluate(
      plan.model, targets, getattr(plan.task, subset), engine=session.engine
    )['accuracy']
    for subset in ('val', 'test')
  }
  final = [
    skip_lanes.describe_final(
      plan.model, targets.best.variables, i, lane.treatment.skips
    )
    for i, lane in enumerate(plan.lanes)
  ]
  return quality | {
    'is_finite': np.asarray(targets.is_finite),
    'skips_final': np.array(final),
  }


def check(session: Session, quality: dict[str, np.ndarray]) -> None:
  """Says how good each target is, and warns of one that learned nothing.

  It also warns of a target that misses `at_accuracy` by more than 2 points.

  Weights can fit a model by name and shape, and yet belong to another function: another
  normalisation of the images, another stem. Only the accuracy shows it.

  Raises:
    InputError: An imported target misses `expect_accuracy` by more than 2 points.
  """
  plan, config = session.plan, session.plan.config
  chance = metrics.chance_accuracy(plan.task.val.label)
  for i, lane in enumerate(plan.lanes):
    val, test = float(quality['val'][i]), float(quality['test'][i])
    ended = '' if quality['is_finite'][i] else '; it diverged'
    if final := str(quality['skips_final'][i]):
      ended += (
        f'; learned factors {skip_lanes.pick_learned(final, lane.treatment.skips)}'
      )
    session.say(f'target {lane}: accuracy {val:.3f} on val, {test:.3f} on test{ended}')
    _check_expected(plan, val=val, test=test)
    wanted = config.at_accuracy
    if wanted is not None and abs(val - wanted) > MOST_MISSED:
      session.say(
        f'WARNING: target {lane} is at {val:.3f} on val, and no kept epoch is nearer to'
        f' --at_accuracy={wanted:g}: it is not compared at equal accuracy; keep more'
        ' epochs, or choose an accuracy that all targets come near to'
      )
    if val <= chance:
      session.say(
        f'WARNING: target {lane} is within reach of guessing ({val:.3f} on val, where'
        f' guessing may reach {chance:.3f}): what attacks find of it says nothing about'
        ' a trained model'
      )


def _check_expected(plan: StudyPlan, *, val: float, test: float) -> None:
  """Refuses an imported target that is worse here than it is elsewhere.

  It may have been trained on `val`, which is then no measure of it, see
  `weights.list_seen`. An official test subset it should not have seen.
  """
  config = plan.config
  expected = config.expect_accuracy
  part, reached = ('test', test) if 'test' in plan.task.official else ('val', val)
  if expected is not None and reached < expected - MOST_MISSED:
    raise InputError(
      f'--target_weights={config.target_weights} has an accuracy of {reached:.3f} on'
      f' {part}, not --expect_accuracy={expected:g}; see that --dataset, --image_size'
      ' and --model_options (normalization, stem) are those it was trained with'
    )
