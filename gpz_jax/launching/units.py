"""What a sweep is cut into, and the files that say so.

A unit is a sweep of its own over one seed, one shape of activation and one attack, in a
folder of its own. Its name is a hash of what it computes, so that planning twice gives
the same units.
"""

import dataclasses
import hashlib
import json
import pathlib
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from gpz_jax import atomic
from gpz_jax.study import fields
from gpz_jax.sweep.config import SweepConfig
from gpz_jax.types import InputError

if TYPE_CHECKING:  # planning needs JAX, and listing must not wait for it
  from gpz_jax.sweep.plan import Plan

PER = ('cohort', 'seed')
# What a unit does: it trains targets, attacks one cohort of them, does all of one seed,
# or joins what the others found.
KINDS = ('targets', 'cohort', 'seed', 'merge')
NAME = 12  # hexadecimal digits


@dataclasses.dataclass(frozen=True)
class Unit:
  """What one process does.

  Attributes:
    name: Hash of what is computed.
    kind: One of `KINDS`.
    flags: The flags of its sweep, but for the folders.
    needs: Names of the units that come before; a cohort's is that of its targets.
    title: What it is, for people.
  """

  name: str
  kind: str
  flags: tuple[str, ...]
  needs: tuple[str, ...]
  title: str


class Store:
  """Where the units of a workdir lie. Making one touches nothing.

  Attributes:
    path: The workdir of the whole.
    list: The units, one in each line.
    units: A folder for each unit.
    submitted: What was handed to a scheduler.
    merged: What the last merge found, see `merge.Merged`.
  """

  def __init__(self, path: str | pathlib.Path):
    self.path = pathlib.Path(path)
    self.list = self.path / 'units.jsonl'
    self.units = self.path / 'units'
    self.submitted = self.path / 'submitted'
    self.merged = self.path / 'merged.json'

  def folder(self, name: str) -> pathlib.Path:
    """The folder of a unit: its count of retries, its last status, its workdir."""
    return self.units / name

  def workdir(self, name: str) -> pathlib.Path:
    """The workdir of a unit's sweep."""
    return self.units / name / 'work'

  def write(self, units: Sequence[Unit]) -> None:
    """Writes the list of units; a damaged one is written anew.

    Raises:
      InputError: The folder holds the units of another sweep, or cannot be written.
    """
    try:
      there = {unit.name for unit in self.read()}
    except InputError:
      there = set()
    if there and there != {unit.name for unit in units}:
      raise InputError(
        f'--workdir={self.path} holds the units of another sweep; name another workdir,'
        f' or go on with that one by --workdir={self.path} --resume'
      )
    lines = (json.dumps(dataclasses.asdict(unit)) + '\n' for unit in units)
    try:
      self.path.mkdir(parents=True, exist_ok=True)
      atomic.write_text(self.list, ''.join(lines), shared=True)
    except OSError as error:
      raise InputError(
        f'--workdir={self.path} cannot be written: {error.strerror}; name another'
      ) from error

  def read(self) -> list[Unit]:
    """The units, each behind those it needs.

    Raises:
      InputError: There is no list, or a line of it is damaged.
    """
    try:
      text = self.list.read_text(encoding='utf-8')
    except (OSError, UnicodeDecodeError) as error:
      raise InputError(
        f'--workdir={self.path} holds no units.jsonl; plan units by python -m'
        ' launch.submit --flagfile=FILE --workdir=DIR --cluster=local:2'
      ) from error
    return [
      self._parse(number, line)
      for number, line in enumerate(text.splitlines(), start=1)
    ]

  def _parse(self, number: int, line: str) -> Unit:
    try:
      values: dict[str, Any] = json.loads(line)
      # Units share most of their flags: one text serves them all.
      shared = {n: tuple(map(sys.intern, values[n])) for n in ('flags', 'needs')}
      values |= shared
      unit = Unit(**values)
    except (ValueError, TypeError, LookupError, RecursionError):
      unit = None
    is_plain = unit is not None and (
      isinstance(unit.name, str) and unit.name.isalnum() and unit.kind in KINDS
    )
    if not is_plain:
      raise InputError(
        f'{self.list} line {number} is damaged; submit the same sweep again, which'
        ' writes it anew'
      )
    assert unit is not None
    return unit


def find(units: Iterable[Unit], name: str) -> Unit:
  """The unit of a name.

  Raises:
    InputError: There is none.
  """
  for unit in units:
    if unit.name == name:
      return unit
  raise InputError(f'--unit={name} is not in units.jsonl; --status lists all units')


def plan_units(plan: 'Plan', per: str = 'cohort') -> list[Unit]:
  """The units of a planned sweep, each behind those it needs; the last one merges.

  Args:
    plan: The sweep, see `sweep.make_plan`.
    per: `cohort`: the targets of a seed, then each attack on each shape of activation
      of theirs. `seed`: all of a seed.

  Raises:
    InputError: The sweep cannot be cut into units.
  """
  config = plan.config
  if config.tune:
    raise InputError(
      '--tune has each unit measure convolutions for itself, so that their rows could'
      ' not be joined; leave it out, or keep what it measured in models/choices.json'
    )
  whole = dataclasses.asdict(config) | {'profile': None}
  del whole['workdir']
  made: list[Unit] = []
  targets: dict[int, tuple[str, ...]] = {}
  if per == 'seed':
    for seed in config.seeds:
      made.append(_make('seed', whole | {'seeds': (seed,)}, (), f'seed {seed}'))
  else:
    is_trained = config.target_weights is None and config.targets_from is None
    for seed in config.seeds if is_trained else ():
      unit = _make('targets', whole | {'seeds': (seed,)}, (), f'targets, seed {seed}')
      made.append(unit)
      targets[seed] = (unit.name,)
    for title, part in _list_cohorts(plan):
      for seed in config.seeds:
        values = whole | part | {'seeds': (seed,), 'theory': False}
        needs = targets.get(seed, ())
        made.append(_make('cohort', values, needs, f'{title}, seed {seed}'))
  needs = tuple(unit.name for unit in made if unit.kind != 'targets')
  return [*made, _make('merge', whole, needs, 'merge')]


def _list_cohorts(plan: 'Plan') -> Iterator[tuple[str, dict[str, Any]]]:
  """The title of each cohort of each attack, and the fields that choose it.

  An attack with places of its own stays whole: its text names them all, and is refused
  where --splits does not choose each of them.
  """
  for attack, places in plan.attacked.items():
    chosen = {'attack': (attack.text,)}
    if attack.at or attack.reads_prediction:
      yield attack.text, chosen
      continue
    shapes: dict[tuple[int, ...], list[str]] = {}
    for split in places:
      shapes.setdefault(plan.shapes[split].shape, []).append(split)
    for shape, splits in shapes.items():
      name = 'x'.join(map(str, shape))
      yield f'{name} {attack.text}', chosen | {'splits': tuple(splits)}


def _make(
  kind: str, values: dict[str, Any], needs: tuple[str, ...], title: str
) -> Unit:
  from gpz_jax.study.serialization import write_flags

  told = fields.in_scope(SweepConfig, 'targets', 'rows')
  content = json.dumps([kind, {name: values[name] for name in told}])
  name = hashlib.blake2b(content.encode()).hexdigest()[:NAME]
  flags = tuple(map(sys.intern, write_flags(values).splitlines()))
  return Unit(name, kind, flags, needs, title)
