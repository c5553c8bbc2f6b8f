"""A treatment beside the untreated targets: what it costs, what it gains, and Delta.

Source: docs/paper.md#trade-off.
"""

import dataclasses
import math
from collections.abc import Sequence

from gpz_jax.estimates import Estimate, of_values
from gpz_jax.results import Row, mean
from gpz_jax.tradeoff.pairs import align
from gpz_jax.tradeoff.points import Point


@dataclasses.dataclass(frozen=True)
class Comparison:
  """What a treatment changes. Every number is a share, not in points.

  Attributes:
    point: The treatment, under an attack that the untreated targets have, too.
    baseline: The untreated targets, in the same seeds.
    cost: Accuracy lost, over seeds.
    fall: AttAcc@1 lost, over seeds.
    fall_of_classes: AttAcc@1 lost, over classes; its mean is over the same seeds.
    doubt: An attack that one of them lacks and that scores higher; a sentence without a
      full stop, or ''.
  """

  point: Point
  baseline: Point
  cost: Estimate
  fall: Estimate
  fall_of_classes: Estimate
  doubt: str = ''

  @property
  def delta(self) -> float:
    """AttAcc@1 lost for each point of accuracy lost; NaN where accuracy did not fall.

    Source: docs/paper.md#trade-off.
    """
    return self.fall.mean / self.cost.mean if self.cost.mean > 0 else math.nan

  @property
  def is_cost_clear(self) -> bool:
    """Whether the seeds agree that accuracy falls, without which Delta means little."""
    return self.cost.is_above_0 is True

  @property
  def has_few_classes(self) -> bool:
    """Whether nothing can be known of how much the attacked classes vary."""
    if math.isfinite(self.fall_of_classes.mean):
      return not self.fall_of_classes.has_interval
    rows = (*self.point.rows, *self.baseline.rows)
    return min(row['num_attacked'] for row in rows) < 2

  @property
  def is_fall_clear(self) -> bool:
    """Whether every interval there is lies above 0, and there is one at least.

    Classes that are too few to have an interval leave it open, whatever seeds say.
    """
    if self.has_few_classes:
      return False
    found = [self.fall.is_above_0, self.fall_of_classes.is_above_0]
    if found == [None, None]:  # no class was kept: do the intervals of the two overlap?
      ours, theirs = self.point.att_acc, self.baseline.att_acc
      return ours.has_interval and theirs.has_interval and ours.high < theirs.low
    return False not in found

  @property
  def net(self) -> float:
    """Points of AttAcc@1 lost less points of accuracy lost: what trades are ranked by.

    Unlike Delta it is defined everywhere, and a cost near 0 does not blow it up.
    """
    return self.fall.mean - self.cost.mean


def compare(point: Point, baseline: Point, classes: Sequence[Row] = ()) -> Comparison:
  """Compares a treatment with the untreated targets, seed by seed where they share any.

  Of each the strongest attack counts, among those that both have.

  Args:
    point: The treatment.
    baseline: The untreated targets.
    classes: The rows of all classes.
  """
  point, baseline, doubt = align(point, baseline)
  return Comparison(
    point=point,
    baseline=baseline,
    cost=_difference(baseline, point, 'target_accuracy'),
    fall=_difference(baseline, point, 'att_acc1'),
    fall_of_classes=_difference_of_classes(baseline, point, classes),
    doubt=doubt,
  )


def _difference(baseline: Point, point: Point, column: str) -> Estimate:
  """How much lower a column is at `point`."""
  before, after = ({r['seed']: r[column] for r in p.rows} for p in (baseline, point))
  both = sorted(before.keys() & after.keys())
  if not both:
    return Estimate(baseline.mean(column) - point.mean(column))
  return of_values([before[seed] - after[seed] for seed in both], 'seeds')


def _difference_of_classes(
  baseline: Point, point: Point, classes: Sequence[Row]
) -> Estimate:
  seeds = set(baseline.seeds) & set(point.seeds)
  shared = [row for row in classes if row['seed'] in seeds]
  before, after = (of_classes(p, shared, 'att_acc1') for p in (baseline, point))
  both = sorted(before.keys() & after.keys())
  return of_values([before[label] - after[label] for label in both], 'classes')


def of_classes(point: Point, classes: Sequence[Row], column: str) -> dict[int, float]:
  """label -> the mean of a column over the seeds of a point, finite ones only."""
  lanes = {row['lane_id'] for row in point.rows}
  values: dict[int, list[float]] = {}
  for row in classes:
    is_ours = row['lane_id'] in lanes and row['attack'] == point.attack
    if is_ours and row['status'] == 'done' and math.isfinite(row[column]):
      values.setdefault(row['label'], []).append(row[column])
  return {label: mean(each) for label, each in sorted(values.items())}
