"""Units joined to the sweep that they are parts of: one table, zone, page and verify.

It can be done at any time. What is not there yet is said, and the page says how many
lanes there are of how many.
"""

import dataclasses
import pathlib
import shutil
from collections.abc import Sequence

from gpz_jax import atomic, report, results
from gpz_jax import zone as zone_lib
from gpz_jax.launching import copying, parts
from gpz_jax.launching.parts import Part
from gpz_jax.launching.units import Store, Unit
from gpz_jax.study.session import Session, check_interrupted
from gpz_jax.study.workdir import Workdir
from gpz_jax.sweep import theory
from gpz_jax.sweep.config import SweepConfig
from gpz_jax.sweep.plan import Plan
from gpz_jax.sweep.runner import opened
from gpz_jax.types import InputError


@dataclasses.dataclass(frozen=True)
class Merged:
  """What units have found together.

  Attributes:
    rows: The rows, sorted.
    total: How many rows the whole has.
    gaps: What is missing, or wrong with a unit, one line each.
    zone: The zone of the rows; None without rows.
    report: The page; None without rows.
  """

  rows: list[results.Row]
  total: int
  gaps: list[str]
  zone: zone_lib.Zone | None = None
  report: pathlib.Path | None = None

  @property
  def is_whole(self) -> bool:
    """Whether nothing is missing."""
    return len(self.rows) == self.total


def merge(config: SweepConfig, units: Sequence[Unit], *, quiet: bool = False) -> Merged:
  """Joins what the units of a sweep have found so far, in the workdir of the whole.

  Args:
    config: The whole sweep; its workdir is that of the units.
    units: All its units.
    quiet: Print nothing.

  Raises:
    BusyError: Another process is merging.
    InputError: A unit is of another sweep, or the sweep cannot be planned.
    Interrupted: A signal came; the same call goes on.
  """
  store = Store(config.workdir)
  units = [unit for unit in units if unit.kind != 'merge']
  damaged = parts.check_alike(config, store, units)
  with opened(config, quiet=quiet) as session:
    gaps = [f'unit {name} is damaged: {text}' for name, text in damaged.items()]
    lanes = {lane.lane_id for lane in session.plan.lanes}
    begun = [u for u in units if Workdir(store.workdir(u.name)).config.exists()]
    names = {unit.name for unit in begun}
    gaps += _describe_absent([unit for unit in units if unit.name not in names])
    found = []
    for unit in begun:
      check_interrupted()
      if unit.name in damaged:
        continue
      part = parts.read_part(store, unit, lanes, gaps.append)
      if part is not None:
        found.append(part)
    merged = _join(session, found, gaps)
    for line in gaps:
      session.say(line)
    session.workdir.tidy()
    return merged


def _describe_absent(units: Sequence[Unit]) -> list[str]:
  """A line about the units that have not begun, if there are any."""
  if not units:
    return []
  first = f'unit {units[0].name} ({units[0].title})'
  if len(units) == 1:
    return [f'{first} has not begun']
  return [f'{len(units)} units have not begun; the first one is {first}']


def _join(session: Session[Plan], found: list[Part], gaps: list[str]) -> Merged:
  """Writes what a sweep has at its end, or what there is of it."""
  plan, workdir = session.plan, session.workdir
  whole = workdir.table().exists()
  rows = _join_rows(session, found, gaps)
  for part in found:
    copying.copy_epochs(part, workdir, gaps.append)
  count = copying.stack_targets(session, found, gaps.append)
  if count < len(plan.lanes):
    gaps.append(f'{count} of {len(plan.lanes)} targets are there')
  if environment := parts.join_environments(found, session.say):
    atomic.write_json(workdir.environment, environment)
  rows.sort(key=results.RESULTS.sort_key)
  is_whole = not plan.missing(rows) and len(rows) == plan.total
  if whole and not is_whole:
    workdir.table().unlink()
  _write_lines(workdir, rows, results.RESULTS)
  _join_theory(session, found, gaps)
  counts = {'rows': len(rows), 'of': plan.total, 'gaps': gaps}
  atomic.write_json(workdir.merged, counts)
  if is_whole:
    results.write_parquet(workdir.table(), rows)
  if not rows:
    return Merged([], plan.total, gaps)
  page, zone = report.build(workdir.path), zone_lib.golden_zone(rows)
  return Merged(rows, plan.total, gaps, zone, page)


def _join_rows(
  session: Session[Plan], found: list[Part], gaps: list[str]
) -> list[results.Row]:
  """The rows whose decoders are there, with decoders and pictures copied.

  Rows that an earlier merge took, or a sweep in this workdir computed, stay where no
  unit has them now.
  """
  workdir = session.workdir
  owners = parts.join_rows(found, gaps.append)
  joined: dict[tuple[str, str, str], results.Row] = {}
  shown: list[tuple[Part, list[str]]] = []
  for part in found:
    own = [row for row in part.rows if owners[results.row_key(row)] is part]
    kept = copying.copy_decoders(part, own, workdir, gaps.append)
    joined |= {results.row_key(row): row for row in kept}
    if kept:
      names = [
        workdir.sample(row['lane_id'], row['split'], row['attack']).name for row in kept
      ]
      shown.append((part, [workdir.originals.name, *names]))
  for row in _read_rows(workdir, results.RESULTS, gaps):
    joined.setdefault(results.row_key(row), row)
  copying.copy_pictures(shown, workdir.samples, gaps.append)
  for part, _ in shown:
    if not workdir.ladder.exists() and part.workdir.ladder.exists():
      shutil.copyfile(part.workdir.ladder, workdir.ladder)
  return list(joined.values())


def _join_theory(session: Session[Plan], found: list[Part], gaps: list[str]) -> None:
  """The rows and pictures of the theory, where units have measured it."""
  plan, workdir, schema = session.plan, session.workdir, results.THEORY
  joined = {}
  shown = []
  first = {lane.lane_id for lane in plan.lanes if lane.seed == plan.lanes[0].seed}
  for part in found:
    rows = _read_rows(part.workdir, schema, gaps)
    joined |= {results.theory_key(row): row for row in rows}
    paths = part.workdir.embeddings.glob('*.npy')
    names = [p.name for p in paths if p.name.partition('-')[0] in first]
    if names:
      shown.append((part, names))
  for row in _read_rows(workdir, schema, gaps):
    joined.setdefault(results.theory_key(row), row)
  if shown:
    workdir.embeddings.mkdir(exist_ok=True)
    copying.copy_pictures(shown, workdir.embeddings, gaps.append)
  if joined:
    rows = sorted(joined.values(), key=schema.sort_key)
    _write_lines(workdir, rows, schema)
    if not theory.missing(plan, workdir):
      results.write_parquet(workdir.table(schema), rows, schema)
  if plan.config.theory and theory.missing(plan, workdir):
    session.say(
      'the theory is not measured by units of cohorts; python -m experiments.sweep'
      f' --flagfile={workdir.flags} measures it once all rows are there'
    )


def _read_rows(
  workdir: Workdir, schema: results.Schema, gaps: list[str]
) -> list[results.Row]:
  try:
    return workdir.read_rows(schema)
  except InputError as error:
    gaps.append(str(error))
    return []


def _write_lines(
  workdir: Workdir, rows: list[results.Row], schema: results.Schema
) -> None:
  """Writes all rows in one step, in place of those that were there."""
  path = workdir.lines(schema)
  path.with_name(f'{path.name}.partial').unlink(missing_ok=True)
  with atomic.replacing(path) as partial:
    results.append_rows(partial, rows, schema)
