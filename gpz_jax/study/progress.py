"""What a running study says: a bar on a terminal, plain lines elsewhere."""

import contextlib
import os
import pathlib
import resource
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import Any

import numpy as np
import rich.console
import rich.progress
from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto import event_pb2

from gpz_jax.filenames import safe
from gpz_jax.training.snapshots import History
from gpz_jax.types import Lane

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


def name_run(lane: Lane, *more: str) -> str:
  """The name of a lane's run in TensorBoard: 'cnn/alpha=0/seed=0'.

  Args:
    lane: The target.
    more: What tells apart several trainings on one target, such as the split.
  """
  treatment = str(lane.treatment).replace(', ', '_').replace(' ', '=')
  return '/'.join(map(safe, (lane.model, treatment, f'seed={lane.seed}', *more)))


class Events:
  """Curves over epochs for TensorBoard: a folder for each run, with a file a training.

  Written in this thread, so that a full disk is an error like any other.
  """

  def __init__(self, folder: pathlib.Path):
    self._folder = folder
    self._written = 0

  def write(self, kind: str, runs: Sequence[str], history: History) -> None:
    """Writes the curves of a finished training.

    Args:
      kind: What was trained, the first part of each tag: 'target/loss'.
      runs: The name of each lane's run, see `name_run`.
      history: The values of each epoch: name -> [epochs, L].
    """
    for lane, run in enumerate(runs):
      folder = self._folder / run
      folder.mkdir(parents=True, exist_ok=True)
      self._written += 1  # two files of one second would have the same name
      ending = f'.{os.getpid()}.{self._written}'
      with contextlib.closing(EventsWriter(str(folder / 'events'), ending)) as writer:
        for name, rows in history.items():
          for epoch, values in enumerate(rows, 1):
            # `tensorboardX.summary.scalar` would put a _ for each : and = of an attack,
            # so that two attacks could share a tag.
            point = {'tag': f'{kind}/{name}', 'simple_value': float(values[lane])}
            writer.write_event(_make_event(epoch, point))


def _make_event(epoch: int, point: dict[str, Any]) -> Any:
  summary = {'value': [point]}
  return event_pb2.Event(wall_time=time.time(), step=epoch, summary=summary)  # pyright: ignore[reportAttributeAccessIssue] made when imported
