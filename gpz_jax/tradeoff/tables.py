"""The table that a study of model inversion ends with."""

import math
from collections.abc import Sequence

from gpz_jax import results
from gpz_jax.results import Row
from gpz_jax.results.formats import align
from gpz_jax.tradeoff.comparison import compare
from gpz_jax.tradeoff.points import Point, list_points, select
from gpz_jax.types import Treatment

_HEADER: tuple[str, ...] = (
  'treatment',
  'attack',
  'seeds',
  'accuracy',
  'AttAcc@1',
  '@5',
  'all @1',
  'confidence',
  'false pos.',
  'distance',
  'Delta',
)


def format_table(rows: Sequence[Row]) -> str:
  """A line for each treatment and attack, with means over seeds.

  Args:
    rows: Rows of `results.INVERSIONS`, in any order, complete or not.

  Returns:
    Lines of plain text. Shares are in percent, and the interval of AttAcc@1 is over
    seeds where there are several, else over classes; so it is where two seeds agree.
    A line below the table names what Delta is against, if not the untreated targets.
  """
  points = list_points(rows)
  if not points:
    return 'no attack has finished'
  treatments = [point.treatment for point in points]
  nearest = results.nearest_untreated(treatments)
  table = [list(_HEADER)]
  for point in points:
    for attack in results.list_attacks(rows):
      those = tuple(select(rows, point.treatment, attack))
      base = tuple(select(rows, nearest, attack))
      if those:
        baseline = Point(nearest, attack, base) if base else None
        table.append(_line(Point(point.treatment, attack, those), baseline))
  named = _name_baseline(nearest) if len(points) > 1 else []
  return '\n'.join([*align(table), *named, *_list_doubts(rows)])


def _line(point: Point, baseline: Point | None) -> list[str]:
  delta = math.nan
  if baseline is not None and baseline.treatment != point.treatment:
    delta = compare(point, baseline).delta
  return [
    str(point.treatment),
    point.attack,
    str(len(point.seeds)),
    percent(point.accuracy.mean),
    point.att_acc.format(percent),
    percent(point.mean('att_acc5')),
    percent(point.mean('att_acc1_all')),
    percent(point.mean('confidence')),
    percent(point.mean('false_positives')),
    _number(point.mean('delta_eval')),
    _number(delta),
  ]


def _name_baseline(nearest: Treatment) -> list[str]:
  """A line that says what Delta is against, unless it is the untreated targets."""
  if nearest == Treatment():
    return []
  return [f'Delta is against {nearest}: no untreated target has a finished row']


def _list_doubts(rows: Sequence[Row]) -> list[str]:
  """A line for each kind of doubt that rows have."""
  return [f'doubtful: {each}' for each in sorted({row['doubt'] for row in rows} - {''})]


def percent(share: float) -> str:
  """A share in percent without its sign, or a dash where it is not known."""
  return f'{100 * share:.1f}' if math.isfinite(share) else '-'


def _number(value: float) -> str:
  return f'{value:.3g}' if math.isfinite(value) else '-'
