"""The best cut under limits, what else there is, and why."""

import dataclasses
from collections.abc import Mapping, Sequence

from gpz_jax import results
from gpz_jax.results import Row
from gpz_jax.results.formats import format_bound, format_bytes
from gpz_jax.types import Treatment
from gpz_jax.zone import doubts, rivals, rules
from gpz_jax.zone.candidates import Candidate, list_candidates, pareto_front
from gpz_jax.zone.doubts import Doubt
from gpz_jax.zone.golden_zone import TreatmentZone, Zone, golden_zone
from gpz_jax.zone.limits import Limit, binding_limit, make_limits, nearest_candidate
from gpz_jax.zone.profiles import attack_profile
from gpz_jax.zone.rows import check_sweep, without_prediction

SAME = 0.01  # resistances closer than 1% count as equal: seeds differ by more


@dataclasses.dataclass(frozen=True)
class Recommendation:
  """The cut to take, or why there is none (`split` and `treatment` are None).

  Attributes:
    split: Where to cut.
    treatment: The treatment of the target to cut.
    reason: Why this cut is taken; or what each limit excludes, and what is nearest.
    alternatives: The candidates that no other outdoes (`pareto_front`), shallow to
      deep, with the recommended one among them. They are chosen from those within the
      limits, or from all where none is.
    nearest: The candidate that breaks the limits least, where none keeps to all.
    binding: The limit that `nearest` breaks most, as 'max_edge_params=50'.
    doubts: Why the rows carry no conclusion, where nothing is recommended for that.
    caveat: What the seeds cannot tell from the choice, as a sentence; '' without it.
  """

  split: str | None
  treatment: Treatment | None
  reason: str
  alternatives: tuple[Candidate, ...] = ()
  nearest: Candidate | None = None
  binding: str | None = None
  doubts: tuple[Doubt, ...] = ()
  caveat: str = ''

  @property
  def verdict(self) -> str:
    """The advice in a few words, which `reason` explains."""
    if self.doubts:
      return 'No conclusion'
    if self.split is not None:
      return f'Cut at {self.split} with {self.treatment}'
    return 'No cut fits' if self.binding else 'No cut is recommended'

  def tells_all_of(self, zone: Zone) -> bool:
    """Whether its doubts are all that there is to say of the zone, too."""
    ours = {doubt.kind for doubt in self.doubts}
    return all(
      its.doubts and ours.issuperset(doubt.kind for doubt in its.doubts)
      for its in zone.treatments
    )

  def sentence(self) -> str:
    """The advice in one sentence, and its caveat in another."""
    return ' '.join(filter(None, [f'{self.verdict}: {self.reason}.', self.caveat]))


def recommend(
  rows: Sequence[Row],
  *,
  max_edge_params: float | None = None,
  max_edge_flops: float | None = None,
  max_payload_bytes: float | None = None,
  min_accuracy: float | None = None,
) -> Recommendation:
  """Picks where to cut: within limits on the cost, or else by the golden zone.

  With a limit on the cost, the split and treatment that resist inversion best within
  the limits are taken. Resistance is `test_mse`, mean over seeds. Candidates within 1%
  of the best count as equal; of those, the one with the fewest edge parameters is
  taken. Without one, resistance alone would say not to cut at all, so the first split
  of the zone is taken, and the cheapest of several treatments. A cut that leaves the
  cloud next to nothing is taken only where no other is left.

  Nothing is recommended where the rows carry no conclusion (`doubts`).

  Args:
    rows: Rows of one sweep.
    max_edge_params: Most parameters on the device.
    max_edge_flops: Most floating-point operations on the device for one image.
    max_payload_bytes: Most bytes sent for one image.
    min_accuracy: Least test accuracy of the target, in [0, 1].

  Returns:
    The choice and its alternatives. Where nothing fits, the split is None, and the
    reason names what each limit excludes, the limit that binds and the nearest cut.

  Raises:
    InputError: no rows, rows of several sweeps, or a limit out of range.
  """
  check_sweep(rows)
  limits = make_limits(
    {
      'max_edge_params': max_edge_params,
      'max_edge_flops': max_edge_flops,
      'max_payload_bytes': max_payload_bytes,
      'min_accuracy': min_accuracy,
    }
  )
  zone = golden_zone(list(rows))
  rows = without_prediction(results.strongest(rows))
  if not rows:
    return Recommendation(None, None, 'only the prediction was attacked, and no split')
  every = list_candidates(rows)
  if not every:
    return Recommendation(None, None, 'no results')
  sound = [one for one in every if not doubts.of_treatment(rows, one.treatment)]
  if not sound:
    those = {one.treatment: doubts.of_treatment(rows, one.treatment) for one in every}
    return _withhold(those, every)
  fitting = [one for one in sound if all(limit.admits(one) for limit in limits)]
  if not fitting:
    return _decline(sound, limits)
  cuts = [one for one in fitting if not one.is_whole_model] or fitting
  if not any(limit.is_cost for limit in limits):
    return _take_zone_start(cuts, fitting, zone, rows)
  best = max(one.test_mse for one in cuts)
  equals = [one for one in cuts if one.test_mse >= (1 - SAME) * best]
  # The rest of the key breaks ties, so that no alternative outdoes the choice.
  choice = min(equals, key=lambda c: (c.edge_params, -c.test_mse, *c.costs))
  within = f'within {", ".join(map(str, limits))}'
  reason = f'the highest reconstruction error {within} ({_describe(choice)})'
  return _take(choice, f'{reason}; {_place(choice, zone)}', fitting, rows)


