"""The zone by the geometry of activations alone: minutes, where decoders take hours."""

import contextlib
import pathlib
from typing import NamedTuple

from gpz_jax import interruption, results, theory, zone
from gpz_jax.study.progress import Events, Progress
from gpz_jax.sweep import theory as sweep_theory
from gpz_jax.sweep import tuning
from gpz_jax.sweep import workdir as workdir_lib
from gpz_jax.sweep.attack import Context
from gpz_jax.sweep.config import SweepConfig
from gpz_jax.sweep.plan import make_plan
from gpz_jax.sweep.run import obtain_targets
from gpz_jax.training import lanes as lanes_lib


class Probed(NamedTuple):
  """What the geometry says."""

  rows: list[results.Row]  # of the theory
  votes: zone.Votes


def probe(config: SweepConfig, *, quiet: bool = False) -> Probed:
  """Finds the zone without training any decoder.

  Args:
    config: of a sweep; its targets are imported, taken from the workdir or trained,
      and `theory_limit` of their training images are passed through them. A sweep in
      the same workdir goes on with these targets.
    quiet: print nothing.

  Raises:
    InputError: as `sweep.run`.
    Interrupted: likewise.
  """
  with contextlib.ExitStack() as stack:
    progress = stack.enter_context(Progress(quiet))
    stack.enter_context(interruption.handled())
    plan = make_plan(config)
    workdir = pathlib.Path(config.workdir)
    stack.enter_context(workdir_lib.locked(workdir, progress.say))
    workdir_lib.write_identity(config)
    events = stack.enter_context(contextlib.closing(Events(workdir / 'tb')))
    engine = tuning.make_engine(plan, workdir, progress)
    context = Context(plan, engine, workdir, progress, events)
    targets, _ = obtain_targets(context)
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
        engine=engine,
      )
      rows += sweep_theory.make_rows(plan, lane, found, len(dataset))
      progress.say(f'{lane}: {len(found)} splits measured')
  return Probed(rows, zone.probe(rows))
