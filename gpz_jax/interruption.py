"""Ends a run in good order when a signal asks for it.

A run that is interrupted notes the first signal and looks for it between pieces of
work (`check`), where everything is saved; a second signal ends it at once. One that
comes within `GRACE` of the first does not count: Slurm sends SIGTERM to a script and to
what the script runs, and a script that hands it on makes two of it.
"""

import contextlib
import ctypes
import signal
import threading
from collections.abc import Iterator
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
GRACE = 1.0  # seconds in which several signals count as one


class Interrupted(Exception):  # noqa: N818 it is no error
  """A signal asked the run to end. What is finished is saved."""


_received: list[signal.Signals] = []
_grace: list[threading.Timer] = []


@contextlib.contextmanager
def handled() -> Iterator[None]:
  """Within this context the first signal is noted; a later one ends the process.

  Python delivers signals to the main thread only. In other threads this does nothing.
  """
  if threading.current_thread() is not threading.main_thread():
    yield
    return
  _received.clear()
  before = {number: signal.signal(number, _note) for number in SIGNALS}
  try:
    yield
  finally:
    while _grace:
      timer = _grace.pop()
      timer.cancel()
      if timer.finished.is_set():
        timer.join()  # it may be within `_let_end`
    for number, handler in before.items():
      signal.signal(number, handler)
    _received.clear()


def _note(number: int, frame: Any) -> None:
  del frame
  _received.append(signal.Signals(number))
  for each in SIGNALS:
    signal.signal(each, signal.SIG_IGN)
  timer = threading.Timer(GRACE, _let_end)
  timer.daemon = True
  timer.start()
  _grace.append(timer)


def _let_end() -> None:
  """Gives the signals the system's default, which ends the process at once.

  Python's own handlers would wait for compiled code to return, and Python lets only the
  main thread set any. The C library lets every thread.
  """
  set_handler = ctypes.CDLL(None).signal
  set_handler.restype = ctypes.c_void_p
  set_handler.argtypes = (ctypes.c_int, ctypes.c_void_p)
  for each in SIGNALS:
    set_handler(each, int(signal.SIG_DFL))


def requested() -> bool:
  """Whether a signal has come."""
  return bool(_received)


def check() -> None:
  """Raises Interrupted if a signal has come."""
  if _received:
    raise Interrupted(f'{_received[0].name} received')
