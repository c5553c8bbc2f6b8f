"""Ends a run in good order when a signal asks for it.

A run that is interrupted notes the first signal and looks for it between pieces of
work (`check`), where everything is saved; a second signal ends it at once.
"""

import contextlib
import signal
import threading
from collections.abc import Iterator
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)


class Interrupted(Exception):  # noqa: N818 it is no error
  """A signal asked the run to end. What is finished is saved."""


_received: list[signal.Signals] = []


@contextlib.contextmanager
def handled() -> Iterator[None]:
  """Within this context the first signal is noted; the second ends the process.

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
    for number, handler in before.items():
      signal.signal(number, handler)
    _received.clear()


def _note(number: int, frame: Any) -> None:
  del frame
  _received.append(signal.Signals(number))
  # Python's own handlers would wait for compiled code to return; the system's default
  # ends the process at once.
  for each in SIGNALS:
    signal.signal(each, signal.SIG_DFL)


def requested() -> bool:
  """Whether a signal has come."""
  return bool(_received)


def check() -> None:
  """Raises Interrupted if a signal has come."""
  if _received:
    raise Interrupted(f'{_received[0].name} received')
