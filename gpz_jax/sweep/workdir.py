"""The folder of a sweep: which run it belongs to, and what is in it already."""

import contextlib
import dataclasses
import errno
import fcntl
import os
import pathlib
import platform
import shutil
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from gpz_jax import atomic, checkpoints, results
from gpz_jax.models import choices
from gpz_jax.study.serialization import to_flags, to_json
from gpz_jax.sweep.config import (
  NOT_IDENTITY,
  TARGET_FIELDS,
  SweepConfig,
  target_lanes,
  validate,
)
from gpz_jax.types import InputError

# What a run leaves that is killed before it has written its config.
_FIRST = {'lock', 'config.json.partial'}
# What the disk says when it, and not the choice of the folder, is to blame.
_DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


def read_config(workdir: pathlib.Path) -> SweepConfig:
  """The config of the sweep in a workdir, wherever that lies now.

  Raises:
    InputError: there is none, or it is no config of this version.
  """
  path = workdir / 'config.json'
  if not path.is_file():
    raise InputError(f'--workdir={workdir} holds no config.json; name that of a sweep')
  values = results.read_object(path)
  names = {field.name for field in dataclasses.fields(SweepConfig)}
  if strange := sorted(names ^ set(values)):
    raise InputError(f'{path} is of another version: it differs in {strange[0]}')
  lists = {name: tuple(v) for name, v in values.items() if isinstance(v, list)}
  values |= lists | {'workdir': str(workdir)}
  try:
    return validate(SweepConfig(**values))
  except (InputError, TypeError) as error:
    raise InputError(f'{path} is damaged: {error}') from error


def check(config: SweepConfig) -> list[results.Row]:
  """The rows already finished in the workdir; touches nothing.

  Raises:
    InputError: the workdir belongs to another config, naming the first field that
      differs, is not a folder, or a file in it is damaged.
  """
  workdir = pathlib.Path(config.workdir)
  try:
    return _check(config, workdir)
  except OSError as error:
    raise InputError(
      f'--workdir={workdir} cannot be read: {error.strerror}; name another'
    ) from error


def _check(config: SweepConfig, workdir: pathlib.Path) -> list[results.Row]:
  if workdir.exists() and not workdir.is_dir():
    raise InputError(f'--workdir={workdir} is not a folder; name another')
  theirs = results.read_object(workdir / 'config.json')
  if not theirs:
    if workdir.is_dir() and {path.name for path in workdir.iterdir()} - _FIRST:
      raise InputError(
        f'--workdir={workdir} holds files but no config.json; name an empty folder'
      )
    return []
  if strange := sorted(theirs.keys() - to_json(config).keys()):
    raise InputError(
      f"--workdir={workdir}: config.json has '{strange[0]}', which this version of"
      ' gpz_jax does not know; use the version that wrote it, or name another workdir'
    )
  if name := _first_difference(config, theirs, set(to_json(config)) - {*NOT_IDENTITY}):
    raise InputError(
      f'--workdir={workdir} holds another sweep: {_contrast(name, config, theirs)};'
      ' name another workdir, or repeat that sweep with'
      f' --flagfile={workdir / "run.flags"}'
    )
  results.read_ladder(workdir)
  if config.tune:
    read_tuned(workdir)
  rows = workdir / 'results.jsonl'
  return results.read_rows(rows) if rows.exists() else []


def read_tuned(workdir: pathlib.Path) -> choices.Table | None:
  """The convolutions' implementations that --tune found; None where it did not run.

  Raises:
    InputError: tuned.json is damaged or names no such implementation.
  """
  path = workdir / 'tuned.json'
  if not path.exists():
    return None
  content = results.read_object(path)
  try:
    return choices.check_table(content)
  except ValueError as error:
    raise InputError(
      f'{path} is damaged ({error}); remove it to have the convolutions measured anew'
    ) from error


@contextlib.contextmanager
def locked(workdir: pathlib.Path, say: checkpoints.Say) -> Iterator[None]:
  """Keeps every other process from writing the workdir; readers are free.

  The lock is the kernel's, on an open file: it ends with the process, however that
  ends, and holds between machines on a shared file system (NFS passes flock on).

  Args:
    workdir: made if absent.
    say: told where the file system knows no locks.

  Raises:
    InputError: another process has it, naming it, or the folder cannot be written.
  """
  path = workdir / 'lock'
  with contextlib.ExitStack() as stack:
    with _writing(workdir):
      workdir.mkdir(parents=True, exist_ok=True)
      file = stack.enter_context(path.open('a+'))
    try:
      fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
      raise _in_use(workdir) from None
    except OSError as error:
      say(
        f'warning: --workdir={workdir} cannot be locked ({error.strerror}); make sure'
        ' that no other process writes it'
      )
    with _writing(workdir):
      file.truncate(0)
      file.write(f'process {os.getpid()} on {platform.node()}\n')
      file.flush()
    yield


