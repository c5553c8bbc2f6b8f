"""The best cut under limits, what else there is, and why."""

import dataclasses
from collections.abc import Sequence

from gpz_jax import results
from gpz_jax.results import Row
from gpz_jax.zone.candidates import Candidate, list_candidates, pareto_front
from gpz_jax.zone.golden_zone import golden_zone
from gpz_jax.zone.limits import (
  Limit,
  binding_limit,
  format_number,
  make_limits,
  nearest_candidate,
)
from gpz_jax.zone.rows import check_sweep, without_prediction

SAME = 0.01  # resistances closer than 1% count as equal: seeds differ by more


@dataclasses.dataclass(frozen=True)
class Recommendation:
  """The cut to take, or why there is none (`split` and `alpha` are None).

  Attributes:
    split: where to cut.
    alpha: label smoothing of the target to cut.
    reason: why this cut; or what each limit excludes, and what is nearest.
    alternatives: the cuts that no other outdoes (`pareto_front`), shallow to deep,
      the recommended one among them: of those within the limits, or of all where
      none is.
    nearest: the cut that breaks the limits least, where none keeps to all.
    binding: the limit that `nearest` breaks most, as 'max_edge_params=50'.
  """

  split: str | None
  alpha: float | None
  reason: str
  alternatives: tuple[Candidate, ...] = ()
  nearest: Candidate | None = None
  binding: str | None = None

  def sentence(self) -> str:
    """The advice in one sentence."""
    if self.split is None:
      return f'No cut fits: {self.reason}.'
    return f'Cut at {self.split} with alpha {self.alpha:g}: {self.reason}.'


def recommend(
  rows: Sequence[Row],
  *,
  max_edge_params: float | None = None,
  max_edge_flops: float | None = None,
  max_payload_bytes: float | None = None,
  min_accuracy: float | None = None,
) -> Recommendation:
  """Picks the split and alpha that resist inversion best within the limits.

  Resistance is `test_mse`, mean over seeds. Candidates within 1% of the best count as
  equal; of those, the one with the fewest edge parameters is taken.

  Args:
    rows: rows of one sweep.
    max_edge_params: most parameters on the device.
    max_edge_flops: most floating-point operations on the device for one image.
    max_payload_bytes: most bytes sent for one image, in float32.
    min_accuracy: least test accuracy of the target, in [0, 1].

  Returns:
    The choice and its alternatives; with a split of None where nothing fits, and the
    reason names what each limit excludes, the one that binds and the nearest cut.

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
  cuts = list_candidates(rows)
  if not cuts:
    return Recommendation(None, None, 'no results')
  fitting = [cut for cut in cuts if all(limit.admits(cut) for limit in limits)]
  if not fitting:
    return _decline(cuts, limits)
  best = max(cut.test_mse for cut in fitting)
  equals = [cut for cut in fitting if cut.test_mse >= (1 - SAME) * best]
  # the rest of the key breaks ties, so that no alternative outdoes the choice
  choice = min(equals, key=lambda c: (c.edge_params, -c.test_mse, *c.costs))
  reason = f'{_praise(choice, limits)}; {_place(choice, rows)}'
  return Recommendation(choice.split, choice.alpha, reason, pareto_front(fitting))


def _decline(cuts: list[Candidate], limits: list[Limit]) -> Recommendation:
  nearest = nearest_candidate(cuts, limits)
  binding = binding_limit(nearest, limits)
  reasons = [limit.exclusion(cuts) for limit in limits]
  others = [
    f'and {format_number(limit.value(nearest))} against {limit}'
    for limit in limits
    if limit is not binding and not limit.admits(nearest)
  ]
  has = ' '.join([format_number(binding.value(nearest)), *others])
  reasons.append(
    f'the binding limit is {binding}: the nearest cut, {nearest}, has {has}'
  )
  return Recommendation(
    None,
    None,
    '; '.join(filter(None, reasons)),
    pareto_front(cuts),
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
    f'{results.format_bytes(choice.payload_bytes)} sent for each image and '
    f'{choice.target_accuracy:.1%} test accuracy'
  )


def _place(choice: Candidate, rows: list[Row]) -> str:
  """Where the choice lies against the golden zone of its alpha."""
  zone = next(z for z in golden_zone(rows).alphas if z.alpha == choice.alpha)
  if zone.start_index is None:
    return 'this alpha has no golden zone'
  if choice.split_index < zone.start_index:
    return f'it lies before the golden zone, which starts at {zone.split}'
  if choice.split in zone.falls_back:
    return f'the golden zone starts at {zone.split}, but this split falls back'
  return f'it lies in the golden zone, which starts at {zone.split}'
