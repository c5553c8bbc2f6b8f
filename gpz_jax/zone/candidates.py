"""Candidates for the cut: what each costs, what it resists, and which none outdoes."""

import dataclasses
import math
from collections.abc import Iterable, Sequence
from typing import Any

from gpz_jax import results
from gpz_jax.results import Row
from gpz_jax.types import Treatment
from gpz_jax.zone import accuracies


@dataclasses.dataclass(frozen=True)
class Candidate:
  """A split and a treatment; names and units are those of the columns of results.

  Scores are means over seeds; the `test_mse` of a candidate is finite. `test_ssim` and
  `recognised` are those of the attacks that are strongest by them, which need not be
  the attack of `test_mse`; NaN where they are not known. `target_accuracy` is of all
  seeds whose target finished, whatever became of the attacks on it there.
  """

  split: str
  split_index: int
  treatment: Treatment
  test_mse: float
  test_psnr: float
  target_accuracy: float
  edge_params: int
  edge_params_share: float
  edge_flops: int
  edge_flops_share: float
  payload_bytes: int
  split_module: str = ''
  test_ssim: float = math.nan
  recognised: float = math.nan

  @property
  def is_whole_model(self) -> bool:
    """Whether the cut leaves the cloud next to nothing to compute."""
    return self.edge_flops_share >= WHOLE

  @property
  def place(self) -> str:
    """The split, and what its module is where that does not compute features."""
    kind = self.split_module
    is_passive = any(word in kind.lower() for word in ('dropout', 'pool'))
    return f'{self.split} (a {kind} module)' if is_passive else self.split

  @property
  def costs(self) -> tuple[int, int, int]:
    """What the device pays: parameters, operations and bytes."""
    return self.edge_params, self.edge_flops, self.payload_bytes

  def rank(self) -> tuple[float, ...]:
    """What is smallest where a cut is cheapest, and of equals the most resistant.

    The edge's parameters come first. Along a model its FLOPs grow with them.
    """
    return self.edge_params, -self.test_mse, *self.costs

  def __str__(self) -> str:
    return f'{self.split} with {self.treatment}'


_SCORES = ('test_mse', 'test_psnr')
_OWN_ATTACK = ('test_ssim', 'recognised')  # each by the attack that is best in it
SAME = 0.01  # resistances closer than 1% count as equal: seeds differ by more
WHOLE = 0.99  # share of the FLOPs from which on a cut is none
_FIXED = ('split_index', 'split_module', 'edge_params', 'edge_params_share')
_FIXED += ('edge_flops', 'edge_flops_share', 'payload_bytes')


def list_candidates(rows: Sequence[Row]) -> list[Candidate]:
  """One candidate for each split and treatment with a result, in forward order.

  Args:
    rows: Rows of all attacks.
  """
  candidates, every = [], results.Grouped(rows)
  rows = results.Grouped(results.strongest(every))
  own = {name: results.Grouped(results.strongest(every, name)) for name in _OWN_ATTACK}
  for split in results.list_splits(rows):
    those = [row for row in rows if row['split'] == split]
    for treatment in results.list_treatments(those):
      # a treatment without some of the skip connections costs less
      cost = next(row for row in those if Treatment.of(row) == treatment)
      fixed: dict[str, Any] = {name: cost[name] for name in _FIXED}
      means: dict[str, Any] = {
        name: results.seed_mean(rows, name, treatment=treatment, split=split)
        for name in _SCORES
      } | {
        name: results.seed_mean(best, name, treatment=treatment, split=split)
        for name, best in own.items()
      }
      known = accuracies.of_seeds(every, treatment, split)
      means['target_accuracy'] = results.mean([*known.values()])
      if math.isfinite(means['test_mse']):
        candidates.append(Candidate(split=split, treatment=treatment, **fixed, **means))
  return candidates


def most_resistant(candidates: Sequence[Candidate]) -> Candidate:
  """The candidate that resists inversion best; of those within 1%, the cheapest.

  No candidate outdoes it.
  """
  best = max(one.test_mse for one in candidates)
  equals = [one for one in candidates if one.test_mse >= (1 - SAME) * best]
  return min(equals, key=Candidate.rank)


def pareto_front(candidates: Iterable[Candidate]) -> tuple[Candidate, ...]:
  """The candidates that no other outdoes, in the order given.

  One candidate outdoes another where it is no worse in resistance to inversion
  (`test_mse`, higher is better), edge parameters, edge FLOPs and payload, and better
  in one of them. Accuracy is no axis: bound it by `min_accuracy`. Where the treatments
  of a split cost the same, the most resistant one is left.
  """
  every = list(candidates)
  return tuple(one for one in every if not any(outdoes(other, one) for other in every))


def outdoes(one: Candidate, other: Candidate) -> bool:
  """Whether `one` is at least as good as `other` in everything and better somewhere."""
  ours, theirs = (-one.test_mse, *one.costs), (-other.test_mse, *other.costs)
  return ours != theirs and all(a <= b for a, b in zip(ours, theirs, strict=True))
