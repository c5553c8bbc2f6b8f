"""Standard streams that no work depends on: somebody may close them at any time."""

import errno
import io
import os
import sys

# What a write says if a pipe has no reader, or a terminal is gone.
_GONE = (errno.EPIPE, errno.EIO, errno.EBADF)


class _Output(io.FileIO):
  """A descriptor to write to. What is written after its reader has gone is dropped."""

  def write(self, data, /) -> int | None:
    try:
      return super().write(data)
    except OSError as error:
      if error.errno not in _GONE:
        raise
      nowhere = os.open(os.devnull, os.O_WRONLY)
      os.dup2(nowhere, self.fileno())
      os.close(nowhere)
      return memoryview(data).nbytes


def open_closed() -> None:
  """Opens the null device for each of the descriptors 0, 1 and 2 that is closed.

  The next files that are opened would otherwise have these numbers, and what libraries
  print would be written into them.
  """
  while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
    pass
  os.close(number)


def outlive_readers() -> None:
  """Lets what is printed vanish from now on, once its reader has gone."""
  for name in ('stdout', 'stderr'):
    stream = getattr(sys, name)
    if not isinstance(stream, io.TextIOWrapper):  # it was closed before we began
      continue
    stream.flush()
    steady = io.TextIOWrapper(
      io.BufferedWriter(_Output(stream.fileno(), 'w', closefd=False)),
      encoding=stream.encoding,
      errors=stream.errors,
      line_buffering=stream.line_buffering or name == 'stderr',
    )
    setattr(sys, name, steady)
