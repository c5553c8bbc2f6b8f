"""The zone by the geometry of activations alone: minutes, where decoders take hours."""

from typing import NamedTuple

from gpz_jax import results, theory, zone
from gpz_jax.study import targets as study_targets
from gpz_jax.sweep import measurable
from gpz_jax.sweep import theory as sweep_theory
from gpz_jax.sweep.config import SweepConfig
from gpz_jax.sweep.runner import opened, tuned
from gpz_jax.training import lanes as lanes_lib


class Probed(NamedTuple):
  """What the geometry says."""

  rows: list[results.Row]  # of the theory
  votes: zone.Votes


def probe(config: SweepConfig, *, quiet: bool = False) -> Probed:
  """Finds the zone without training any decoder.

  Args:
    config: Config of a sweep. Its targets are imported, taken from the workdir or
      trained, and `theory_limit` of their training images are passed through them. A
      sweep in the same workdir continues with these targets.
    quiet: Print nothing.

  Raises:
    InputError: As of `sweep.run`; or a defence changes what is sent, which is not what
      the probe measures.
    Interrupted: A signal came.
  """
  measurable.check_sent(config, 'gpz-probe')
  with opened(config, quiet=quiet) as session:
    plan, session = session.plan, tuned(session)
    targets, session = study_targets.obtain(session, sweep_theory.follow(session))
    dataset = plan.task.train.take(slice(config.theory_limit))
    rows: list[results.Row] = []
    for i, lane in enumerate(plan.lanes):
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
  return Probed(rows, zone.probe(rows))
