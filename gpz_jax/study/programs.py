"""Where compiled programs are kept, so that a second run need not compile."""

import contextlib
import os
import pathlib
import platform
import re
import stat
import warnings
from collections.abc import Iterator

import jax
from jax.experimental.compilation_cache import compilation_cache

import gpz_jax
from gpz_jax import filenames
from gpz_jax.types import stable_hash

AUTO = 'auto'  # the user's cache folder, or where JAX is told to keep them already
NONE = 'none'
LIMIT = 4 * 2**30  # bytes in the user's cache folder, over all versions
_FLAGS = ('jax_compilation_cache_dir', 'jax_persistent_cache_min_compile_time_secs')


def default_dir() -> pathlib.Path:
  """A folder in `filenames.user_cache()` for these versions and this processor.

  JAX's keys know the program and the versions, but not what the processor can
  do: a home folder may be shared by unlike machines.
  """
  flags = stable_hash(f'{platform.machine()} {_processor()}')
  versions = f'jax-{jax.__version__}-gpz_jax-{gpz_jax.__version__}'
  return _root() / f'{versions}-{flags:08x}'


def find_folder(named: str) -> str | None:
  """The folder that a config names, with the user's own for `auto`.

  The user's own is made where it is absent. Its entries are executed, so that it must
  belong to this user and be writable by nobody else; otherwise nothing is kept and a
  warning says why.

  Args:
    named: A folder, 'auto' or 'none'.

  Returns:
    None where JAX's own setting stays as it is.
  """
  if named != AUTO:
    return None if named in ('', NONE) else named
  if jax.config.values['jax_compilation_cache_dir']:
    return None
  try:
    folder = default_dir()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    reason = _find_fault(folder)
    if reason is None:
      prune(_root(), LIMIT)
      return str(folder)
  except OSError as error:
    reason = f'{error.filename!r}: {error.strerror}'
  except RuntimeError as error:  # there is no home folder
    reason = str(error)
  warnings.warn(
    f'compiled programs are not kept ({reason}); name a folder with --compile_cache, '
    'or --compile_cache=none',
    stacklevel=2,
  )
  return None


def prune(root: pathlib.Path, limit: int) -> None:
  """Removes the oldest files under a folder until the rest has `limit` bytes or less.

  Another process may remove them too, or still read them.
  """
  found = []
  for path in root.rglob('*'):
    with contextlib.suppress(FileNotFoundError):
      status = path.lstat()
      if stat.S_ISREG(status.st_mode):
        found.append((status.st_mtime, status.st_size, path))
  total = sum(size for _, size, _ in found)
  for _, size, path in sorted(found):
    if total <= limit:
      break
    path.unlink(missing_ok=True)
    total -= size


@contextlib.contextmanager
def kept(folder: str) -> Iterator[None]:
  """Within, JAX keeps every program it compiles in a folder.

  Small ones too: a study has hundreds of them, of 0.1 s each.
  """
  before = [jax.config.values[flag] for flag in _FLAGS]
  _configure(folder, 0.0)
  try:
    yield
  finally:
    _configure(*before)


def _configure(folder: str | None, least_seconds: float) -> None:
  for flag, value in zip(_FLAGS, (folder, least_seconds), strict=True):
    jax.config.update(flag, value)
  compilation_cache.reset_cache()  # it reads the name of its folder only once


def _root() -> pathlib.Path:
  return filenames.user_cache() / 'programs'


def _find_fault(folder: pathlib.Path) -> str | None:
  status = folder.stat()
  if status.st_uid != os.getuid():
    return f'{str(folder)!r} belongs to another user'
  if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
    return f'others may write to {str(folder)!r}'
  if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
    return f'{str(folder)!r} cannot be written to'
  return None


def _processor() -> str:
  """What the processor can do, as far as the system says."""
  with contextlib.suppress(OSError):
    text = pathlib.Path('/proc/cpuinfo').read_text(encoding='utf-8', errors='replace')
    if flags := re.search(r'^(?:flags|Features)\s*:(.*)$', text, re.MULTILINE):
      return flags[1].strip()
  return platform.processor()
