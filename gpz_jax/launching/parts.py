"""What one unit left in its workdir, and whether it may be joined with the others."""

import dataclasses
import pathlib
from collections.abc import Callable, Collection, Iterable
from contextlib import AbstractContextManager
from typing import Any

from gpz_jax import results
from gpz_jax.launching import states
from gpz_jax.launching.units import Store, Unit
from gpz_jax.study import continuing, fields
from gpz_jax.study.config import StudyConfig
from gpz_jax.study.serialization import to_json
from gpz_jax.study.session import Session
from gpz_jax.study.workdir import Workdir
from gpz_jax.types import InputError

Say = Callable[[str], None]
Key = Callable[[results.Row], tuple[str, ...]]
# The fields in `targets` and `rows` in which units may differ: they choose lanes.
FREE = (
  *('alphas', 'skips', 'defence', 'one_at_a_time', 'treatments'),
  *('seeds', 'splits', 'attack'),
)


@dataclasses.dataclass
class Part:
  """A unit that has begun, and its rows so far."""

  unit: Unit
  workdir: Workdir
  rows: list[results.Row]
  environment: dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Joint:
  """What joining the units of one kind of study must know of it.

  Attributes:
    schema: Columns of its rows.
    open: Plans the whole and locks its workdir, as in `sweep.runner.opened`.
    join_rows: Copies what belongs to rows, and returns the rows of which all is there.
      It is given the whole, the units and whom to tell of gaps.
    join_more: Joins what else there is; also told whether all rows are there.
  """

  schema: results.Schema
  open: Callable[..., AbstractContextManager[Session[Any]]]
  join_rows: Callable[[Session[Any], list[Part], Say], list[results.Row]]
  join_more: Callable[[Session[Any], list[Part], Say, bool], None]


def check_alike(
  config: StudyConfig, store: Store, units: Iterable[Unit]
) -> dict[str, str]:
  """Refuses units that cannot be parts of one study.

  Args:
    config: The whole study.
    store: Where the units lie.
    units: The units.

  Returns:
    For each unit whose config cannot be read: its name and what is wrong.

  Raises:
    InputError: A unit differs from the whole in more than seeds, treatments, splits,
      attacks and speed.
  """
  told = fields.in_scope(type(config), 'targets', 'rows')
  ours, default = to_json(config), to_json(type(config)())
  damaged = {}
  for unit in units:
    try:
      theirs = results.read_object(Workdir(store.workdir(unit.name)).config)
    except InputError as error:
      damaged[unit.name] = str(error)
      continue
    for name in told if theirs else ():
      there = theirs.get(name, default[name])
      if name not in FREE and there != ours[name]:
        raise InputError(
          f'unit {unit.name} ({unit.title}) is of another {config.word}: {name} is'
          f' {there!r} there and {ours[name]!r} in the whole; remove'
          f' {store.folder(unit.name)}, and have it done again by --resume'
        )
  return damaged


def read_part(
  store: Store,
  unit: Unit,
  lanes: Collection[str],
  say: Say,
  schema: results.Schema = results.RESULTS,
) -> Part | None:
  """What a unit that has begun has found; None where nothing can be taken.

  Args:
    store: Where the units lie.
    unit: The unit.
    lanes: The lane ids of the whole.
    say: Told, in one line, of a unit that is running, damaged or strange.
    schema: What its rows are.
  """
  workdir = Workdir(store.workdir(unit.name))
  label = f'unit {unit.name} ({unit.title})'
  try:
    rows = workdir.read_rows(schema)
    environment = results.read_object(workdir.environment)
  except InputError as error:
    say(f'{label} is damaged: {error}')
    return None
  if states.is_written(workdir.path):
    say(f'{label} is still running: {len(rows)} rows so far')
  elif not states.is_done(store, unit):
    say(f'{label} is not finished: {len(rows)} rows so far')
  if strange := [row for row in rows if row['lane_id'] not in lanes]:
    say(f'{label}: {len(strange)} rows are of no lane of the whole and are left out')
    rows = [row for row in rows if row['lane_id'] in lanes]
  return Part(unit, workdir, rows, environment)


def join_rows(
  parts: Iterable[Part], say: Say, key: Key = results.row_key
) -> dict[tuple[str, ...], Part]:
  """Which part each row is taken from, by its key; the first one where several have it.

  Args:
    parts: The units.
    say: Told of rows that two units have.
    key: What a row is the result of.
  """
  owners: dict[tuple[str, ...], Part] = {}
  for part in parts:
    twice = 0
    for row in part.rows:
      twice += owners.setdefault(key(row), part) is not part
    if twice:
      say(f'unit {part.unit.name}: another unit has {twice} of its rows too')
  return owners


def read_rows(workdir: Workdir, schema: results.Schema, say: Say) -> list[results.Row]:
  """The rows that are there; none where the file is damaged, which is said."""
  try:
    return workdir.read_rows(schema)
  except InputError as error:
    say(str(error))
    return []


def read_targets(workdir: Workdir) -> dict[str, str]:
  """Checksums of the targets that a unit attacked; empty where nothing is known."""
  try:
    return continuing.read_targets(workdir)
  except InputError:  # it is damaged
    return {}


def join_targets(workdir: Workdir, parts: Iterable[Part]) -> dict[str, str]:
  """Checksums of the targets that rows are of: those of the units, else of the whole.

  Args:
    workdir: Workdir of the whole.
    parts: The units, which have the same targets, see `comparable.check_targets`.
  """
  found = read_targets(workdir)
  for part in parts:
    found |= read_targets(part.workdir)
  return found


def read_earlier(
  workdir: Workdir,
  schema: results.Schema,
  parts: Iterable[Part],
  taken: Collection[tuple[Any, ...]],
  key: Callable[[results.Row], tuple[Any, ...]],
  say: Say,
) -> list[results.Row]:
  """The rows that an earlier merge took, or a study in this workdir computed.

  Args:
    workdir: Workdir of the whole.
    schema: What its rows are.
    parts: The units. Rows of other targets than they attacked are left out.
    taken: Keys of the rows that units have now, which are left out, too.
    key: What a row is the result of.
    say: Told of damage, and of rows that are of other targets.
  """
  before, now = read_targets(workdir), join_targets(workdir, parts)
  rows = [row for row in read_rows(workdir, schema, say) if key(row) not in taken]
  changed = {lane_id for lane_id, digest in before.items() if digest != now[lane_id]}
  kept = [row for row in rows if row['lane_id'] not in changed]
  if len(kept) < len(rows):
    say(
      f'{len(rows) - len(kept)} rows of an earlier merge are of other targets than the'
      ' units attacked, and are left out; --resume has them computed again'
    )
  return kept


def join_environments(parts: Iterable[Part], say: Say) -> dict[str, Any]:
  """The env.json of the whole: that of the first unit.

  Where units ran on different machines or versions, the number of processors is left
  open, so that `verify` does not ask for equal bits.
  """
  known = [part.environment for part in parts if part.environment]
  if not known:
    return {}
  first = known[0]
  keys = ('versions', 'processors', 'device_kind', 'platform')
  differing = [k for k in keys if any(env.get(k) != first.get(k) for env in known)]
  if not differing:
    return first
  say(f'units ran under different conditions ({", ".join(differing)})')
  return first | {'processors': None}


def decoders_of(part: Part) -> dict[tuple[str, str, str], pathlib.Path]:
  """The checkpoint of the decoder of each row that has one."""
  from gpz_jax.sweep import rescore

  return {
    key: folder for key, (folder, _) in rescore.find_decoders(part.workdir).items()
  }
