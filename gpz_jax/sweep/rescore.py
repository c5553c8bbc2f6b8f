"""Rows computed again from what the sweep saved: targets, decoders and the data."""

import math
import pathlib
import random
import tempfile
from collections.abc import Iterator
from typing import Any

import numpy as np

from gpz_jax import checkpoints, results
from gpz_jax.attacks.activation.cohorts import AttackLane
from gpz_jax.attacks.activation.protocol import Outcome, Scenario
from gpz_jax.study import continuing, target_quality, tuning
from gpz_jax.study import targets as study_targets
from gpz_jax.study.conditions import conditions
from gpz_jax.study.events import Events
from gpz_jax.study.progress import Progress
from gpz_jax.study.session import Session
from gpz_jax.study.verify import TOLERANCE, Rescored
from gpz_jax.study.workdir import Workdir
from gpz_jax.sweep import attack as attack_lib
from gpz_jax.sweep import cut_quality
from gpz_jax.sweep.config import SweepConfig
from gpz_jax.sweep.plan import Plan, make_plan
from gpz_jax.sweep.workloads import list_workloads
from gpz_jax.training.engine import Engine
from gpz_jax.types import Treatment

# Least relative difference that is reported where the machine, a version or the way
# lanes run is not what it was; on the same ones every bit must be.
TOLERANCES = {'float32': TOLERANCE, 'bfloat16': 3e-2}
# Two images that a judge can hardly tell apart may then be called otherwise.
UNSURE = 2.5


def rescore(
  workdir: Workdir,
  config: SweepConfig,
  rows: list[results.Row],
  rescored: Rescored,
  *,
  sample: int,
) -> Iterator[str]:
  """Differences between rows and what is computed again, one line each.

  The accuracy of its target is measured again for every row, and the scores of a sample
  of those with a decoder. All lanes of a checkpoint are evaluated together, as they
  were: only then can the result be the same bit for bit whatever the strategy.

  Args:
    workdir: Folder of the sweep.
    config: Its config.
    rows: Its rows.
    rescored: Record of what was computed again, which is added to.
    sample: Number of rows with a decoder, drawn at random but always the same ones;
      with 0 nothing is computed again.
  """
  trained = [row for row in rows if row['decoder'] != 'none']
  rescored.possible = len(trained)
  places = find_decoders(workdir)
  if lost := [row for row in trained if results.row_key(row) not in places]:
    yield from (f'{describe(row)} has no checkpoint in decoders/' for row in lost)
    return
  if not sample:
    return
  chosen = random.Random(0).sample(trained, min(sample, len(trained)))
  plan = make_plan(config)
  with tempfile.TemporaryDirectory(prefix='gpz_jax_verify_') as scratch:
    progress, folder = Progress(quiet=True), Workdir(scratch)
    engine = tuning.make_engine(config, workdir, progress, lambda: list_workloads(plan))
    session = Session(plan, engine, folder, progress, Events(folder.events))
    replaced: list[str] = []
    targets = study_targets.load(plan, workdir, replaced.append)
    yield from replaced
    if targets is None:
      yield 'targets/ has no intact checkpoint'
      return
    tolerances = _Tolerances(workdir, engine)
    yield from _check_targets(session, targets, rows, rescored, tolerances)
    found: dict[pathlib.Path, list[dict[str, Any]]] = {}
    for row in chosen:
      folder, i = places[results.row_key(row)]
      if folder not in found:
        found[folder] = _score(session, targets, folder)
      tolerance = tolerances.find(row)
      rescored.done += 1
      rescored.inexact += tolerance > 0
      yield from _compare(row, found[folder][i], tolerance, 'decoder')


def _check_targets(
  session: Session[Plan],
  targets,
  rows: list[results.Row],
  rescored: Rescored,
  tolerances: '_Tolerances',
) -> Iterator[str]:
  """Rows whose target has another accuracy now."""
  plan = session.plan
  quality = target_quality.measure(session, targets)
  quality |= cut_quality.measure(session, targets)
  # Between two devices an image may lie on the other side of the border.
  border = continuing.SAME_IMAGES / min(len(plan.task.val), len(plan.task.test))
  for row in rows:
    now = cut_quality.columns(quality, _find_target(plan, row['lane_id']), row['split'])
    rescored.measured += 1
    yield from _compare(row, now, tolerances.find(row), 'target', border)