def check_unlocked(workdir: pathlib.Path) -> None:
  """Raises InputError, naming the process, where a sweep is writing the workdir."""
  path = workdir / 'lock'
  if not path.exists():
    return
  with path.open() as file:
    try:
      fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
      raise _in_use(workdir) from None
    except OSError:
      return  # no locks on this file system


def _in_use(workdir: pathlib.Path) -> InputError:
  holder = (workdir / 'lock').read_text().strip() or 'another process'
  return InputError(
    f'--workdir={workdir} is being written by {holder}; wait for it, or name another'
  )


@contextlib.contextmanager
def _writing(workdir: pathlib.Path) -> Iterator[None]:
  """Blames the choice of the folder for what cannot be written, but not a full disk."""
  try:
    yield
  except OSError as error:
    if error.errno in _DISK_ERRORS:
      raise
    raise InputError(
      f'--workdir={workdir} cannot be written: {error.strerror}; name another'
    ) from error


def has_targets(config: SweepConfig) -> bool:
  """Whether the workdir holds this sweep's trained targets."""
  meta = checkpoints.read_meta(pathlib.Path(config.workdir) / 'targets')
  ids = [lane.lane_id for lane in target_lanes(config)]
  return meta is not None and meta.get('lanes') == ids


def check_targets(config: SweepConfig) -> np.ndarray | None:
  """Where in the sweep `targets_from` the targets of this one are: rows [L].

  None without `targets_from`, or where the workdir has targets of its own.

  Raises:
    InputError: there is no such sweep, its targets are others, or one is missing.
  """
  if config.targets_from is None or has_targets(config):
    return None
  return _locate_targets(config, pathlib.Path(config.targets_from))


def _locate_targets(config: SweepConfig, source: pathlib.Path) -> np.ndarray:
  try:
    theirs = results.read_object(source / 'config.json')
  except (OSError, InputError) as error:
    raise InputError(
      f'--targets_from={source} holds no sweep ({error}); give the workdir of one'
    ) from error
  if not theirs:
    raise InputError(
      f'--targets_from={source} holds no sweep (there is no config.json); give the'
      ' workdir of one'
    )
  if name := _first_difference(config, theirs, set(TARGET_FIELDS)):
    raise InputError(
      f'--targets_from={source} has other targets: {_contrast(name, config, theirs)}'
    )
  ids = [lane.lane_id for lane in target_lanes(config)]
  there = (checkpoints.read_meta(source / 'targets') or {}).get('lanes', [])
  if absent := [lane_id for lane_id in ids if lane_id not in there]:
    raise InputError(
      f'--targets_from={source} lacks the targets of {len(absent)} of {len(ids)} alphas'
      ' and seeds; leave it out, or finish that sweep with them'
    )
  return np.array([there.index(lane_id) for lane_id in ids])


def find_targets(config: SweepConfig, workdirs: Iterable[pathlib.Path]) -> str | None:
  """The first of `workdirs` whose targets `targets_from` could name."""
  if has_targets(config):
    return None
  for workdir in workdirs:
    try:
      _locate_targets(config, workdir)
      return str(workdir)
    except InputError:
      continue
  return None


def _first_difference(
  config: SweepConfig, theirs: dict[str, Any], names: set[str]
) -> str | None:
  """The first field that differs; one that is younger than theirs had its default."""
  ours, default = to_json(config), to_json(SweepConfig())
  different = (n for n in ours if n in names and ours[n] != theirs.get(n, default[n]))
  return next(different, None)


def _contrast(name: str, config: SweepConfig, theirs: dict[str, Any]) -> str:
  there = theirs.get(name, to_json(SweepConfig())[name])
  return f'{name} is {there!r} there and {to_json(config)[name]!r} here'


def write_identity(config: SweepConfig) -> None:
  """Writes what identifies the run; the config first, by which a folder is known."""
  workdir = pathlib.Path(config.workdir)
  with _writing(workdir):
    atomic.write_json(workdir / 'config.json', to_json(config))
    atomic.write_text(workdir / 'run.flags', to_flags(config))
    atomic.write_json(workdir / 'env.json', results.provenance())
    (workdir / 'samples').mkdir(exist_ok=True)


def tidy(workdir: pathlib.Path) -> None:
  """Removes what only an unfinished sweep needs."""
  for name in ('running', 'activations'):
    shutil.rmtree(workdir / name, ignore_errors=True)
