"""The answer of a study of model inversion, or why there is none."""

import dataclasses
import math
from collections.abc import Sequence

from gpz_jax import results
from gpz_jax.estimates import Estimate
from gpz_jax.results import Row
from gpz_jax.tradeoff import doubts
from gpz_jax.tradeoff.comparison import Comparison, compare
from gpz_jax.tradeoff.points import Point, list_points
from gpz_jax.tradeoff.words import phrase

NO_CONCLUSION = 'No conclusion can be drawn from these results'
MORE_SEEDS, MORE_CLASSES = 'run more seeds (--seeds)', 'attack more classes (--classes)'
RANKED = (
  'The trade that is named is the one that lowers AttAcc@1 by the most points more than'
  ' accuracy, among those whose fall is clear: its 95% intervals over seeds and over'
  ' classes, where there are any, leave out 0'
)


@dataclasses.dataclass(frozen=True)
class Answer:
  """What the rows say.

  Attributes:
    headline: The answer in one sentence without a full stop.
    reasons: What it rests on, or why there is none; sentences without a full stop.
    baseline: The untreated targets, or those nearest to that; None without a row.
    comparisons: All other treatments beside them, ascending.
    best: The treatment with the best trade; None where none is named.
  """

  headline: str
  reasons: tuple[str, ...] = ()
  baseline: Point | None = None
  comparisons: tuple[Comparison, ...] = ()
  best: Comparison | None = None


def conclude(rows: Sequence[Row], classes: Sequence[Row] = ()) -> Answer:
  """The answer that the rows of a study allow.

  Args:
    rows: Rows of `results.INVERSIONS`.
    classes: Rows of `results.CLASSES`, as far as there are any.
  """
  points = list_points(rows)
  if not points:
    return Answer(NO_CONCLUSION, ('no attack has finished without going astray',))
  nearest = results.nearest_untreated(point.treatment for point in points)
  baseline = next(point for point in points if point.treatment == nearest)
  others = [point for point in points if point is not baseline]
  compared = tuple(compare(point, baseline, classes) for point in others)
  if reasons := doubts.of_study(baseline) or doubts.of_point(baseline, points):
    return Answer(NO_CONCLUSION, reasons, baseline, compared)
  if not compared:
    return Answer(_describe_alone(baseline), (), baseline)
  doubted = [(each, _doubt(each, points)) for each in compared]
  usable = [each for each, texts in doubted if not texts]
  left_out = tuple(dict.fromkeys(text for _, texts in doubted for text in texts))
  clear = [each for each in usable if each.is_fall_clear and each.fall.mean > 0]
  if not clear:
    return Answer(NO_CONCLUSION, (_no_fall(usable), *left_out), baseline, compared)
  best = max(clear, key=lambda each: each.net)
  return Answer(
    _describe_trade(best), (*_support(best), *left_out), baseline, compared, best
  )


def _doubt(compared: Comparison, points: Sequence[Point]) -> tuple[str, ...]:
  found = doubts.of_point(compared.point, points)
  return found or tuple(filter(None, [compared.doubt]))


def _describe_alone(baseline: Point) -> str:
  found = baseline.att_acc
  return (
    f'{found.mean:.0%} of reconstructions from targets with {baseline.treatment} show'
    ' the attacked class, and there is no other treatment to compare with'
  )


def _describe_trade(best: Comparison) -> str:
  subject = phrase(best.point.treatment, best.baseline.treatment)
  before, after = best.baseline.att_acc.mean, best.point.att_acc.mean
  return (
    f'{subject[0].upper()}{subject[1:]} costs {_describe_cost(best.cost)} and takes'
    f' AttAcc@1 from {before:.0%} to {after:.0%}'
  )


def _describe_cost(cost: Estimate) -> str:
  return f'{format_points(cost.mean)} of accuracy' if cost.mean > 0 else 'no accuracy'


def format_points(share: float) -> str:
  """A difference of shares in percentage points: '2.1 points'."""
  number = f'{100 * share:.1f}'
  return f'{number} {"point" if number == "1.0" else "points"}'


def _support(best: Comparison) -> tuple[str, ...]:
  """The numbers of the headline with their intervals."""
  parts = [
    _with_interval('AttAcc@1 falls by', best.fall),
    _with_interval('class by class by', best.fall_of_classes),
  ]
  word = 'falls' if best.cost.mean > 0 else 'rises'
  cost = best.cost if best.cost.mean > 0 else _negate(best.cost)
  found = [
    ', '.join(filter(None, parts)),
    _with_interval(f'Accuracy {word} by', cost),
  ]
  if not best.cost.has_interval:
    found[-1] += '; one seed says nothing of how much it varies'
  return tuple(found)


def _with_interval(words: str, found: Estimate) -> str:
  if math.isnan(found.mean):
    return ''
  text = f'{words} {format_points(found.mean)}'
  if found.has_interval:
    low, high = (f'{100 * end:.1f}' for end in (found.low, found.high))
    text += f' ({low} to {high} over {found.over})'
  return text


def _negate(found: Estimate) -> Estimate:
  return Estimate(-found.mean, -found.high, -found.low, found.over)


def _no_fall(usable: Sequence[Comparison]) -> str:
  if not usable:
    return 'the targets of every treatment are doubtful'
  nearest = max(usable, key=lambda each: each.fall.mean)
  text = _with_interval('AttAcc@1 falls by', nearest.fall)
  classes = _with_interval('class by class by', nearest.fall_of_classes)
  both = ', '.join(filter(None, (text, classes)))
  if nearest.has_few_classes:
    both += ', and the classes are too few to tell how much they vary'
  return (
    'no treatment can be told from the untreated targets: the largest fall is that of'
    f' {nearest.point.treatment}, where {both}; {MORE_SEEDS} or {MORE_CLASSES}'
  )
