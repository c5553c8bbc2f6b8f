"""A point for each treatment: its accuracy, and how well its targets are inverted."""

import dataclasses
import functools
import math
from collections.abc import Mapping, Sequence

from gpz_jax import results, skip_text
from gpz_jax.estimates import Estimate, of_values
from gpz_jax.results import Row
from gpz_jax.types import Treatment


@dataclasses.dataclass(frozen=True)
class Point:
  """A treatment, under the attack that inverts it best.

  Attributes:
    treatment: The treatment.
    attack: The attack with the highest mean AttAcc@1.
    rows: The finished rows of that attack, one a seed, ascending.
    finished: Such rows of every attack that has one; empty where nobody asked for them.
  """

  treatment: Treatment
  attack: str
  rows: tuple[Row, ...]
  finished: Mapping[str, tuple[Row, ...]] = dataclasses.field(default_factory=dict)

  @property
  def seeds(self) -> tuple[int, ...]:
    """The seeds that have a row."""
    return tuple(row['seed'] for row in self.rows)

  def seeds_of(self, attack: str) -> set[int]:
    """The seeds in which an attack has finished."""
    return {row['seed'] for row in self.finished.get(attack, ())}

  def estimate(self, column: str) -> Estimate:
    """The mean of a column over seeds.

    Its interval is over seeds where there are several, else the one over classes that
    the row holds, if it holds one.
    """
    found = of_values([row[column] for row in self.rows], 'seeds')
    if found.has_interval or not self.rows or f'{column}_low' not in self.rows[0]:
      return found
    row = self.rows[0]
    low, high = row[f'{column}_low'], row[f'{column}_high']
    if not (math.isfinite(low) and math.isfinite(high)):
      return found
    return Estimate(found.mean, low, high, f'{row["num_attacked"]} classes')

  def mean(self, column: str) -> float:
    """The mean of a column over seeds; NaN where there is none."""
    return self.estimate(column).mean

  @functools.cached_property
  def accuracy(self) -> Estimate:
    """Accuracy on the private test images."""
    return self.estimate('target_accuracy').clipped()

  @functools.cached_property
  def att_acc(self) -> Estimate:
    """AttAcc@1 of the final reconstructions."""
    return self.estimate('att_acc1').clipped()


def list_points(rows: Sequence[Row]) -> list[Point]:
  """The point of each treatment that has a finished row, ascending."""
  found, attacks = [], results.list_attacks(rows)
  for treatment in results.list_treatments(rows):
    attack = strongest_attack(rows, treatment)
    if attack is not None:
      every = {each: tuple(select(rows, treatment, each)) for each in attacks}
      finished = {name: those for name, those in every.items() if those}
      found.append(Point(treatment, attack, finished[attack], finished))
  return found


def select(rows: Sequence[Row], treatment: Treatment, attack: str) -> list[Row]:
  """The finished rows of a treatment and an attack, ascending by seed."""
  those = (
    row
    for row in rows
    if Treatment.of(row) == treatment
    and row['attack'] == attack
    and row['status'] == 'done'
    and math.isfinite(row['att_acc1'])
  )
  return sorted(those, key=lambda row: row['seed'])


def strongest_attack(rows: Sequence[Row], treatment: Treatment) -> str | None:
  """The attack with the highest mean AttAcc@1 over seeds; None where none finished.

  An attack that was run on fewer seeds than others counts only where nothing else is
  there, because a defender has to reckon with what is known best.
  """

  def rank(attack: str) -> tuple[int, float]:
    those = select(rows, treatment, attack)
    return len(those), results.mean([row['att_acc1'] for row in those])

  attacks = [a for a in results.list_attacks(rows) if select(rows, treatment, a)]
  return max(attacks, key=rank, default=None)


def front(points: Sequence[Point]) -> list[Point]:
  """The points that no other outdoes in accuracy and AttAcc@1, by falling accuracy.

  Another outdoes a point if it is at least as good in both and better in one. Means
  are compared; what intervals cannot tell apart may still be on it or not.
  """

  def outdoes(other: Point, point: Point) -> bool:
    ahead = other.accuracy.mean - point.accuracy.mean
    safer = point.att_acc.mean - other.att_acc.mean
    return ahead >= 0 and safer >= 0 and (ahead > 0 or safer > 0)

  known = [point for point in points if math.isfinite(point.accuracy.mean)]
  best = [p for p in known if not any(outdoes(other, p) for other in known)]
  return sorted(best, key=lambda point: -point.accuracy.mean)


def removed_stage(treatment: Treatment, baseline: Treatment) -> int | None:
  """The stage, from 1, whose skips are all that a treatment removes; None for others.

  Args:
    treatment: The treatment.
    baseline: What it is compared with; all but the skips must be equal.
  """
  same = dataclasses.replace(treatment, skips=baseline.skips)
  skips = skip_text.parse(treatment.skips)
  if same != baseline or skips.intact_epochs or skips.part or any(skips.is_learned):
    return None
  stages = [i for i, k in enumerate(skips.factors, start=1) if k != 1]
  if len(stages) != 1 or skips.factors[stages[0] - 1] != 0:
    return None
  return stages[0]
