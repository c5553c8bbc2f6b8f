"""Targets of another study, which `targets_from` names."""

import pathlib
from collections.abc import Iterable
from typing import Any

import numpy as np

from gpz_jax import checkpoints, results
from gpz_jax.study import fields
from gpz_jax.study.config import StudyConfig
from gpz_jax.study.serialization import first_difference
from gpz_jax.study.workdir import Workdir
from gpz_jax.types import InputError


def has_targets(config: StudyConfig) -> bool:
  """Whether the workdir holds this study's trained targets."""
  meta = checkpoints.read_meta(Workdir(config.workdir).targets)
  ids = [lane.lane_id for lane in config.list_lanes()]
  return meta is not None and meta.get('lanes') == ids


def locate(config: StudyConfig, *, is_damaged: bool = False) -> np.ndarray | None:
  """Where in the study `targets_from` the targets of this one are: rows [L].

  None without `targets_from`, or where the workdir has targets of its own. Their
  precision may differ, because parameters are float32 in any.

  Args:
    config: What is asked for.
    is_damaged: Whether those that the workdir has are damaged.

  Raises:
    InputError: There is no such study, its targets are others, or one is missing.
  """
  if config.targets_from is None or (has_targets(config) and not is_damaged):
    return None
  return _locate(config, Workdir(config.targets_from), ignored=('precision',))


def read_source(flag: str, source: Workdir) -> dict[str, Any]:
  """The config.json of another study, which a flag names to take something of it.

  Raises:
    InputError: There is no such study.
  """
  try:
    theirs = results.read_object(source.config)
  except (OSError, InputError) as error:
    raise InputError(
      f'--{flag}={source} holds no study ({error}); give the workdir of one'
    ) from error
  if not theirs:
    raise InputError(
      f'--{flag}={source} holds no study (there is no config.json); give the'
      ' workdir of one'
    )
  return theirs


def _locate(
  config: StudyConfig, source: Workdir, ignored: tuple[str, ...] = ()
) -> np.ndarray:
  theirs = read_source('targets_from', source)
  names = fields.in_scope(type(config), 'targets')
  names = tuple(name for name in names if name not in ignored)
  if difference := first_difference(config, theirs, names):
    raise InputError(f'--targets_from={source} has other targets: {difference}')
  if theirs.get('public_dataset') and getattr(config, 'aux_dataset', '') is None:
    raise InputError(
      f'--targets_from={source} is a study of model inversion, which chose epochs on'
      " the images that would be the attacker's; give --aux_dataset"
    )
  ids = [lane.lane_id for lane in config.list_lanes()]
  there = (checkpoints.read_meta(source.targets) or {}).get('lanes', [])
  if absent := [lane_id for lane_id in ids if lane_id not in there]:
    raise InputError(
      f'--targets_from={source} lacks the targets of {len(absent)} of {len(ids)} alphas'
      ' and seeds; leave it out, or finish that study with them'
    )
  return np.array([there.index(lane_id) for lane_id in ids])


def find_targets(config: StudyConfig, workdirs: Iterable[pathlib.Path]) -> str | None:
  """The first of `workdirs` whose targets `targets_from` could name."""
  if has_targets(config):
    return None
  for workdir in workdirs:
    try:
      _locate(config, Workdir(workdir))
      return str(workdir)
    except InputError:
      continue
  return None
