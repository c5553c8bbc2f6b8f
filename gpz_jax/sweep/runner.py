"""From images to the answer: targets, activations, decoders, rows, zone, report."""

import contextlib
import dataclasses
import functools
import pathlib
from typing import Any

from gpz_jax import report, results
from gpz_jax import zone as zone_lib
from gpz_jax.attacks.activation import scores
from gpz_jax.study import continuing, notes, opening, target_quality, tuning
from gpz_jax.study import targets as study_targets
from gpz_jax.study.progress import count, peak_gigabytes
from gpz_jax.study.session import Session
from gpz_jax.sweep import cut_quality, measurable, memory, pictures, theory
from gpz_jax.sweep.ahead import Ahead, list_jobs
from gpz_jax.sweep.attack import NUM_SAMPLES
from gpz_jax.sweep.cohort import Cohort
from gpz_jax.sweep.config import SweepConfig
from gpz_jax.sweep.plan import Missing, Plan, make_plan
from gpz_jax.sweep.workloads import list_workloads
from gpz_jax.types import Task
from gpz_jax.zone.worth import Ladder, best_blind_guess


@dataclasses.dataclass(frozen=True)
class Results:
  """What a sweep found."""

  rows: list[results.Row]
  zone: zone_lib.Zone
  workdir: pathlib.Path
  report: pathlib.Path  # index.html


def run(config: SweepConfig, *, quiet: bool = False) -> Results:
  """Runs a sweep, or what is missing of it, and writes its workdir.

  Args:
    config: What to sweep. A workdir that holds the same config is continued.
    quiet: Print nothing.

  Returns:
    The rows, the zone and the path of the report.

  Raises:
    InputError: As of `make_plan`, and nothing is written then; or another process is
      writing the workdir.
    Interrupted: A signal came; the same call continues where it ended.
  """
  with opened(config, quiet=quiet) as session:
    plan, workdir = session.plan, session.workdir
    done = workdir.read_rows()
    missing = plan.missing(done)
    session.say(
      f'{count(len(plan.lanes), "target")}, {count(plan.total, "attack")} at'
      f' {count(len(plan.splits), "split")} of'
      f' {config.model}; {len(done)} rows are there already'
    )
    if pictures.find_lost(workdir, done):
      pictures.rebuild(tuned(session), done, session.say)
    if missing or (config.theory and theory.is_incomplete(plan, workdir)):
      _fill_in(session, missing)
    rows = workdir.read_rows()
    results.write_parquet(workdir.table(), rows)
    page = report.build(workdir.path)
    zone = zone_lib.golden_zone(rows)
    workdir.tidy()
    session.say(f'done; peak memory {peak_gigabytes():.1f} GiB')
  return Results(results.read_parquet(workdir.table()), zone, workdir.path, page)


def train_targets(config: SweepConfig, *, quiet: bool = False) -> None:
  """Trains the targets of a sweep, for others to attack by `targets_from`.

  Args:
    config: The sweep.
    quiet: Print nothing.

  Raises:
    InputError: As of `run`.
    Interrupted: A signal came; the same call continues where it ended.
  """
  with opened(config, quiet=quiet) as session:
    targets, session = study_targets.obtain(session, theory.follow(session))
    quality = target_quality.measure(session, targets)
    target_quality.check(session, quality)
    session.workdir.tidy()


def opened(
  config: SweepConfig, *, quiet: bool
) -> contextlib.AbstractContextManager[Session[Plan]]:
  """A sweep that is planned, and whose workdir is this process's alone to write.

  Raises:
    InputError: As of `run`.
    Interrupted: A signal came.
  """
  return opening.opened(config, make_plan, _describe, quiet=quiet)


def _describe(plan: Plan) -> list[str]:
  """What is said of a sweep before it begins."""
  listed = plan.shapes if plan.config.split_where == '*' else ()
  return [
    *(f'left out {name}: {reason}' for name, reason in plan.dropped.items()),
    *notes.describe_model(plan, listed),
    *memory.notes(plan),
    *measurable.describe_epochs(plan.config),
  ]


def tuned(session: Session[Plan]) -> Session[Plan]:
  """The session with its convolutions measured, where the config asks for it."""
  plan = session.plan
  engine = tuning.make_engine(
    plan.config, session.workdir, session.progress, lambda: list_workloads(plan)
  )
  return dataclasses.replace(session, engine=engine)


def _check_unchanged(
  session: Session[Plan], quality: dict[str, Any], ladder: Ladder
) -> None:
  """Refuses to add rows to those of other targets or images."""
  plan, workdir = session.plan, session.workdir
  rows = workdir.read_rows()
  if not rows:
    return
  continuing.check_guesses(workdir.path, results.read_ladder(workdir.ladder), ladder)
  index = {lane.lane_id: i for i, lane in enumerate(plan.lanes)}
  for row in rows:
    target = index[row['lane_id']]
    now = cut_quality.columns(quality, target, row['split'])['target_accuracy']
    continuing.check_accuracy(
      workdir.path,
      f'the target {plan.lanes[target]}',
      row['target_accuracy'],
      float(now),
      len(plan.task.test),
    )


def _guess_mse(task: Task, ladder: Ladder, count: int) -> float:
  """What the best guess scores on the first test images, as many as were attacked."""
  if count < len(task.test):  # by a search
    first = dataclasses.replace(task, test=task.test.take(slice(count)))
    ladder = scores.make_ladder(first)
  return best_blind_guess(ladder)


def _fill_in(session: Session[Plan], missing: Missing) -> None:
  """Trains what the missing rows need, appending the rows of each attack as it ends."""
  plan, workdir = session.plan, session.workdir
  session = tuned(session)
  jobs = list_jobs(plan, missing)
  with contextlib.closing(Ahead(plan, session.engine, jobs)) as ahead:
    targets, session = study_targets.obtain(session, theory.follow(session))
    quality = target_quality.measure(session, targets)
    target_quality.check(session, quality)
    quality |= cut_quality.measure(session, targets)
    ladder = scores.make_ladder(plan.task)
    _check_unchanged(session, quality, ladder)
    workdir.table().unlink(missing_ok=True)  # it no longer holds all there is
    workdir.save_data(ladder, plan.task.test.image[:NUM_SAMPLES])
    guess_mse = functools.cache(functools.partial(_guess_mse, plan.task, ladder))
    for shape, wanted in missing.items():
      cohort = Cohort(session, shape, ahead, guess_mse)
      for rows in cohort.run(wanted, targets, quality):
        workdir.append_rows(rows)
  if plan.config.theory:
    theory.run(session, targets)
