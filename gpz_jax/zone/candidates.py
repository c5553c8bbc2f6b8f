"""The cuts of a sweep: what each costs, what it resists, and which none outdoes."""

import dataclasses
import math
from collections.abc import Iterable, Sequence
from typing import Any

from gpz_jax import results
from gpz_jax.results import Row


@dataclasses.dataclass(frozen=True)
class Candidate:
  """A split and an alpha; names and units are those of the columns of results.

  Scores are means over seeds; a cut has a finite `test_mse`.
  """

  split: str
  split_index: int
  alpha: float
  test_mse: float
  test_psnr: float
  target_accuracy: float
  edge_params: int
  edge_params_share: float
  edge_flops: int
  edge_flops_share: float
  payload_bytes: int

  @property
  def costs(self) -> tuple[int, int, int]:
    """What the device pays: parameters, operations and bytes."""
    return self.edge_params, self.edge_flops, self.payload_bytes

  def __str__(self) -> str:
    return f'{self.split} with alpha {self.alpha:g}'


_SCORES = ('test_mse', 'test_psnr', 'target_accuracy')
_FIXED = ('split_index', 'edge_params', 'edge_params_share')
_FIXED += ('edge_flops', 'edge_flops_share', 'payload_bytes')


def list_candidates(rows: Sequence[Row]) -> list[Candidate]:
  """One cut for each split and alpha that has a result, in forward order.

  Args:
    rows: of the strongest attack at each split (`results.strongest`).
  """
  cuts = []
  for split in results.list_splits(rows):
    cost = next(row for row in rows if row['split'] == split)
    fixed: dict[str, Any] = {name: cost[name] for name in _FIXED}
    for alpha in results.list_alphas(rows):
      means: dict[str, Any] = {
        name: results.seed_mean(rows, name, alpha=alpha, split=split)
        for name in _SCORES
      }
      if math.isfinite(means['test_mse']):
        cuts.append(Candidate(split=split, alpha=alpha, **fixed, **means))
  return cuts


def pareto_front(cuts: Iterable[Candidate]) -> tuple[Candidate, ...]:
  """The cuts that no other outdoes, in the order given.

  One cut outdoes another where it is no worse in resistance to inversion (`test_mse`,
  higher is better), edge parameters, edge FLOPs and payload, and better in one of
  them. Accuracy is no axis: bound it by `min_accuracy`. Of one split, whose alphas all
  cost the same, that leaves the most resistant alpha.
  """
  cuts = list(cuts)
  return tuple(cut for cut in cuts if not any(outdoes(c, cut) for c in cuts))


def outdoes(cut: Candidate, other: Candidate) -> bool:
  """Whether `cut` is at least as good as `other` in everything and better somewhere."""
  ours, theirs = (-cut.test_mse, *cut.costs), (-other.test_mse, *other.costs)
  return ours != theirs and all(a <= b for a, b in zip(ours, theirs, strict=True))
