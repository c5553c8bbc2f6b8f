"""How far units are, read off their files and one answer of the scheduler."""

import collections
import fcntl
import json
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from gpz_jax.launching import outcomes
from gpz_jax.launching.studies import STUDIES
from gpz_jax.launching.units import TRAINED, Store, Unit


class Queued(NamedTuple):
  """What a scheduler says of a unit."""

  task: str  # as the scheduler names it: 23_2
  state: str
  node: str = ''
  left: str = ''  # time until its limit
  restarts: int = 0
  reason: str = ''


class State(NamedTuple):
  """A line of the table."""

  unit: Unit
  state: str
  rows: int
  restarts: int
  node: str = ''
  left: str = ''


def is_done(store: Store, unit: Unit) -> bool:
  """Whether a unit's work is there; damage is for `merge` and `verify` to find."""
  if unit.kind == 'merge':
    return _is_merged(store)
  work = store.workdir(unit.name)
  if unit.kind == 'prior':
    return (work / 'generator.safetensors').exists()
  if unit.kind not in TRAINED:
    return (work / f'{STUDIES[unit.study].rows}.parquet').exists()
  try:
    return any(path.name.isdecimal() for path in (work / unit.kind).iterdir())
  except OSError:
    return False


def _is_merged(store: Store) -> bool:
  try:
    found = json.loads(store.merged.read_text())
    return found['rows'] == found['of']
  except (OSError, ValueError, LookupError, TypeError):
    return False


def list_states(
  store: Store, units: Sequence[Unit], queued: Mapping[str, Queued] | None = None
) -> list[State]:
  """How far each unit is.

  Args:
    store: Where they lie.
    units: All of them.
    queued: What a scheduler says of those it knows, by name of the unit.

  Returns:
    For each unit one of: done; a scheduler's word, in small letters; running; failed,
    with the exit status; waiting, for units that come before; or to do.
  """
  queued, done = queued or {}, {}
  found = []
  for unit in units:
    folder = store.folder(unit.name)
    done[unit.name] = is_done(store, unit)
    known = queued.get(unit.name)
    state = _name_state(store, unit, known, done)
    found.append(
      State(
        unit,
        state,
        _count_rows(store, unit),
        max(outcomes.read_retries(folder), known.restarts if known else 0),
        known.node if known else _find_node(store, unit) if state == 'running' else '',
        known.left if known else '',
      )
    )
  return found


def _name_state(
  store: Store, unit: Unit, known: Queued | None, done: Mapping[str, bool]
) -> str:
  if known is not None:
    return known.state.lower()
  if unit.kind != 'merge' and is_written(store.workdir(unit.name)):
    return 'running'
  if done[unit.name]:
    return 'done'
  status = outcomes.read_number(store.folder(unit.name) / 'status', None)
  if status and outcomes.decide(status, outcomes.RETRIES) == 'failed':
    return f'failed ({status})'
  return 'to do' if all(done[name] for name in unit.needs) else 'waiting'


def is_written(work: pathlib.Path) -> bool:
  """Whether a process holds the lock of a workdir."""
  try:
    with (work / 'lock').open() as file:
      fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
  except BlockingIOError:
    return True
  except OSError:
    pass
  return False


def _find_node(store: Store, unit: Unit) -> str:
  """The machine that a lock names: `process 7 on node1`."""
  try:
    return (store.workdir(unit.name) / 'lock').read_text().rpartition(' on ')[2].strip()
  except OSError:
    return ''


def _count_rows(store: Store, unit: Unit) -> int:
  lines = store.workdir(unit.name) / f'{STUDIES[unit.study].rows}.jsonl'
  try:
    return lines.read_bytes().count(b'\n')
  except OSError:
    return 0


def format_table(states: Iterable[State]) -> str:
  """The table, and how many units are in which state."""
  header = ('unit', 'kind', 'state', 'node', 'restarts', 'rows', 'time left', 'what')
  rows: list[tuple[str, ...]] = [header]
  states = list(states)
  for each in states:
    numbers = (str(each.restarts or ''), str(each.rows or ''))
    unit = each.unit
    rows.append(
      (unit.name, unit.kind, each.state, each.node, *numbers, each.left, unit.title)
    )
  widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
  lines = [
    '  '.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
    for row in rows
  ]
  counts = collections.Counter(each.state for each in states)
  summary = ', '.join(f'{count} {state}' for state, count in counts.most_common())
  return '\n'.join([*(line.rstrip() for line in lines), '', summary])
