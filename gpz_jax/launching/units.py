"""What a study is cut into, and the files that say so.

A unit of a sweep is a sweep of its own over one seed, one shape of activation and one
attack, in a folder of its own. One of model inversion is a study of one target and one
attack, see `inversion_units`. The name of a unit is a hash of what it computes, so that
planning twice gives the same units.
"""

import dataclasses
import hashlib
import json
import pathlib
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from gpz_jax import atomic
from gpz_jax.launching.studies import STUDIES, SWEEP
from gpz_jax.study import fields
from gpz_jax.types import InputError

if TYPE_CHECKING:  # planning needs JAX, and listing must not wait for it
  from gpz_jax.study.config import StudyConfig
  from gpz_jax.sweep.plan import Plan

PER = ('cohort', 'seed')
# What a unit may train for those behind it, which name it by the flag --KIND_from.
TRAINED = ('evaluator', 'prior', 'targets')
# What else it does: it attacks one cohort of the targets of a sweep, or one target of
# model inversion, does all of one seed, or joins what the others found.
KINDS = (*TRAINED, 'cohort', 'attack', 'seed', 'merge')
NAME = 12  # hexadecimal digits


@dataclasses.dataclass(frozen=True)
class Unit:
  """What one process does.

  Attributes:
    name: Hash of what is computed.
    kind: One of `KINDS`.
    flags: The flags of its study, but for the folders.
    needs: Names of the units that come before, as those that trained its targets.
    title: What it is, for people.
    study: The study that it is a part of, see `studies.STUDIES`.
  """

  name: str
  kind: str
  flags: tuple[str, ...]
  needs: tuple[str, ...]
  title: str
  study: str = SWEEP


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
    """The workdir of a unit's study."""
    return self.units / name / 'work'

  def write(self, units: Sequence[Unit]) -> None:
    """Writes the list of units; a damaged one is written anew.

    Raises:
      InputError: The folder holds the units of another study, or cannot be written.
    """
    try:
      there = {unit.name for unit in self.read()}
    except InputError:
      there = set()
    if there and there != {unit.name for unit in units}:
      raise InputError(
        f'--workdir={self.path} holds the units of another study; name another workdir,'
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
      isinstance(unit.name, str)
      and unit.name.isalnum()
      and unit.kind in KINDS
      and unit.study in STUDIES
    )
    if not is_plain:
      raise InputError(
        f'{self.list} line {number} is damaged; submit the same study again, which'
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
  whole = make_whole(config)
  made: list[Unit] = []
  targets: dict[int, tuple[str, ...]] = {}
  if per == 'seed':
    for seed in config.seeds:
      made.append(make(SWEEP, 'seed', whole | {'seeds': (seed,)}, (), f'seed {seed}'))
  else:
    targets = plan_targets(SWEEP, config, made)
    later = {'theory': False, 'theory_every': None}  # targets are trained before them
    for title, part in _list_cohorts(plan):
      for seed in config.seeds:
        values = whole | part | later | {'seeds': (seed,)}
        needs = targets.get(seed, ())
        made.append(make(SWEEP, 'cohort', values, needs, f'{title}, seed {seed}'))
  return [*made, make_merge(SWEEP, config, made)]


def make_whole(config: 'StudyConfig') -> dict[str, Any]:
  """The fields of a study that its units begin with."""
  whole = dataclasses.asdict(config) | {'profile': None}
  del whole['workdir']
  return whole


def plan_targets(
  study: str, config: 'StudyConfig', made: list[Unit]
) -> dict[int, tuple[str, ...]]:
  """Appends a unit of targets for each seed, where targets are trained.

  Returns:
    What the units of each seed need.
  """
  is_imported = config.target_weights is not None and not config.finetune
  if is_imported or config.targets_from is not None:
    return {}
  whole, found = make_whole(config), {}
  for seed in config.seeds:
    values = whole | {'seeds': (seed,)}
    unit = make(study, 'targets', values, (), f'targets, seed {seed}')
    made.append(unit)
    found[seed] = (unit.name,)
  return found


def make_merge(study: str, config: 'StudyConfig', made: Sequence[Unit]) -> Unit:
  """The unit that joins the others."""
  needs = tuple(unit.name for unit in made if unit.kind not in TRAINED)
  return make(study, 'merge', make_whole(config), needs, 'merge')


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


def make(
  study: str, kind: str, values: dict[str, Any], needs: tuple[str, ...], title: str
) -> Unit:
  """A unit, named by what it computes.

  Args:
    study: The study that it is a part of.
    kind: One of `KINDS`.
    values: The fields of its config but the workdir.
    needs: Names of the units that come before.
    title: What it is, for people.
  """
  from gpz_jax.study.serialization import write_flags

  told = fields.in_scope(STUDIES[study].config, 'targets', 'rows')
  content = json.dumps([kind, {name: values[name] for name in told}])
  name = hashlib.blake2b(content.encode()).hexdigest()[:NAME]
  flags = tuple(map(sys.intern, write_flags(values).splitlines()))
  return Unit(name, kind, flags, needs, title, study)