def find_decoders(
  workdir: Workdir,
) -> dict[tuple[str, str, str], tuple[pathlib.Path, int]]:
  """Key of a row -> the checkpoint of its decoder, and which of its lanes it is."""
  places = {}
  folders = workdir.decoders.glob('*')
  for folder in sorted(folders, key=lambda path: path.stat().st_mtime_ns):
    meta = checkpoints.read_meta(folder) or {'lanes': []}
    for i, name in enumerate(meta['lanes']):
      lane_id, _, split = name.partition('-')
      places[lane_id, split, meta['attack']] = folder, i
  return places


def restore(
  session: Session[Plan], targets, folder: pathlib.Path
) -> tuple[Outcome, Scenario] | None:
  """What the decoders of a checkpoint found, and where; None if it is damaged."""
  plan, meta = session.plan, checkpoints.read_meta(folder)
  if meta is None:
    return None
  attack = next(a for a in plan.attacked if a.text == meta['attack'])
  lanes = [_find_lane(plan, name) for name in meta['lanes']]
  intercepted = attack_lib.intercept(session, lanes, targets)
  scenario = attack_lib.make_scenario(session, lanes, intercepted, targets)
  found = checkpoints.restore(folder, attack.blank(scenario))
  return None if found is None else (attack.restore(scenario, found[0]), scenario)


def _score(
  session: Session[Plan], targets, folder: pathlib.Path
) -> list[dict[str, Any]]:
  """What rows say of each lane of a decoders' checkpoint: column -> value."""
  found = restore(session, targets, folder)
  assert found is not None, 'checked before'
  outcome, scenario = found
  scores = attack_lib.score(outcome, scenario, session.plan.judge)
  scores |= {'best_epoch': outcome.best_epoch, 'steps': outcome.steps}
  count = len(scenario.lanes)
  return [
    {name: np.broadcast_to(value, count)[i].item() for name, value in scores.items()}
    for i in range(count)
  ]


def _find_lane(plan: Plan, name: str) -> AttackLane:
  """The lane of a name in a checkpoint, `lane_id-split`."""
  lane_id, _, split = name.partition('-')
  target = _find_target(plan, lane_id)
  return AttackLane(target, plan.lanes[target], split)


def _find_target(plan: Plan, lane_id: str) -> int:
  return [lane.lane_id for lane in plan.lanes].index(lane_id)


class _Tolerances:
  """What rows may differ by: nothing where conditions are what they were.

  Args:
    workdir: Folder of the sweep.
    engine: How it is computed again.
  """

  def __init__(self, workdir: Workdir, engine: Engine):
    env, ours = results.read_object(workdir.environment), results.provenance()
    self._here = conditions(engine) | {'changed': ''}
    self._is_same = all(env.get(n) == ours[n] for n in ('versions', 'processors'))

  def find(self, row: results.Row) -> float:
    """The relative difference; 0 where the row must be met bit for bit."""
    if self._is_same and all(row[name] == value for name, value in self._here.items()):
      return 0.0
    return TOLERANCES[row['precision']]


def _compare(
  row: results.Row,
  now: dict[str, Any],
  tolerance: float,
  source: str,
  border: float = 0.0,
) -> Iterator[str]:
  defaults = {column.name: column.default for column in results.COLUMNS}
  for column, value in now.items():
    written, value = float(row[column]), float(value)
    if math.isnan(written) and defaults[column] is not None:
      continue  # the row is older than the column
    least = max(tolerance * 1e-3, border) if tolerance else 0.0
    if column.endswith('recognised') and tolerance:
      least = UNSURE / row['n_test']
    is_equal = math.isclose(written, value, rel_tol=tolerance, abs_tol=least)
    if not is_equal and not (math.isnan(written) and math.isnan(value)):
      yield (
        f'{describe(row)}: {column} is {written!r}, but its {source} gives {value!r}'
      )


def describe(row: results.Row) -> str:
  """Which row it is."""
  return f'row {row["split"]} {Treatment.of(row)} seed {row["seed"]} {row["attack"]}'
