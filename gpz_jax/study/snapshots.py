"""Snapshots of a running training in the workdir, and what they may go on under."""

import pathlib
import shutil
import time
from typing import Any

import jax
import numpy as np

import gpz_jax
from gpz_jax import checkpoints
from gpz_jax.training.engine import Engine
from gpz_jax.training.snapshots import Snapshot

MOST_SHARE = 0.05  # of the time that may go into saving
MOST_STEPS = 10**9  # of an epoch: makes the numbers of snapshots increase monotonically


def environment(engine: Engine) -> dict[str, str]:
  """What bit-for-bit equality depends on."""
  return {
    'strategy': engine.strategy,
    'conv': engine.conv_name,
    'precision': engine.precision,
    'devices': str(engine.devices),
    'device kind': jax.devices()[0].device_kind,
    'jax': jax.__version__,
    'gpz_jax': gpz_jax.__version__,
  }


def contrast(before: dict[str, str], now: dict[str, str]) -> str:
  """What differs, as `strategy vmap, now map`; empty where nothing does."""
  return '; '.join(
    f'{name} {before.get(name)}, now {value}'
    for name, value in now.items()
    if before.get(name) != value
  )


class SnapshotStore:
  """Keeps the snapshots of one training.

  Args:
    folder: for this training alone.
    identity: JSON values; a snapshot of another training is not taken.
    engine: how lanes are computed.
    seconds: least time between two snapshots.
    say: told what is found.
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
    self._environment = environment(engine)
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
      filter(None, (meta['changed'], contrast(meta['environment'], self._environment)))
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
