"""Snapshots of a running training in the workdir, and what they may go on under."""

import pathlib
import shutil
import time
from typing import Any

import numpy as np

from gpz_jax import checkpoints
from gpz_jax.study import conditions
from gpz_jax.training.engine import Engine
from gpz_jax.training.snapshots import Snapshot

MOST_SHARE = 0.05  # of the time that may go into saving
MOST_STEPS = 10**9  # of an epoch: makes the numbers of snapshots increase monotonically


class SnapshotStore:
  """Keeps the snapshots of one training.

  Two snapshots are kept. If the newer one is damaged, the older one is used; if both
  are, the training begins again and says so.

  Args:
    folder: Folder for this training alone.
    identity: JSON values that tell this training from others. A snapshot with another
      identity is not used.
    engine: How lanes are computed.
    seconds: Least time in seconds between two snapshots.
    say: Told what is found.
  """

  def __init__(
    self,
    folder: pathlib.Path,
    identity: dict[str, Any],
    engine: Engine,
    seconds: float,
    say: checkpoints.Say,
  ):
    self.changed = ''  # what the training began under and no longer runs under
    self._folder, self._identity, self._say = folder, identity, say
    self._environment = conditions.environment(engine)
    self._seconds, self._last, self._cost = seconds, time.monotonic(), 0.0

  def load(self, like: Any) -> Snapshot | None:
    """The last intact snapshot of this very training."""
    meta = checkpoints.read_meta(self._folder)
    if meta is not None and meta.get('identity') != self._identity:
      return self._begin_again('the snapshot is of another training')
    found = checkpoints.restore(self._folder, like, say=self._say)
    if found is None:
      return self._begin_again('no intact snapshot')
    (states, loss), meta = found
    self.changed = '; '.join(
      filter(
        None,
        (
          meta['changed'],
          conditions.contrast(meta['environment'], self._environment),
        ),
      )
    )
    if self.changed:
      self._say(
        f'warning: {self._folder.name} goes on under other conditions ({self.changed});'
        ' its rows say so and may differ in their last bits'
      )
    self._say(
      f'{self._folder.name}: goes on after epoch {meta["epoch"]}, step {meta["step"]}'
    )
    history = {
      name: np.array(rows, np.float32) for name, rows in meta['history'].items()
    }
    return Snapshot(states, loss, meta['epoch'], meta['step'], history)

  def _begin_again(self, reason: str) -> None:
    if self._folder.exists():
      self._say(f'{self._folder.name}: {reason}; it begins again')
      self.drop()

  def is_due(self) -> bool:
    """Whether the interval is over, and saving takes a small share of the time."""
    wait = max(self._seconds, self._cost / MOST_SHARE)
    return time.monotonic() - self._last >= wait

  def save(self, snapshot: Snapshot) -> None:
    """Writes a snapshot; the one before it is kept too."""
    began = time.monotonic()
    meta = {
      'identity': self._identity,
      'environment': self._environment,
      'changed': self.changed,
      'epoch': snapshot.epoch,
      'step': snapshot.step,
      'history': {name: rows.tolist() for name, rows in snapshot.history.items()},
    }
    step = MOST_STEPS * snapshot.epoch + snapshot.step
    checkpoints.save(self._folder, (snapshot.states, snapshot.loss), meta, step=step)
    self._last = time.monotonic()
    self._cost = self._last - began

  def drop(self) -> None:
    """Removes the snapshots: the training is over and its result is kept."""
    shutil.rmtree(self._folder, ignore_errors=True)
