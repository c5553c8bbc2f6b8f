"""The cheapest cut that is private enough."""

import math
from collections.abc import Mapping, Sequence

from gpz_jax import results
from gpz_jax.results import Row
from gpz_jax.types import Treatment
from gpz_jax.zone import (
  doubts,
  fewer_images,
  improving,
  reasons,
  recognition,
  unfinished,
)
from gpz_jax.zone.advice import Recommendation, withhold
from gpz_jax.zone.bars import Bar
from gpz_jax.zone.candidates import Candidate, most_resistant, pareto_front
from gpz_jax.zone.doubts import Doubt
from gpz_jax.zone.golden_zone import Zone
from gpz_jax.zone.limits import Limit


def take_cheapest(
  cuts: Sequence[Candidate],
  fitting: Sequence[Candidate],
  bar: Bar,
  limits: Sequence[Limit],
  zone: Zone,
  rows: Sequence[Row],
) -> Recommendation:
  """Recommends the cheapest cut that clears the bar, or says that none does.

  A cut in doubt clears nothing: a decoder was still improving, its attacks read a
  part of what is sent, a search on fewer images did better, an attack that may be
  stronger did not finish, or the target guesses. A dearer one that is in no doubt is
  taken then.

  Args:
    cuts: The candidates that may be chosen.
    fitting: All candidates within the limits.
    bar: What is private enough.
    limits: The limits, for the words.
    zone: The golden zone, for the words.
    rows: Rows of all attacks.
  """
  enough = sorted(filter(bar.admits, cuts), key=Candidate.rank)
  private = most_resistant(cuts)
  if not enough:
    return _name_most_private(private, fitting, bar, limits)
  strongest = results.Grouped(results.strongest(rows))
  doubtful = {one: _doubt(one, bar, rows, strongest) for one in enough}
  clear = [one for one in enough if not doubtful[one]]
  if not clear:
    return withhold({enough[0].treatment: doubtful[enough[0]]}, fitting)
  choice = clear[0]
  reason = (
    f'no attack on it is better than {bar}, and it is the cheapest such cut'
    f'{_within(limits)} ({reasons.describe(choice)}); {reasons.place(choice, zone)}'
  )
  if choice.is_whole_model:
    reason += '; it keeps the whole model on the device, which is no partition'
  caveats = [
    _name_doubtful(enough[: enough.index(choice)], doubtful),
    _count_seeds(choice, bar, rows),
    unfinished.describe(rows, choice.treatment, choice.split),
    recognition.describe(rows, choice.treatment, choice.split),
    _compare(choice, private, _which(private, fitting)),
  ]
  front = pareto_front(fitting)
  return Recommendation(
    choice.split,
    choice.treatment,
    reason,
    tuple(one for one in fitting if one in front or one == choice),
    caveat=' '.join(filter(None, caveats)),
    most_private=private,
    bar=bar,
    doubtful=tuple(one for one in enough if doubtful[one]),
  )


def _doubt(
  one: Candidate, bar: Bar, rows: Sequence[Row], strongest: Sequence[Row]
) -> tuple[Doubt, ...]:
  """Why a cut that looks private enough may not be."""

  def breaks(error: float, ssim: float) -> bool:
    return not bar.holds(error, ssim)

  return doubt_cut(one, rows, strongest, breaks) + fewer_images.doubt(
    rows,
    one.treatment,
    one.split,
    lambda score: breaks(score.error, score.ssim),
  )


def doubt_cut(
  one: Candidate,
  rows: Sequence[Row],
  strongest: Sequence[Row],
  contradicts: unfinished.Contradicts,
) -> tuple[Doubt, ...]:
  """Why a cut may not be what it looks like.

  Args:
    one: The cut.
    rows: Rows of all attacks.
    strongest: Those of the strongest attack at each split.
    contradicts: Whether it would not be taken with another MSE and SSIM.
  """
  cell = one.treatment, one.split
  return (
    *(
      doubts.of_split(strongest, *cell) or improving.doubt_cut(rows, *cell, contradicts)
    ),
    *doubts.of_input(rows, *cell),
    *unfinished.doubt_cut(rows, *cell, contradicts),
  )


def _name_most_private(
  private: Candidate, fitting: Sequence[Candidate], bar: Bar, limits: Sequence[Limit]
) -> Recommendation:
  """Says that no cut clears the bar, and which one comes nearest by its error."""
  which = _which(private, fitting)
  where = which if any(map(bar.admits, fitting)) else ''
  which = '' if where else which
  either = '' if math.isinf(bar.ssim) else ' in one of the two'
  reason = (
    f'on every cut{_within(limits)}{where} an attack is better than {bar}{either}; the'
    f' most private cut{which} is {private} ({reasons.describe(private)})'
  )
  return Recommendation(
    None, None, reason, pareto_front(fitting), most_private=private, bar=bar
  )


def _which(private: Candidate, fitting: Sequence[Candidate]) -> str:
  """Words for a most private cut beside which the whole model resists better."""
  is_all = most_resistant(fitting) == private
  return '' if is_all else ' that leaves the cloud something to compute'


def _within(limits: Sequence[Limit]) -> str:
  return f' within {", ".join(map(str, limits))}' if limits else ''


def _name_doubtful(
  cheaper: Sequence[Candidate], doubtful: Mapping[Candidate, tuple[Doubt, ...]]
) -> str:
  """Why the cheapest cut that looks private enough may not be; '' without any."""
  if not cheaper:
    return ''
  return f'{cheaper[0]} is cheaper, but {doubtful[cheaper[0]][0]}.'


def _count_seeds(choice: Candidate, bar: Bar, rows: Sequence[Row]) -> str:
  """In how many seeds no attack is better, in a sentence."""
  errors, likeness = (
    _by_seed(rows, column, choice.treatment, choice.split)
    for column in ('test_mse', 'test_ssim')
  )
  held = [bar.holds(errors[s], likeness.get(s, math.nan)) for s in sorted(errors)]
  if len(held) < 2:
    return 'This is one seed; whether that holds in others is open.'
  return f'That holds in {sum(held)} of {len(held)} seeds.'


def _by_seed(
  rows: Sequence[Row], column: str, treatment: Treatment, split: str
) -> dict[int, float]:
  """A score of the attack that is strongest by it, seed -> score."""
  return {
    row['seed']: row[column]
    for row in results.strongest(results.of_cell(rows, treatment, split), column)
    if row['status'] == 'done'
  }


def _compare(choice: Candidate, private: Candidate, which: str) -> str:
  """What the most private cut would cost, in a sentence."""
  if choice == private:
    return f'It is also the most private cut{which}.'
  return (
    f'The most private cut{which} is {private}, with MSE {private.test_mse:.3g}; it'
    f' keeps {private.edge_params_share:.1%} of the parameters on the device.'
  )
