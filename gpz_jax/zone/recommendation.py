"""Where to cut: the cheapest cut that is private enough, and why.

Without the scores of simple guesses nothing tells what is private enough. Then limits
on the cost decide, or else the golden zone.
"""

import dataclasses
import functools
import math
from collections.abc import Mapping, Sequence

from gpz_jax import results
from gpz_jax.results import Row
from gpz_jax.results.formats import join_words
from gpz_jax.types import Treatment
from gpz_jax.zone import accuracies, bars, doubts, enough, reasons, rivals, unfinished
from gpz_jax.zone.advice import Recommendation, decline, withhold
from gpz_jax.zone.candidates import (
  SAME,
  Candidate,
  list_candidates,
  most_resistant,
  pareto_front,
)
from gpz_jax.zone.doubts import Doubt
from gpz_jax.zone.golden_zone import Zone, golden_zone
from gpz_jax.zone.limits import Limit, make_limits
from gpz_jax.zone.rows import check_sweep, without_prediction
from gpz_jax.zone.worth import Ladder


def recommend(
  rows: Sequence[Row],
  *,
  max_edge_params: float | None = None,
  max_edge_flops: float | None = None,
  max_payload_bytes: float | None = None,
  min_accuracy: float | None = None,
  private_enough: str | float = bars.DEFAULT,
  ladder: Ladder | None = None,
) -> Recommendation:
  """Picks where to cut: the cheapest cut within the limits that is private enough.

  A cut is private enough where no attack on it is better than a simple guess that the
  ladder scores, in MSE and in SSIM, as means over seeds (`bars`). Of those cuts the one
  with the fewest edge parameters is taken; of equals, the one that resists best. Where
  no cut is private enough, none is recommended, and the most private one is named. A
  cut that leaves the cloud next to nothing is taken only where no other is left.

  A ladder without that guess does not tell what is private enough. Then the split and
  treatment that resist inversion best are taken where a limit on the cost is given.
  Resistance is `test_mse`, and candidates within 1% of the best count as equal. Without
  such a limit resistance alone would say not to cut at all, so the first split of the
  zone is taken, and the cheapest of several treatments.

  Without `min_accuracy`, no target with less than half of the best accuracy is taken or
  named as the most private one; where one would be, half of it is the limit, and the
  caveat says so. Nothing is recommended where the rows carry no conclusion (`doubts`).

  Args:
    rows: Rows of one sweep.
    max_edge_params: Most parameters on the device.
    max_edge_flops: Most floating-point operations on the device for one image.
    max_payload_bytes: Most bytes sent for one image.
    min_accuracy: Least test accuracy of the target, in [0, 1].
    private_enough: What no attack may be better than: a word of
      `vocabulary.PRIVATE_ENOUGH`, or an MSE.
    ladder: What simple guesses score on the same test images (`metrics.ladder`).

  Returns:
    The choice and its alternatives. Where nothing fits, the split is None, and the
    reason names what each limit excludes, the limit that binds and the nearest cut.

  Raises:
    InputError: no rows, rows of several sweeps, a limit out of range, or a ladder
      without what `private_enough` names.
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
  bar = bars.make_bar(private_enough, ladder or {})
  zone = golden_zone(list(rows))
  attacks = results.Grouped(without_prediction(rows))
  if not attacks:
    return Recommendation(None, None, 'only the prediction was attacked, and no split')
  every = list_candidates(attacks)
  if not every:
    return Recommendation(None, None, 'no results')
  doubtful = _list_doubtful(attacks, every)
  sound = [one for one in every if one.treatment not in doubtful]
  if not sound:
    return withhold(doubtful, every)
  choose = functools.partial(
    _choose, sound, bar=bar, zone=zone, attacks=attacks, ladder=ladder or {}
  )
  left_out = _tell_left_out(doubtful)
  found = _add(choose(limits), left_out)
  least = _least_use(sound)
  named = [
    one
    for one in sound
    if (one.split, one.treatment) == (found.split, found.treatment)
    or one == found.most_private
  ]
  is_bound = any(not limit.is_cost for limit in limits)
  if is_bound or not any(one.target_accuracy < least for one in named):
    return found
  found = _add(choose([*limits, *make_limits({'min_accuracy': least})]), left_out)
  caveat = (
    f'Cuts with an accuracy below {least:.1%}, half of the best, are left out;'
    ' --min_accuracy=0 takes them in.'
  )
  return _add(found, caveat)


def _add(found: Recommendation, caveat: str) -> Recommendation:
  """The same with a sentence more."""
  return dataclasses.replace(found, caveat=f'{found.caveat} {caveat}'.strip())


def _list_doubtful(
  rows: Sequence[Row], candidates: Sequence[Candidate]
) -> dict[Treatment, tuple[Doubt, ...]]:
  """The treatments of candidates that carry no conclusion, and why."""
  strongest = results.Grouped(results.strongest(rows))
  treatments = dict.fromkeys(one.treatment for one in candidates)
  found = {each: doubts.of_treatment(strongest, each) for each in treatments}
  return {treatment: why for treatment, why in found.items() if why}


def _tell_left_out(doubtful: Mapping[Treatment, tuple[Doubt, ...]]) -> str:
  """A sentence that says which treatments are no candidates, and why; or ''."""
  if not doubtful:
    return ''
  verb = 'is' if len(doubtful) == 1 else 'are'
  why = '; and '.join(map(str, doubts.merge(doubtful)))
  return f'{join_words([*map(str, doubtful)])} {verb} left out, because {why}.'


def _least_use(candidates: Sequence[Candidate]) -> float:
  """The least accuracy of a target that is of use beside the others."""
  known = [one.target_accuracy for one in candidates]
  best = max((each for each in known if math.isfinite(each)), default=0.0)
  return accuracies.LEAST_SHARE * best


def _choose(
  sound: list[Candidate],
  limits: list[Limit],
  *,
  bar: bars.Bar | None,
  zone: Zone,
  attacks: Sequence[Row],
  ladder: Ladder,
) -> Recommendation:
  """The choice among the candidates of treatments that carry a conclusion."""
  fitting = [one for one in sound if all(limit.admits(one) for limit in limits)]
  if not fitting:
    return decline(sound, limits)
  cuts = [one for one in fitting if not one.is_whole_model] or fitting
  if bar is not None:
    if bar.is_rung:
      treatments = {one.treatment for one in cuts}
      rows = results.Grouped(results.strongest(attacks))
      found = {t: doubts.of_images(rows, t, ladder) for t in sorted(treatments)}
      if any(found.values()):
        return withhold(found, fitting)
    return enough.take_cheapest(cuts, fitting, bar, limits, zone, attacks)
  if not any(limit.is_cost for limit in limits):
    return _take_zone_start(cuts, fitting, zone, attacks)
  choice = most_resistant(cuts)
  within = f'within {", ".join(map(str, limits))}'
  reason = f'the highest reconstruction error {within} ({reasons.describe(choice)})'
  reason = f'{reason}; {reasons.place(choice, zone)}'
  others = max((one.test_mse for one in cuts if one != choice), default=0.0)
  return _take(
    choice,
    reason,
    fitting,
    attacks,
    is_outdone=lambda error, _: error < (1 - SAME) * others,
  )


def _take_zone_start(
  cuts: list[Candidate], fitting: list[Candidate], zone: Zone, rows: Sequence[Row]
) -> Recommendation:
  """The first split of a golden zone, of the treatment whose zone costs least."""
  found = [reasons.zone_of(zone, one) for one in cuts]
  starts = [one for one, its in zip(cuts, found, strict=True) if its.split == one.split]
  if starts:
    choice = min(starts, key=Candidate.rank)
    reason = f'the first split of the golden zone ({reasons.describe(choice)})'
    caveat = reasons.count_zone_seeds(choice, zone, results.strongest(rows))
    return _take(choice, reason, fitting, rows, caveat)
  # The zones of different treatments may be doubtful for reasons of their own.
  doubtful = {its.treatment: its.doubts for its in found}
  if any(doubtful.values()):
    return withhold(doubtful, fitting)
  late = [one for one in fitting if reasons.zone_of(zone, one).split == one.split]
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


def _take(
  choice: Candidate,
  reason: str,
  fitting: list[Candidate],
  rows: Sequence[Row],
  caveat: str = '',
  is_outdone: unfinished.Contradicts = lambda error, ssim: False,
) -> Recommendation:
  """Recommends a candidate, unless its own error is in doubt.

  Args:
    choice: The candidate.
    reason: Why it is taken.
    fitting: All candidates within the limits.
    rows: Rows of all attacks.
    caveat: How sure the choice is; '' says which others are as good.
    is_outdone: Whether it would not be taken with another MSE and SSIM.
  """
  strongest = results.Grouped(results.strongest(rows))
  doubtful = enough.doubt_cut(choice, rows, strongest, is_outdone)
  if doubtful:
    return withhold({choice.treatment: doubtful}, fitting)
  if choice.is_whole_model:
    reason += '; it keeps the whole model on the device, which is no partition'
  return Recommendation(
    choice.split,
    choice.treatment,
    reason,
    pareto_front(fitting),
    caveat=caveat or rivals.describe(choice, fitting, strongest),
    most_private=most_resistant(fitting),
  )
