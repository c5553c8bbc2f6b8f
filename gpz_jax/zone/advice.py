"""What is recommended, and the two ways of recommending nothing."""

import dataclasses
from collections.abc import Mapping, Sequence

from gpz_jax.results.formats import format_bound
from gpz_jax.types import Treatment
from gpz_jax.zone import doubts
from gpz_jax.zone.bars import Bar
from gpz_jax.zone.candidates import Candidate, pareto_front
from gpz_jax.zone.doubts import Doubt
from gpz_jax.zone.golden_zone import Zone
from gpz_jax.zone.limits import Limit, binding_limit, nearest_candidate


@dataclasses.dataclass(frozen=True)
class Recommendation:
  """The cut to take, or why there is none (`split` and `treatment` are None).

  Attributes:
    split: Where to cut.
    treatment: The treatment of the target to cut.
    reason: Why this cut is taken; or what each limit excludes, and what is nearest.
    alternatives: The candidates that no other outdoes (`pareto_front`), shallow to
      deep, and the recommended one. They are chosen from those within the limits, or
      from all where none is.
    nearest: The candidate that breaks the limits least, where none keeps to all.
    binding: The limit that `nearest` breaks most, as 'max_edge_params=50'.
    doubts: Why the rows carry no conclusion, where nothing is recommended for that.
    caveat: How sure the choice is and what it leaves open, in sentences; '' without it.
    most_private: The candidate within the limits that resists inversion best, whatever
      it costs.
    bar: What counts as private enough; None where that was not to be told.
    doubtful: Candidates that look private enough and are in doubt.
  """

  split: str | None
  treatment: Treatment | None
  reason: str
  alternatives: tuple[Candidate, ...] = ()
  nearest: Candidate | None = None
  binding: str | None = None
  doubts: tuple[Doubt, ...] = ()
  caveat: str = ''
  most_private: Candidate | None = None
  bar: Bar | None = None
  doubtful: tuple[Candidate, ...] = ()

  @property
  def verdict(self) -> str:
    """The advice in a few words, which `reason` explains."""
    if self.doubts:
      return 'No conclusion'
    if self.split is not None:
      return f'Cut at {self.split} with {self.treatment}'
    if self.binding:
      return 'No cut fits'
    return 'No cut is private enough' if self.bar else 'No cut is recommended'

  def describe(self, candidate: Candidate) -> str:
    """What is to be said of one of the alternatives, in a few words."""
    said = []
    if (candidate.split, candidate.treatment) == (self.split, self.treatment):
      said.append('recommended')
    elif candidate in self.doubtful:
      said.append('in doubt')
    elif self.bar is not None:
      said.append('private enough' if self.bar.admits(candidate) else 'not private')
    if candidate == self.most_private:
      said.append('most private')
    return ', '.join(said)

  def tells_all_of(self, zone: Zone) -> bool:
    """Whether its doubts are all that there is to say of the zone, too."""
    ours = {doubt.kind for doubt in self.doubts}
    return all(
      its.doubts and ours.issuperset(doubt.kind for doubt in its.doubts)
      for its in zone.treatments
    )

  def sentence(self) -> str:
    """The advice in one sentence, and its caveat in others."""
    return ' '.join(filter(None, [f'{self.verdict}: {self.reason}.', self.caveat]))


def withhold(
  doubtful: Mapping[Treatment, tuple[Doubt, ...]], candidates: Sequence[Candidate]
) -> Recommendation:
  """Recommends nothing, because the rows of these treatments carry no conclusion."""
  merged = doubts.merge(doubtful)
  reason = '; and '.join(map(str, merged))
  return Recommendation(None, None, reason, pareto_front(candidates), doubts=merged)


def decline(candidates: Sequence[Candidate], limits: Sequence[Limit]) -> Recommendation:
  """Says why no candidate keeps to the limits, and which one is nearest."""
  nearest = nearest_candidate(candidates, limits)
  binding = binding_limit(nearest, limits)
  reasons = [limit.exclusion(candidates) for limit in limits]
  others = [
    f'and {format_bound(limit.value(nearest))} against {limit}'
    for limit in limits
    if limit is not binding and not limit.admits(nearest)
  ]
  has = ' '.join([format_bound(binding.value(nearest)), *others])
  reasons.append(
    f'the binding limit is {binding}: the nearest cut, {nearest}, has {has}'
  )
  return Recommendation(
    None,
    None,
    '; '.join(filter(None, reasons)),
    pareto_front(candidates),
    nearest,
    str(binding),
  )
