"""A training in the middle, so that it can go on in another process."""

import dataclasses
from typing import Any, NamedTuple, Protocol

import numpy as np

from gpz_jax import interruption
from gpz_jax.means import Mean
from gpz_jax.training import lanes as lanes_lib
from gpz_jax.training.state import FitState

Values = dict[str, np.ndarray]  # name -> [L], at the end of an epoch
History = dict[str, np.ndarray]  # name -> [epochs, L]


class Snapshot(NamedTuple):
  """A training between two segments, with all that it takes to go on."""

  states: Any  # what is trained: a FitState [L], or the state of a prior
  loss: Any  # of the epoch so far: a Mean [L], or several by name
  epoch: int  # epochs finished
  step: int  # steps taken of the next one
  history: History  # of the epochs finished


class Snapshots(Protocol):
  """Where the snapshots of one training are kept, safe from the process's death."""

  def load(self, like: tuple[Any, Any]) -> Snapshot | None:
    """Loads the newest snapshot, if any; `like` has the shapes of its arrays."""
    ...

  def is_due(self) -> bool:
    """Whether it is time for the next snapshot."""
    ...

  def save(self, snapshot: Snapshot) -> None:
    """Keeps `snapshot` as the newest."""
    ...


@dataclasses.dataclass
class Running:
  """A training under way in this process: a snapshot that moves on.

  Attributes:
    states: The lanes, [L] and padding for the devices.
    loss: The loss of the epoch so far, of the same lanes.
    epoch: How many epochs are finished.
    step: How many steps of the next epoch are taken.
    epochs: The values of each finished epoch, without the padding.
    num_lanes: L, without the padding.
    snapshots: Where snapshots are kept, if anywhere.
  """

  states: FitState
  loss: Mean
  epoch: int
  step: int
  epochs: list[Values]
  num_lanes: int
  snapshots: Snapshots | None

  def __post_init__(self):
    self._kept = self.epoch, self.step  # nothing is lost yet if the process dies

  def keep_if_due(self) -> None:
    """Saves a snapshot if one is due or a signal came.

    Raises:
      Interrupted: A signal came; the snapshot is saved.
    """
    # The flag is read once: after a signal between two readings, `check` would raise
    # with nothing saved.
    is_over = interruption.requested()
    # An evaluation takes no steps, so what was kept before it is still the newest.
    is_new = (self.epoch, self.step) != self._kept
    if self.snapshots is not None and is_new and (is_over or self.snapshots.is_due()):
      states, loss = lanes_lib.take((self.states, self.loss), slice(self.num_lanes))
      self.snapshots.save(
        Snapshot(states, loss, self.epoch, self.step, join(self.epochs))
      )
      self._kept = self.epoch, self.step
    if is_over:
      interruption.check()


def join(epochs: list[Values]) -> History:
  """Stacks the values of each epoch: name -> [epochs, L]."""
  names = epochs[0] if epochs else ()
  return {name: np.stack([values[name] for values in epochs]) for name in names}


def separate(history: History, num_epochs: int) -> list[Values]:
  """Undoes `join`: the values of each of the first `num_epochs` epochs."""
  return [{name: history[name][i] for name in history} for i in range(num_epochs)]
