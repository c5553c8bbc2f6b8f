"""The best cut under limits, what else there is, and why."""

import dataclasses
from collections.abc import Sequence

from gpz_jax import results
from gpz_jax.results import Row
from gpz_jax.results.formats import format_bound, format_bytes
from gpz_jax.types import Treatment
from gpz_jax.zone.candidates import Candidate, list_candidates, pareto_front
from gpz_jax.zone.golden_zone import golden_zone
from gpz_jax.zone.limits import Limit, binding_limit, make_limits, nearest_candidate
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
  """

  split: str | None
  treatment: Treatment | None
  reason: str
  alternatives: tuple[Candidate, ...] = ()
  nearest: Candidate | None = None
  binding: str | None = None

  def sentence(self) -> str:
    """The advice in one sentence."""
    if self.split is None:
      return f'No cut fits: {self.reason}.'
    return f'Cut at {self.split} with {self.treatment}: {self.reason}.'


def recommend(
  rows: Sequence[Row],
  *,
  max_edge_params: float | None = None,
  max_edge_flops: float | None = None,
  max_payload_bytes: float | None = None,
  min_accuracy: float | None = None,
) -> Recommendation:
  """Picks the split and treatment that resist inversion best within the limits.

  Resistance is `test_mse`, mean over seeds. Candidates within 1% of the best count as
  equal; of those, the one with the fewest edge parameters is taken.

  Args:
    rows: Rows of one sweep.
    max_edge_params: Most parameters on the device.
    max_edge_flops: Most floating-point operations on the device for one image.
    max_payload_bytes: Most bytes sent for one image, in float32.
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
  rows = without_prediction(results.strongest(rows))
  if not rows:
    return Recommendation(None, None, 'only the prediction was attacked, and no split')
  candidates = list_candidates(rows)
  if not candidates:
    return Recommendation(None, None, 'no results')
  fitting = [one for one in candidates if all(limit.admits(one) for limit in limits)]
  if not fitting:
    return _decline(candidates, limits)
  best = max(one.test_mse for one in fitting)
  equals = [one for one in fitting if one.test_mse >= (1 - SAME) * best]
  # The rest of the key breaks ties, so that no alternative outdoes the choice.
  choice = min(equals, key=lambda c: (c.edge_params, -c.test_mse, *c.costs))
  reason = f'{_praise(choice, limits)}; {_place(choice, rows)}'
  return Recommendation(choice.split, choice.treatment, reason, pareto_front(fitting))


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


def _praise(choice: Candidate, limits: list[Limit]) -> str:
  within = f'within {", ".join(map(str, limits))}' if limits else 'of all cuts'
  return (
    f'the highest reconstruction error {within} (MSE {choice.test_mse:.3g} per '
    f'element, PSNR {choice.test_psnr:.1f} dB), at '
    f'{choice.edge_params_share:.1%} of the parameters and '
    f'{choice.edge_flops_share:.1%} of the FLOPs on the device, '
    f'{format_bytes(choice.payload_bytes)} sent for each image and '
    f'{choice.target_accuracy:.1%} test accuracy'
  )


def _place(choice: Candidate, rows: list[Row]) -> str:
  """Where the choice lies against the golden zone of its treatment."""
  zones = golden_zone(rows).treatments
  zone = next(zone for zone in zones if zone.treatment == choice.treatment)
  if zone.start_index is None:
    return f'this {_name(choice.treatment)} has no golden zone'
  if choice.split_index < zone.start_index:
    return f'it lies before the golden zone, which starts at {zone.split}'
  if choice.split in zone.falls_back:
    return f'the golden zone starts at {zone.split}, but this split falls back'
  return f'it lies in the golden zone, which starts at {zone.split}'


def _name(treatment: Treatment) -> str:
  """What 'this ...' means: the alpha, where that is all there is to the treatment."""
  return 'alpha' if treatment == type(treatment)(treatment.alpha) else 'treatment'
