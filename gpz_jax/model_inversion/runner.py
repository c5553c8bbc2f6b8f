"""From images to the answer: targets, evaluator, prior, attacks, rows, report."""

import contextlib
import dataclasses
import pathlib
import time
from collections.abc import Callable, Sequence

import numpy as np

from gpz_jax import report, results
from gpz_jax.attacks.model import Attack, Scenario
from gpz_jax.evaluators import Evaluator, making
from gpz_jax.filenames import safe
from gpz_jax.model_inversion import (
  doubts,
  evaluating,
  given,
  kept_pieces,
  priors,
  scoring,
)
from gpz_jax.model_inversion.config import ModelInversionConfig
from gpz_jax.model_inversion.plan import Plan, make_plan
from gpz_jax.model_inversion.priors import Prior
from gpz_jax.results import CLASSES, INVERSIONS
from gpz_jax.study import continuing, notes, opening, target_quality
from gpz_jax.study import targets as study_targets
from gpz_jax.study.progress import count, format_seconds, peak_gigabytes
from gpz_jax.study.session import Session
from gpz_jax.study.workdir import Workdir
from gpz_jax.targets import Targets
from gpz_jax.training import lanes as lanes_lib
from gpz_jax.types import stable_hash

MOST_BYTES = 2**31  # of the reconstructions that are held at a time


@dataclasses.dataclass(frozen=True)
class Results:
  """What a study of model inversion found."""

  rows: list[results.Row]  # one for each lane and attack
  classes: list[results.Row]  # one for each lane, attack and class
  workdir: pathlib.Path
  report: pathlib.Path  # index.html


def run(config: ModelInversionConfig, *, quiet: bool = False) -> Results:
  """Runs a study of model inversion, or what is missing of it; writes its workdir.

  Args:
    config: What to attack. A workdir that holds the same config is continued.
    quiet: Print nothing.

  Raises:
    InputError: As of `make_plan`, and nothing is written then; or another process is
      writing the workdir.
    Interrupted: A signal came; the same call continues where it ended.
  """
  with opened(config, quiet=quiet) as session:
    plan, workdir = session.plan, session.workdir
    done = workdir.read_rows(INVERSIONS)
    missing = plan.missing(done)
    session.say(
      f'{count(len(plan.lanes), "target")}, {count(len(plan.attacks), "attack")} on'
      f' {len(plan.classes)} of {plan.task.num_classes} classes; {len(done)} of'
      f' {plan.total} rows are there already'
    )
    if missing:
      _fill_in(session, missing)
    rows = workdir.read_rows(INVERSIONS)
    classes = finished_classes(workdir, rows)
    results.write_parquet(workdir.table(INVERSIONS), rows, INVERSIONS)
    results.write_parquet(workdir.table(CLASSES), classes, CLASSES)
    page = report.build(workdir.path)
    workdir.tidy()
    session.say(f'done; peak memory {peak_gigabytes():.1f} GiB')
  return Results(rows, classes, workdir.path, page)


def train(config: ModelInversionConfig, part: str, *, quiet: bool = False) -> None:
  """Trains a part of a study, for others to take.

  Args:
    config: The study.
    part: One of `TRAINED`.
    quiet: Print nothing.

  Raises:
    InputError: As of `run`.
    Interrupted: A signal came; the same call continues where it ended.
  """
  with opened(config, quiet=quiet) as session:
    TRAINED[part](session)
    session.workdir.tidy()


def opened(
  config: ModelInversionConfig, *, quiet: bool
) -> contextlib.AbstractContextManager[Session[Plan]]:
  """A study that is planned, and whose workdir is this process's alone to write.

  Raises:
    InputError: As of `run`.
    Interrupted: A signal came.
  """
  return opening.opened(config, make_plan, _describe, quiet=quiet)


def finished_classes(
  workdir: Workdir, rows: Sequence[results.Row]
) -> list[results.Row]:
  """The rows of classes whose lane and attack have a row, each once.

  They are written before that row, so that a kill in between leaves some too many.
  """
  finished = {results.inversion_key(row) for row in rows}
  last = {results.class_key(row): row for row in workdir.read_rows(CLASSES)}
  return [row for row in last.values() if results.inversion_key(row) in finished]


def _describe(plan: Plan) -> list[str]:
  """What is said of a study before it begins."""
  lines = notes.describe_model(plan, ())
  if doubt := doubts.of_public(plan.task):
    lines.append(f'WARNING: {doubt}: the attacker may know these people already')
  config = plan.config
  if config.generator is not None:
    for name in ('prior_steps', 'prior_width'):
      if (value := getattr(config, name)) is not None:
        lines.append(f'--{name}={value} does nothing: --generator is given')
  return lines


