"""The zone by the geometry of activations alone: minutes, where decoders take hours."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from gpz_jax import metrics, results, theory, zone
from gpz_jax.study import target_quality
from gpz_jax.study import targets as study_targets
from gpz_jax.sweep import measurable
from gpz_jax.sweep import theory as sweep_theory
from gpz_jax.sweep.config import SweepConfig
from gpz_jax.sweep.plan import Plan
from gpz_jax.sweep.runner import opened, tuned
from gpz_jax.training import lanes as lanes_lib
from gpz_jax.types import Lane
from gpz_jax.zone.accuracies import is_guessing

DIVERGED = 'its training diverged; lower --target_learning_rate'


class Probed(NamedTuple):
  """What the geometry says."""

  rows: list[results.Row]  # of the theory
  votes: zone.Votes  # of no treatment, where every target is left out
  left_out: dict[Lane, str]  # the targets without rows; why, and the way out


def probe(config: SweepConfig, *, quiet: bool = False) -> Probed:
  """Finds the zone without training any decoder.

  Args:
    config: Config of a sweep. Its targets are imported, taken from the workdir or
      trained, and `theory_limit` of their training images are passed through them. A
      sweep in the same workdir continues with these targets.
    quiet: Print nothing.

  Returns:
    The rows and votes of all targets but those that diverged or may be guessing: the
    geometry of an untrained target says nothing about a trained one.

  Raises:
    InputError: As of `sweep.run`; or a defence changes what is sent, which is not what
      the probe measures.
    Interrupted: A signal came.
  """
  measurable.check_sent(config, 'gpz-probe')
  with opened(config, quiet=quiet) as session:
    plan, session = session.plan, tuned(session)
    targets, session = study_targets.obtain(session, sweep_theory.follow(session))
    quality = target_quality.measure(session, targets)
    target_quality.check(session, quality)
    left_out = _leave_out(plan, quality, config)
    dataset = plan.task.train.take(slice(config.theory_limit))
    rows: list[results.Row] = []
    for i, lane in enumerate(plan.lanes):
      if lane in left_out:
        continue
      found = theory.measure(
        plan.model,
        lanes_lib.take(targets.best.variables, i),
        sweep_theory.splits(plan),
        dataset,
        alpha=lane.treatment.alpha,
        families=('geometry',),
        engine=session.engine,
      )
      rows += sweep_theory.make_rows(plan, lane, found, len(dataset))
      session.say(f'{lane}: {len(found)} splits measured')
  return Probed(rows, zone.probe(rows) if rows else zone.Votes(()), left_out)


def _leave_out(
  plan: Plan, quality: Mapping[str, np.ndarray], config: SweepConfig
) -> dict[Lane, str]:
  """The targets that nothing can be concluded from; why, and the way out."""
  chance = metrics.chance_accuracy(plan.task.test.label)
  is_imported = config.target_weights is not None and not config.finetune
  advice = 'train it longer (--target_epochs)'
  if is_imported:
    advice = 'see that the weights have the right --model_options, or give --finetune'
  found = {}
  for i, lane in enumerate(plan.lanes):
    accuracy = float(quality['test'][i])
    if not quality['is_finite'][i]:
      found[lane] = DIVERGED
    elif is_guessing(accuracy, chance):
      found[lane] = (
        f'its test accuracy of {accuracy:.1%} is within reach of guessing (up to'
        f' {chance:.1%}); {advice}'
      )
  return found
