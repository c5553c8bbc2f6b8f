"""Studies that were run by themselves, joined as if they were the units of one.

They may differ in one field that chooses lanes: in their seeds, say, or their splits.
"""

import collections
import dataclasses
import itertools
import os
import pathlib
from collections.abc import Sequence
from typing import NamedTuple

from gpz_jax import report
from gpz_jax.launching import comparable, parts
from gpz_jax.launching.studies import MODEL_INVERSION, STUDIES, SWEEP
from gpz_jax.launching.units import Store, Unit
from gpz_jax.model_inversion.config import GIVEN
from gpz_jax.study import fields
from gpz_jax.study.config import StudyConfig
from gpz_jax.study.serialization import first_difference, to_json
from gpz_jax.study.workdir import Workdir
from gpz_jax.types import InputError

# What attacker and judge have, and the flag by which a study takes it from another.
_LENT = (('evaluator', 'evaluator_from'), ('generator', 'prior_from'))
# Fields that choose what is done with a target, so that studies share their targets.
_OF_ATTACKS = ('splits', 'attack')


class Folders(Store):
  """Studies in folders of their own, as units whose names are the folders."""

  def folder(self, name: str) -> pathlib.Path:
    """The folder of a unit, which is the workdir of its study."""
    return pathlib.Path(name)

  def workdir(self, name: str) -> pathlib.Path:
    """The workdir of a unit's study."""
    return pathlib.Path(name)


class Whole(NamedTuple):
  """What `merge` takes."""

  config: StudyConfig
  units: list[Unit]
  store: Folders
  study: str  # one of `STUDIES`


def plan_whole(workdir: str, folders: Sequence[str]) -> Whole:
  """The study that others are parts of.

  Args:
    workdir: Where it goes.
    folders: The workdirs of the others.

  Raises:
    InputError: A folder holds no study; they do not differ in one list of lanes alone;
      or the evaluators, generators or targets that they share are not the same.
  """
  paths = [os.path.normpath(folder) for folder in folders]
  _check_folders(workdir, paths)
  study = _name_study(paths)
  workdirs = [Workdir(path) for path in paths]
  configs = [each.read_config(STUDIES[study].config) for each in workdirs]
  field = _find_difference(configs)
  if field in _OF_ATTACKS:
    _check_same(workdirs, 'targets', 'targets_from')
  for name, flag in _LENT if study == MODEL_INVERSION else ():
    _check_same(workdirs, name, flag)
  config = _join_configs(configs, field, workdir)
  units = [Unit(path, 'seed', (), (), 'one of --studies', study) for path in paths]
  return Whole(config, units, Folders(workdir), study)


def _check_folders(workdir: str, paths: Sequence[str]) -> None:
  """Raises InputError unless several folders are to be joined in one more."""
  places = {os.path.realpath(path) for path in paths}
  if len(places) < max(2, len(paths)):
    raise InputError(
      f'--studies={",".join(paths)} must name two workdirs or more, each of them once'
    )
  if os.path.realpath(workdir) in places:
    raise InputError(
      f'--workdir={workdir} is one of --studies; name another folder for the whole'
    )
  if Store(workdir).list.exists():
    raise InputError(
      f'--workdir={workdir} holds units of a study of its own; name another folder, or'
      ' leave out --studies to join those'
    )


def _name_study(paths: Sequence[str]) -> str:
  """Which of `STUDIES` the folders hold; raises InputError where they hold both."""
  kinds = {report.is_inversion(path): path for path in paths}
  if len(kinds) > 1:
    raise InputError(
      f'--studies={kinds[False]} is a sweep and {kinds[True]} a study of model'
      ' inversion, which have no table in common; gpz-threats shows both'
    )
  return MODEL_INVERSION if True in kinds else SWEEP


def _find_difference(configs: Sequence[StudyConfig]) -> str:
  """The one field in which studies differ.

  Raises:
    InputError: They differ in more, in nothing, or in something that is no list of
      lanes; or two of them have a seed or treatment in common.
  """
  first = configs[0]
  told = fields.in_scope(type(first), 'targets', 'rows')
  fixed = tuple(name for name in told if name not in parts.FREE)
  for other in configs[1:]:
    if difference := first_difference(first, to_json(other), fixed):
      raise InputError(
        f'--studies={other.workdir} is of another {first.word} than {first.workdir}:'
        f' {difference}; only one of {", ".join(parts.FREE)} may differ'
      )
  values = {
    name: [getattr(each, name) for each in configs]
    for name in parts.FREE
    if hasattr(first, name)
  }
  differing = [name for name, found in values.items() if len(set(found)) > 1]
  given = f'--studies={",".join(each.workdir for each in configs)}'
  if len(differing) != 1 or not isinstance(values[differing[0]][0], tuple):
    raise InputError(
      f'{given} differ in {" and ".join(differing) or "nothing"}; they must differ in'
      ' one list alone, such as seeds, so that the whole has all combinations'
    )
  (field,) = differing
  counts = collections.Counter(itertools.chain.from_iterable(values[field]))
  if twice := [value for value, count in counts.items() if count > 1]:
    raise InputError(
      f'{given}: {field}={twice[0]} is in several of them; it must be in one alone, so'
      ' that each row has one origin'
    )
  return field


def _join_configs(
  configs: Sequence[StudyConfig], field: str, workdir: str
) -> StudyConfig:
  """The config of which each of `configs` is a part, differing in `field`."""
  values = itertools.chain.from_iterable(getattr(each, field) for each in configs)
  # What they took from others lies in their own workdirs, and is taken from there.
  taken = [name for name in ('targets_from', *GIVEN) if hasattr(configs[0], name)]
  return dataclasses.replace(
    configs[0],
    **{field: tuple(values), 'workdir': workdir} | dict.fromkeys(taken),
  )


def _check_same(workdirs: Sequence[Workdir], name: str, flag: str) -> None:
  """Raises InputError unless all studies have the same of what one may lend another.

  Args:
    workdirs: Of the studies; those that lack it are passed over.
    name: `targets`, `evaluator` or `generator`.
    flag: The flag by which a study takes it from another one.
  """
  there = [each for each in workdirs if getattr(each, name).exists()]
  for other in there[1:]:
    theirs, ours = (getattr(each, name) for each in (other, there[0]))
    if comparable.identify(theirs) != comparable.identify(ours):
      raise InputError(
        f'--studies={other.path} has another {name} than {there[0].path}, so that their'
        f' rows do not belong together; run it again with --{flag}={there[0].path}'
      )
