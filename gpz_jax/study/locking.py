"""One writer for a folder at a time, and whom to blame where it cannot be written."""

import contextlib
import errno
import fcntl
import os
import pathlib
import platform
from collections.abc import Callable, Iterator

from gpz_jax.types import BusyError, InputError

# What the disk says when it, and not the choice of the folder, is to blame.
_DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


@contextlib.contextmanager
def locked(
  folder: pathlib.Path, lock: pathlib.Path, say: Callable[[str], None]
) -> Iterator[None]:
  """Keeps every other process from writing a folder; readers are free.

  The lock is the kernel's, on an open file. It ends with the process, however that
  ends, and holds between machines on a shared file system (NFS passes flock on).

  Args:
    folder: Folder of a study, which is made if it is not there.
    lock: File in it that holds the lock and names the holder.
    say: Told where the file system knows no locks.

  Raises:
    BusyError: Another process has the lock, naming it.
    InputError: The folder cannot be written.
  """
  with contextlib.ExitStack() as stack:
    with blamed(folder):
      folder.mkdir(parents=True, exist_ok=True)
      file = stack.enter_context(lock.open('a+'))
    try:
      fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
      raise _in_use(folder, lock) from None
    except OSError as error:
      say(
        f'warning: --workdir={folder} cannot be locked ({error.strerror}); make sure'
        ' that no other process writes it'
      )
    with blamed(folder):
      file.truncate(0)
      file.write(f'process {os.getpid()} on {platform.node()}\n')
      file.flush()
    yield


def check_unlocked(folder: pathlib.Path, lock: pathlib.Path) -> None:
  """Raises BusyError, naming the process, where one is writing the folder."""
  if not lock.exists():
    return
  with lock.open() as file:
    try:
      fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
      raise _in_use(folder, lock) from None
    except OSError:
      return  # no locks on this file system


def _in_use(folder: pathlib.Path, lock: pathlib.Path) -> BusyError:
  holder = lock.read_text().strip() or 'another process'
  return BusyError(
    f'--workdir={folder} is being written by {holder}; wait for it, or name another'
  )


@contextlib.contextmanager
def blamed(folder: pathlib.Path) -> Iterator[None]:
  """Blames the choice of the folder for what cannot be written, but not a full disk."""
  try:
    yield
  except OSError as error:
    if error.errno in _DISK_ERRORS:
      raise
    raise InputError(
      f'--workdir={folder} cannot be written: {error.strerror}; name another'
    ) from error
