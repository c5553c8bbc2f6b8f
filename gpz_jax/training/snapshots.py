"""A training in the middle, so that it can go on in another process."""

from typing import NamedTuple, Protocol

import numpy as np

from gpz_jax.training.state import FitState
from gpz_jax.types import Mean

History = dict[str, np.ndarray]  # name -> [epochs, L]


class Snapshot(NamedTuple):
  """A training between two segments, all that it takes to go on."""

  states: FitState  # [L]
  loss: Mean  # [L], of the epoch so far
  epoch: int  # epochs finished
  step: int  # steps taken of the next one
  history: History  # of the epochs finished


class Snapshots(Protocol):
  """Keeps snapshots of one training where a dead process cannot lose them."""

  def load(self, like: tuple[FitState, Mean]) -> Snapshot | None:
    """The last snapshot, if any; `like` has the shapes of its arrays."""
    ...

  def is_due(self) -> bool:
    """Whether it is time for the next one."""
    ...

  def save(self, snapshot: Snapshot) -> None:
    """Keeps it, in place of the ones before."""
    ...
