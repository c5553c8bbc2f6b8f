"""What a running study says: a bar on a terminal, plain lines elsewhere."""

import contextlib
import resource
import sys
import time
from collections.abc import Callable, Iterator
from types import TracebackType

import numpy as np
import rich.console
import rich.progress

PLAIN_SECONDS = 15.0  # between two plain lines of one phase


def format_seconds(seconds: float) -> str:
  """75 -> '1m15s'."""
  minutes, rest = divmod(round(seconds), 60)
  return f'{minutes}m{rest:02d}s' if minutes else f'{rest}s'


def count(number: int, noun: str) -> str:
  """1, 'lane' -> '1 lane'; 2, 'lane' -> '2 lanes'."""
  return f'{number} {noun}{"" if number == 1 else "s"}'


def peak_gigabytes() -> float:
  """Peak resident memory of this process so far."""
  unit = 1 if sys.platform == 'darwin' else 1024  # bytes there, kilobytes elsewhere
  return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30


class Progress:
  """Phases of a study, each with its rate and the time left."""

  def __init__(self, quiet: bool = False):
    self._console = rich.console.Console(quiet=quiet, highlight=False, soft_wrap=True)
    self._bar = rich.progress.Progress(
      rich.progress.TextColumn('{task.description}', markup=False),
      rich.progress.BarColumn(),
      rich.progress.TextColumn('{task.fields[status]}', markup=False),
      console=self._console,
      transient=True,
      disable=quiet or not self._console.is_terminal,
    )
    self._began = time.monotonic()

  def __enter__(self) -> 'Progress':
    self._bar.start()
    return self

  def __exit__(
    self,
    kind: type[BaseException] | None,
    error: BaseException | None,
    trace: TracebackType | None,
  ) -> None:
    self._bar.stop()

  def say(self, text: str) -> None:
    """One line, with the time since the start."""
    elapsed = format_seconds(time.monotonic() - self._began)
    self._console.print(f'[{elapsed:>6}] {text}', markup=False)

  @contextlib.contextmanager
  def phase(
    self, name: str
  ) -> Iterator[Callable[[int, int, dict[str, np.ndarray]], None]]:
    """Gives a `Trainer.fit` callback that shows this phase; it may start over."""
    task = self._bar.add_task(name, total=None, status='')
    last = time.monotonic()
    begun: tuple[float, int] | None = None  # the first report: it waited for a compile
    before = 0

    def on_progress(done: int, total: int, values: dict[str, np.ndarray]) -> None:
      nonlocal begun, before, last
      del values
      now = time.monotonic()
      if begun is None or done < before:
        begun = (now, done)
      before = done
      status = f'{done}/{total} steps'
      if done > begun[1]:
        rate = (done - begun[1]) / max(now - begun[0], 1e-9)
        left = format_seconds((total - done) / rate)
        status += f', {rate:.3g}/s, {left} left'
      self._bar.update(task, completed=done, total=total, status=status)
      if not self._console.is_terminal and now - last > PLAIN_SECONDS:
        last = now
        self.say(f'{name}: {status}')

    try:
      yield on_progress
    finally:
      self._bar.remove_task(task)
