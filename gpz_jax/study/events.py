"""What a study writes for TensorBoard: curves over epochs, a folder for each run."""

import contextlib
import os
import pathlib
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any

from gpz_jax.filenames import safe
from gpz_jax.training.snapshots import History
from gpz_jax.types import Lane


@contextlib.contextmanager
def _without_torch() -> Iterator[None]:
  """Makes an import of torch fail, as if it were not installed.

  tensorboardX imports it to name a type, and every sweep would wait for that.
  """
  if 'torch' in sys.modules:
    yield
    return
  sys.modules['torch'] = None  # pyright: ignore[reportArgumentType] None makes an import fail
  try:
    yield
  finally:
    del sys.modules['torch']


with _without_torch():
  from tensorboardX.event_file_writer import EventsWriter
  from tensorboardX.proto import event_pb2


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