def _take_zone_start(
  cuts: list[Candidate], fitting: list[Candidate], zone: Zone, rows: list[Row]
) -> Recommendation:
  """The first split of a golden zone, of the treatment whose zone costs least."""
  found = [_zone_of(zone, one) for one in cuts]
  starts = [one for one, its in zip(cuts, found, strict=True) if its.split == one.split]
  if starts:
    choice = min(starts, key=lambda c: (c.edge_params, -c.test_mse, *c.costs))
    reason = f'the first split of the golden zone ({_describe(choice)})'
    caveat = _count_seeds(choice, zone, rows)
    return _take(choice, reason, fitting, rows, caveat)
  # The zones of different treatments may be doubtful for reasons of their own.
  doubtful = {its.treatment: its.doubts for its in found}
  if any(doubtful.values()):
    return _withhold(doubtful, fitting)
  late = [one for one in fitting if _zone_of(zone, one).split == one.split]
  why = 'no split stands out as the start of a golden zone'
  if late:
    why = (
      f'the golden zone starts at {late[0].split} alone, where the whole model is on'
      ' the device'
    )
  return Recommendation(
    None,
    None,
    f'{why}, so the cut is a matter of what it may cost; bound that by'
    ' --max_edge_params, --max_edge_flops or --max_payload_bytes',
    pareto_front(fitting),
  )


def _count_seeds(choice: Candidate, zone: Zone, rows: list[Row]) -> str:
  """In how many seeds the zone starts where it does on average, in a sentence."""
  splits = tuple(results.list_splits(rows))
  profile = attack_profile(rows, choice.treatment, zone.metric, splits)
  if len(profile.seeds) < 2:
    return 'This is one seed; whether the zone starts there in others is open.'
  starts = [
    rules.first_jump(profile.of_seed(seed).tolist(), zone.ratio, zone.threshold)
    for seed in profile.seeds
  ]
  same = sum(
    start is not None and splits[start.index] == choice.split for start in starts
  )
  return f'The zone starts there in {same} of {len(starts)} seeds.'


def _take(
  choice: Candidate,
  reason: str,
  fitting: list[Candidate],
  rows: list[Row],
  caveat: str = '',
) -> Recommendation:
  """Recommends a candidate, unless its own error is in doubt."""
  doubtful = doubts.of_split(rows, choice.treatment, choice.split)
  if doubtful:
    return _withhold({choice.treatment: doubtful}, fitting)
  if choice.is_whole_model:
    reason += '; it keeps the whole model on the device, which is no partition'
  return Recommendation(
    choice.split,
    choice.treatment,
    reason,
    pareto_front(fitting),
    caveat=caveat or rivals.describe(choice, fitting, rows),
  )


def _withhold(
  doubtful: Mapping[Treatment, tuple[Doubt, ...]], candidates: list[Candidate]
) -> Recommendation:
  """Recommends nothing, because the rows of these treatments carry no conclusion."""
  merged = doubts.merge(doubtful)
  reason = '; and '.join(map(str, merged))
  return Recommendation(None, None, reason, pareto_front(candidates), doubts=merged)


def _decline(candidates: list[Candidate], limits: list[Limit]) -> Recommendation:
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


def _describe(choice: Candidate) -> str:
  """What a cut resists and what it costs."""
  module = choice.place.removeprefix(choice.split).strip(' ()').removeprefix('a ')
  return ', '.join(
    filter(
      None,
      [
        module,
        f'MSE {choice.test_mse:.3g}, PSNR {choice.test_psnr:.1f} dB',
        f'{choice.edge_params_share:.1%} of the parameters and '
        f'{choice.edge_flops_share:.1%} of the FLOPs on the device',
        f'{format_bytes(choice.payload_bytes)} sent for each image',
        f'{choice.target_accuracy:.1%} test accuracy',
      ],
    )
  )


def _place(choice: Candidate, zone: Zone) -> str:
  """Where the choice lies against the golden zone of its treatment."""
  found = _zone_of(zone, choice)
  if found.doubts:
    return f'where the golden zone starts is open, because {found.doubts[0]}'
  if found.start_index is None:
    return f'this {_name(choice.treatment)} has no golden zone'
  if choice.split_index < found.start_index:
    return f'it lies before the golden zone, which starts at {found.split}'
  if choice.split in found.falls_back:
    return f'the golden zone starts at {found.split}, but this split falls back'
  return f'it lies in the golden zone, which starts at {found.split}'


def _zone_of(zone: Zone, candidate: Candidate) -> TreatmentZone:
  return next(one for one in zone.treatments if one.treatment == candidate.treatment)


def _name(treatment: Treatment) -> str:
  """What 'this ...' means: the alpha, where that is all there is to the treatment."""
  return 'alpha' if treatment == type(treatment)(treatment.alpha) else 'treatment'
