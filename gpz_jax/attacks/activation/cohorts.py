"""Who is attacked where: lanes of attacks, and cohorts that are trained together."""

import dataclasses
from collections.abc import Sequence
from typing import Literal

import jax

from gpz_jax.types import Dataset, Lane, Task, stable_hash

HELD_OUT_SHARE = 0.1  # of aux, for the plateau and the choice of the epoch
Selection = Literal['aux', 'test']


@dataclasses.dataclass(frozen=True)
class AttackLane:
  """One attack: the target, as a lane and as an index, and the split."""

  target: int  # row of the stacked targets
  lane: Lane
  split: str

  @property
  def name(self) -> str:
    """The name of the lane in checkpoints."""
    return f'{self.lane.lane_id}-{self.split}'

  def key(self) -> jax.Array:
    """The random key of this attack."""
    return jax.random.fold_in(self.lane.key(), stable_hash(self.split))


def cohorts(
  shapes: dict[str, jax.ShapeDtypeStruct], splits: Sequence[str]
) -> dict[tuple[int, ...], tuple[str, ...]]:
  """Groups splits by the shape of their activation, both in forward order."""
  grouped: dict[tuple[int, ...], list[str]] = {}
  for split in splits:
    grouped.setdefault(shapes[split].shape, []).append(split)
  return {shape: tuple(names) for shape, names in grouped.items()}


def subsets(task: Task, selection: Selection) -> tuple[Dataset, Dataset]:
  """The attacker's training data, and the data that choose the epoch.

  `aux` keeps the last tenth of aux for the choice. `test` trains on all of aux and
  chooses on the test subset, as the published numbers do
  (docs/paper.md#choice-of-the-epoch).
  """
  if selection == 'test':
    return task.aux, task.test
  cut = len(task.aux) - max(1, round(HELD_OUT_SHARE * len(task.aux)))
  return task.aux.take(slice(cut)), task.aux.take(slice(cut, None))