def _check_unchanged(
  session: Session[Plan], quality: dict[str, np.ndarray], judge: Evaluator
) -> None:
  """Refuses to add rows to those of other targets, or of another evaluator."""
  plan, path = session.plan, session.workdir.path
  index = {lane.lane_id: i for i, lane in enumerate(plan.lanes)}
  count = len(plan.task.test)
  for row in session.workdir.read_rows(INVERSIONS):
    target = index[row['lane_id']]
    for whose, column, now in (
      (f'the target {plan.lanes[target]}', 'target_accuracy', quality['test'][target]),
      ('the evaluator', 'evaluator_accuracy', judge.accuracy),
    ):
      if now is not None:
        continuing.check_accuracy(path, whose, row[column], float(now), count)


def _fill_in(session: Session[Plan], missing: dict[Attack, list[int]]) -> None:
  """Trains and attacks what the missing rows need; appends them attack by attack."""
  plan, workdir = session.plan, session.workdir
  given.check(session)
  targets, quality, session = _obtain_targets(session)
  judge = evaluating.obtain(session)
  stacked = targets.best.variables
  making.check_apart(
    judge, [lanes_lib.take(stacked, i) for i, _ in enumerate(plan.lanes)]
  )
  _check_unchanged(session, quality, judge)
  prior = priors.obtain(session, judge)
  for schema in (INVERSIONS, CLASSES):
    workdir.table(schema).unlink(missing_ok=True)  # it no longer holds all there is
  scoring.save_privates(session)
  for attack, lanes in missing.items():
    for part in _divide(plan, lanes):
      rows, classes = _attack(session, attack, part, targets, quality, judge, prior)
      workdir.append_rows(classes, CLASSES)
      workdir.append_rows(rows, INVERSIONS)


def _obtain_targets(
  session: Session[Plan],
) -> tuple[Targets, dict[str, np.ndarray], Session[Plan]]:
  """The targets, how good they are, and the session that says what changed."""
  targets, session = study_targets.obtain(session)
  quality = target_quality.measure(session, targets)
  target_quality.check(session, quality)
  return targets, quality, session


# What a study trains before it attacks: part -> what trains it, unless it is there.
TRAINED: dict[str, Callable[[Session[Plan]], object]] = {
  'targets': _obtain_targets,
  'evaluator': evaluating.obtain,
  'prior': priors.load,
}


def _divide(plan: Plan, lanes: Sequence[int]) -> list[list[int]]:
  """Lanes in groups whose reconstructions fit the memory together."""
  # An attack keeps some hundred candidates of a class at most.
  of_lane = len(plan.classes) * 64 * plan.most_side**2 * plan.task.image_shape[-1]
  size = max(1, MOST_BYTES // of_lane)
  return [list(lanes[i : i + size]) for i in range(0, len(lanes), size)]


def _attack(
  session: Session[Plan],
  attack: Attack,
  index: list[int],
  targets,
  quality: dict[str, np.ndarray],
  judge: Evaluator,
  prior: Prior,
) -> tuple[list[results.Row], list[results.Row]]:
  """Runs one attack on some lanes; the rows of the lanes and of their classes."""
  began = time.monotonic()
  scenario = make_scenario(session, attack, index, targets, prior)
  attack.check(scenario)
  outcome = attack.run(scenario)
  seconds = time.monotonic() - began
  found = scoring.score(session, scenario, outcome, judge, prior, seconds)
  scoring.save_pictures(session, attack, scenario, outcome)
  shares = ' '.join(
    f'{share:.2f}' for share in found.scores.by_class['att_acc1'].mean(1)
  )
  session.say(
    f'{attack.text}: {count(len(index), "target")} in {format_seconds(seconds)};'
    f' AttAcc@1 {shares}'
  )
  for doubt in filter(None, found.doubts):
    session.say(f'warning: {attack.text}: {doubt}')
  return scoring.make_rows(
    session, attack, index, quality, outcome, found, judge, prior
  )


def make_scenario(
  session: Session[Plan], attack: Attack, index: list[int], targets, prior: Prior
) -> Scenario:
  """What an attack on some of the lanes is handed."""
  plan = session.plan
  critic, critic_variables = prior.critic or (None, None)
  lanes = [plan.lanes[i] for i in index]
  name = safe(f'{stable_hash(attack.text):08x}-{lanes[0].lane_id}')
  return Scenario(
    model=plan.model,
    targets=lanes_lib.take(targets.best.variables, np.array(index)),
    lanes=lanes,
    generator=prior.generator,
    prior=prior.variables,
    critic=critic,
    critic_variables=critic_variables,
    classes=plan.classes,
    image_shape=plan.task.image_shape,
    most_side=plan.most_side,
    public=plan.task.aux,
    engine=session.engine,
    seed=plan.config.data_seed,
    phase=lambda title: session.progress.phase(f'{attack.text}: {title}'),
    store=kept_pieces.open_store(session, name, lanes, prior),
  )
