"""Bounds on what a cut may cost and on the accuracy it must keep."""

import dataclasses
import math
from collections.abc import Sequence

from gpz_jax.results.formats import format_bound
from gpz_jax.types import InputError
from gpz_jax.zone.candidates import Candidate

# Arguments of `recommend`, and fields of a sweep's config, with the column they bound.
_COLUMNS = {
  'max_edge_params': 'edge_params',
  'max_edge_flops': 'edge_flops',
  'max_payload_bytes': 'payload_bytes',
  'min_accuracy': 'target_accuracy',
}
LIMITS = tuple(_COLUMNS)


@dataclasses.dataclass(frozen=True)
class Limit:
  """A bound on a column of a candidate: its most, or for min_* its least."""

  name: str
  bound: float

  @property
  def column(self) -> str:
    """The column that is bound."""
    return _COLUMNS[self.name]

  @property
  def is_cost(self) -> bool:
    """Whether it bounds what the device pays, rather than what the model is worth."""
    return self.name != 'min_accuracy'

  @property
  def is_least(self) -> bool:
    """Whether less than the bound is refused, rather than more."""
    return self.name.startswith('min_')

  def admits(self, candidate: Candidate) -> bool:
    """Whether the candidate keeps to the bound; not where its number is missing."""
    value = self.value(candidate)
    return value >= self.bound if self.is_least else value <= self.bound

  def excess(self, candidate: Candidate) -> float:
    """The share of the bound by which it is broken; 0 where it is kept."""
    if self.admits(candidate):
      return 0.0
    off = abs(self.value(candidate) - self.bound)
    return off / self.bound if self.bound > 0 and math.isfinite(off) else math.inf

  def exclusion(self, candidates: Sequence[Candidate]) -> str | None:
    """What the bound excludes and how near the nearest candidate comes."""
    excluded = [one for one in candidates if not self.admits(one)]
    if not excluded:
      return None
    text = f'{self} excludes {len(excluded)} of {len(candidates)} candidates'
    measured = [one for one in candidates if math.isfinite(self.value(one))]
    if not measured:
      return f'{text} (no {self.column} was measured)'
    nearest = max if self.is_least else min
    closest = nearest(measured, key=self.value)
    word = 'highest' if self.is_least else 'lowest'
    return f'{text} ({word} {format_bound(self.value(closest))}, {closest})'

  def value(self, candidate: Candidate) -> float:
    """The number that is bound."""
    return getattr(candidate, self.column)

  def __str__(self) -> str:
    return f'{self.name}={format_bound(self.bound)}'


def make_limits(bounds: dict[str, float | None]) -> list[Limit]:
  """The limits of `bounds`, by name; None and infinity set no limit.

  Raises:
    InputError: an unknown name, or a bound that is negative, not a number, or for an
      accuracy above 1.
  """
  limits = []
  for name, bound in bounds.items():
    if name not in _COLUMNS:
      raise InputError(f'limit {name!r} is unknown; known: {", ".join(LIMITS)}')
    if bound is None:
      continue
    if not isinstance(bound, int | float) or not bound >= 0:
      raise InputError(f'{name}={bound} is not allowed; give a number, at least 0')
    if name == 'min_accuracy' and bound > 1:
      raise InputError(
        f'min_accuracy={bound:g} is not allowed; give a share, at most 1 (90% is 0.9)'
      )
    if math.isfinite(bound):
      limits.append(Limit(name, bound))
  return limits


def nearest_candidate(
  candidates: Sequence[Candidate], limits: Sequence[Limit]
) -> Candidate:
  """The candidate whose worst excess over the limits is least.

  Of equals, the one with the smallest sum of excesses is taken, then the cheapest.
  """

  def distance(candidate: Candidate) -> tuple[float, ...]:
    excesses = [limit.excess(candidate) for limit in limits]
    return max(excesses), sum(excesses), *candidate.costs, -candidate.test_mse

  return min(candidates, key=distance)


def binding_limit(candidate: Candidate, limits: Sequence[Limit]) -> Limit:
  """The limit that the candidate breaks by the largest share of its bound."""
  return max(limits, key=lambda limit: limit.excess(candidate))
