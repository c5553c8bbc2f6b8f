"""Units joined to the study that they are parts of: one table, one page, one verify.

It can be done at any time. What is not there yet is said, and the page says how many
lanes there are of how many.
"""

import dataclasses
import pathlib
import shutil
from collections.abc import Sequence

from gpz_jax import atomic, report, results
from gpz_jax.launching import (
  comparable,
  copying,
  merge_inversion,
  merge_theory,
  parts,
)
from gpz_jax.launching.parts import Joint, Part, Say
from gpz_jax.launching.units import Store, Unit
from gpz_jax.model_inversion import ModelInversionConfig
from gpz_jax.study.config import StudyConfig
from gpz_jax.study.session import Session, check_interrupted
from gpz_jax.study.workdir import Workdir
from gpz_jax.sweep.plan import Plan
from gpz_jax.sweep.runner import opened


@dataclasses.dataclass(frozen=True)
class Merged:
  """What units have found together.

  Attributes:
    rows: The rows, sorted.
    total: How many rows the whole has.
    gaps: What is missing, or wrong with a unit, one line each.
    report: The page; None without rows.
  """

  rows: list[results.Row]
  total: int
  gaps: list[str]
  report: pathlib.Path | None = None

  @property
  def is_whole(self) -> bool:
    """Whether nothing is missing."""
    return len(self.rows) == self.total


def merge(
  config: StudyConfig,
  units: Sequence[Unit],
  *,
  store: Store | None = None,
  quiet: bool = False,
) -> Merged:
  """Joins what the units of a study have found so far, in the workdir of the whole.

  Args:
    config: The whole study; its workdir is that of the units.
    units: All its units.
    store: Where the units lie; in the workdir of the whole where it is not given.
    quiet: Print nothing.

  Raises:
    BusyError: Another process is merging.
    InputError: A unit is of another study or of other images, targets, evaluator or
      generator, or has its theory from another number of images; or the study cannot be
      planned.
    Interrupted: A signal came; the same call goes on.
  """
  store = store or Store(config.workdir)
  units = [unit for unit in units if unit.kind != 'merge']
  damaged = parts.check_alike(config, store, units)
  sources = _list_sources(config, store, [u for u in units if u.name not in damaged])
  comparable.check_images(sources)
  comparable.check_examples(sources)
  # The whole takes what its units have now.
  comparable.check_targets(sources[1:])
  is_inversion = isinstance(config, ModelInversionConfig)
  if is_inversion:
    comparable.check_trained(sources[1:], ('evaluator', 'generator'))
  joint = merge_inversion.JOINT if is_inversion else SWEEP
  with joint.open(config, quiet=quiet) as session:
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
      part = parts.read_part(store, unit, lanes, gaps.append, joint.schema)
      if part is not None:
        found.append(part)
    merged = _join(session, joint, found, gaps)
    for line in gaps:
      session.say(line)
    session.workdir.tidy()
    return merged


def _list_sources(
  config: StudyConfig, store: Store, units: Sequence[Unit]
) -> list[comparable.Source]:
  """The whole, which may hold what an earlier merge took, and its units."""
  whole = comparable.Source(f'--workdir={config.workdir}', Workdir(config.workdir))
  return [
    whole,
    *(
      comparable.Source(
        f'unit {unit.name} ({unit.title})', Workdir(store.workdir(unit.name))
      )
      for unit in units
    ),
  ]


def _describe_absent(units: Sequence[Unit]) -> list[str]:
  """A line about the units that have not begun, if there are any."""
  if not units:
    return []
  first = f'unit {units[0].name} ({units[0].title})'
  if len(units) == 1:
    return [f'{first} has not begun']
  return [f'{len(units)} units have not begun; the first one is {first}']


def _join(session: Session, joint: Joint, found: list[Part], gaps: list[str]) -> Merged:
  """Writes what a study has at its end, or what there is of it."""
  plan, workdir, schema = session.plan, session.workdir, joint.schema
  whole = workdir.table(schema).exists()
  copying.check_given(session, found)
  rows = joint.join_rows(session, found, gaps.append)
  for part in found:
    copying.copy_epochs(part, workdir, gaps.append)
  count = copying.stack_targets(session, found, gaps.append)
  if count < len(plan.lanes):
    gaps.append(f'{count} of {len(plan.lanes)} targets are there')
  if environment := parts.join_environments(found, session.say):
    atomic.write_json(workdir.environment, environment)
  rows.sort(key=schema.sort_key)
  is_whole = not plan.missing(rows) and len(rows) == plan.total
  if whole and not is_whole:
    workdir.table(schema).unlink()
  joint.join_more(session, found, gaps.append, is_whole)
  results.write_rows(workdir.lines(schema), rows, schema)
  if targets := parts.join_targets(workdir, found):
    atomic.write_json(workdir.attacked, targets)
  counts = {'rows': len(rows), 'of': plan.total, 'gaps': gaps}
  atomic.write_json(workdir.merged, counts)
  if is_whole:
    results.write_parquet(workdir.table(schema), rows, schema)
  page = report.build(workdir.path) if rows else None
  return Merged(rows, plan.total, gaps, page)


def _join_rows(
  session: Session[Plan], found: list[Part], say: Say
) -> list[results.Row]:
  """The rows whose decoders are there, with decoders and pictures copied.

  Rows that an earlier merge took, or a sweep in this workdir computed, stay where no
  unit has them now.
  """
  workdir = session.workdir
  owners = parts.join_rows(found, say)
  joined: dict[tuple[str, ...], results.Row] = {}
  shown: list[tuple[Part, list[str]]] = []
  for part in found:
    own = [row for row in part.rows if owners[results.row_key(row)] is part]
    kept = copying.copy_decoders(part, own, workdir, say)
    joined |= {results.row_key(row): row for row in kept}
    if kept:
      names = [
        workdir.sample(row['lane_id'], row['split'], row['attack']).name for row in kept
      ]
      shown.append((part, [workdir.originals.name, *names]))
  for row in parts.read_earlier(
    workdir, results.RESULTS, found, joined, results.row_key, say
  ):
    joined[results.row_key(row)] = row
  copying.copy_pictures(shown, workdir.samples, say)
  for part, _ in shown:
    if not workdir.ladder.exists() and part.workdir.ladder.exists():
      shutil.copyfile(part.workdir.ladder, workdir.ladder)
  return list(joined.values())


SWEEP = Joint(results.RESULTS, opened, _join_rows, merge_theory.join)
