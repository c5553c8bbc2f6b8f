"""Which target is attacked at which split, and which lanes are attacked together."""

import dataclasses
from collections.abc import Sequence
from typing import Literal

import jax

from gpz_jax.types import Dataset, Lane, Task, stable_hash

HELD_OUT_SHARE = 0.1  # the share of aux for the plateau and the choice of the epoch
Selection = Literal['aux', 'test']


@dataclasses.dataclass(frozen=True)
class AttackLane:
  """One attack: the target, as an index and as a lane, and the split."""

  target: int  # index into the stacked targets
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
  """Groups splits by the shape of their activation.

  Args:
    shapes: The shape of each split's activation, without the batch.
    splits: Names of the splits, in forward order.

  Returns:
    The splits of each shape. Shapes and splits are in forward order.
  """
  grouped: dict[tuple[int, ...], list[str]] = {}
  for split in splits:
    grouped.setdefault(shapes[split].shape, []).append(split)
  return {shape: tuple(names) for shape, names in grouped.items()}


def subsets(task: Task, selection: Selection) -> tuple[Dataset, Dataset]:
  """The attacker's training data, and the data that choose the epoch.

  The selection `aux` keeps the last tenth of aux for the choice. The selection `test`
  trains on all of aux and chooses on the test subset, as the published numbers do
  (docs/paper.md#choice-of-the-epoch).

  Args:
    task: The data, of which aux and test are used.
    selection: Which data choose the epoch.
  """
  if selection == 'test':
    return task.aux, task.test
  cut = len(task.aux) - max(1, round(HELD_OUT_SHARE * len(task.aux)))
  return task.aux.take(slice(cut)), task.aux.take(slice(cut, None))
