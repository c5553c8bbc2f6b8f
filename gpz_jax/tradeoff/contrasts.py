"""How one treatment differs from another over seeds and classes, and what that says."""

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np

from gpz_jax import intervals, results
from gpz_jax.estimates import Estimate
from gpz_jax.results import Row
from gpz_jax.tradeoff import doubts
from gpz_jax.tradeoff.alike import ALIKE, tell_difference
from gpz_jax.tradeoff.pairs import align
from gpz_jax.tradeoff.points import Point, list_points
from gpz_jax.tradeoff.published import Finding, StudyRows
from gpz_jax.types import Treatment

HOLDS, FAILS, UNDECIDED = intervals.HOLDS, intervals.FAILS, intervals.OPEN
LEAST_SEEDS = 2
UNKNOWN = Estimate()


@dataclasses.dataclass(frozen=True)
class Contrast:
  """Two treatments of a study, or one of each of two studies.

  Attributes:
    run: Name of the runs of `before`, and of those of `after` where they are others.
    before: The treatment that is changed, in words.
    after: What it is changed to.
    verdict: What the finding comes to here.
    why: Why it cannot be decided; '' where it is.
    change: How much the column rises, with its interval over seeds and classes.
    by_seed: The same of each seed, [S].
    cost: How much accuracy falls, the mean over seeds; NaN where it is not known.
  """

  run: str
  before: str
  after: str
  verdict: str
  why: str = ''
  change: Estimate = UNKNOWN
  by_seed: tuple[float, ...] = ()
  cost: float = math.nan


def contrast(
  finding: Finding,
  run: str,
  before: tuple[StudyRows, Treatment],
  after: tuple[StudyRows, Treatment],
  *,
  comparisons: int = 1,
) -> Contrast:
  """Puts a finding to the test on two treatments.

  The interval is a bootstrap over seeds and classes. Because that is too narrow where
  there are few seeds, every seed must also be on the side of the verdict by itself.

  Args:
    finding: The statement.
    run: Name of the runs.
    before: Rows, and the treatment among them that is changed.
    after: Rows, and the treatment that it is changed to.
    comparisons: In how many comparisons the finding is put to the test. It fails where
      one of them does, which may be by chance. So it fails here only by an interval
      that is wider for their number (Bonferroni).
  """
  names = (str(before[1]), str(after[1]))
  points = [_find(study.rows, treatment) for study, treatment in (before, after)]
  for point, name in zip(points, names, strict=True):
    if point is None:
      why = f'no attack on targets with {name} has finished'
      return Contrast(run, *names, UNDECIDED, why)
  first, second = (point for point in points if point is not None)
  lost = ''
  # A finding on two runs may be about the attack in which they differ.
  if not finding.against or first.finished.keys() & second.finished.keys():
    first, second, lost = align(first, second)
  cost = _cost(first, second)
  if why := _doubt((before[0].rows, first), (after[0].rows, second)) or lost:
    return Contrast(run, *names, UNDECIDED, why, cost=cost)
  values = _differences(
    of_classes_and_seeds(first, before[0].classes, finding.column),
    of_classes_and_seeds(second, after[0].classes, finding.column),
  )
  if len(values) < LEAST_SEEDS or values.shape[1] < 2:
    seeds, classes = values.shape
    why = (
      f'the two have {seeds} of their seeds and {classes} of their classes in common,'
      f' and {LEAST_SEEDS} of each are needed to know how much the numbers vary'
    )
    return Contrast(run, *names, UNDECIDED, why, cost=cost)
  change, wider = _estimate(values, 0.05), _estimate(values, 0.05 / comparisons)
  by_seed = tuple(float(each) for each in np.nanmean(values, axis=1))
  verdict = judge_change(finding, change, by_seed, wider)
  change = wider if verdict == FAILS else change
  why = _why_open(finding, change) if verdict == UNDECIDED else ''
  if other := _blame_accuracy(finding, verdict, cost):
    verdict, why = UNDECIDED, other
  return Contrast(run, *names, verdict, why, change, by_seed, cost)


def _estimate(values: np.ndarray, risk: float) -> Estimate:
  """The mean of differences [S, T], with an interval that misses it at that risk."""
  seeds, classes = values.shape
  level = f'{100 * (1 - risk):.3g}% interval, ' if risk < 0.05 else ''
  return Estimate(
    float(np.nanmean(values)),
    *intervals.bootstrap(values, level=1 - risk),
    f'{level}{seeds} seeds and {classes} classes',
  )


def judge_change(
  finding: Finding, change: Estimate, by_seed: Sequence[float], wider: Estimate
) -> str:
  """What a change says of a finding, accuracy aside.

  Args:
    finding: The statement, with its margin.
    change: How much the column rises, with the interval by which the finding holds.
    by_seed: The same of each seed.
    wider: The change with the interval by which the finding fails.
  """
  margin = finding.margin
  if finding.kind == 'equal':
    if -margin < change.low and change.high < margin:
      return HOLDS
    is_up = wider.low > margin and min(by_seed) > 0
    is_down = wider.high < -margin and max(by_seed) < 0
    return FAILS if is_up or is_down else UNDECIDED
  sign = -1 if finding.kind == 'falls' else 1
  seeds = [sign * each for each in by_seed]
  if min(sign * change.low, sign * change.high) > margin and min(seeds) > margin:
    return HOLDS
  most = max(sign * wider.low, sign * wider.high)
  return FAILS if most < margin and max(seeds) < margin else UNDECIDED


def of_classes_and_seeds(
  point: Point, classes: Sequence[Row], column: str
) -> dict[int, dict[int, float]]:
  """seed -> label -> the value of a column, of the finished classes of a point."""
  lanes = {row['lane_id'] for row in point.rows}
  found: dict[int, dict[int, float]] = {}
  for row in classes:
    is_ours = row['lane_id'] in lanes and row['attack'] == point.attack
    if is_ours and row['status'] == 'done' and math.isfinite(row[column]):
      found.setdefault(row['seed'], {})[row['label']] = row[column]
  return found


def _differences(
  before: Mapping[int, Mapping[int, float]], after: Mapping[int, Mapping[int, float]]
) -> np.ndarray:
  """after - before [S, T] for the seeds and labels of both; NaN where one has none."""
  seeds = sorted(before.keys() & after.keys())
  labels = sorted(
    {label for s in seeds for label in before[s].keys() & after[s].keys()}
  )
  return np.array(
    [
      [after[s].get(k, math.nan) - before[s].get(k, math.nan) for k in labels]
      for s in seeds
    ]
  ).reshape(len(seeds), len(labels))


def _find(rows: Sequence[Row], treatment: Treatment) -> Point | None:
  """The point of a treatment; None where no attack on it has finished."""
  return next((p for p in list_points(rows) if p.treatment == treatment), None)


def _cost(before: Point, after: Point) -> float:
  """How much accuracy falls, over the seeds of both."""
  first, second = (
    {row['seed']: row['target_accuracy'] for row in point.rows}
    for point in (before, after)
  )
  both = first.keys() & second.keys()
  return results.mean([first[seed] - second[seed] for seed in sorted(both)])


def _doubt(*sides: tuple[Sequence[Row], Point]) -> str:
  """Why what is compared means nothing; '' where it may mean something.

  Args:
    *sides: The rows of a study, and the point of it that is compared.
  """
  if difference := tell_difference([r for rows, _ in sides for r in rows], ALIKE):
    return f'the runs differ in {difference}; give both the same'
  found, points = [], []
  for rows, _ in sides:
    theirs = list_points(rows)
    nearest = results.nearest_untreated(point.treatment for point in theirs)
    found += doubts.of_study(next(p for p in theirs if p.treatment == nearest))
    points += theirs
  for _, point in sides:
    found += doubts.of_point(point, points)
  return found[0] if found else ''


def _why_open(finding: Finding, change: Estimate) -> str:
  found = change.in_points
  margin = f'{100 * finding.margin:.3g}'
  return (
    f'the change of {found.mean:+.1f} points ({found.low:+.1f} to {found.high:+.1f}'
    f' over {found.over}) is not clearly on one side of {margin} points, or the seeds'
    ' differ in it'
  )


def _blame_accuracy(finding: Finding, verdict: str, cost: float) -> str:
  """Why a verdict may be due to another accuracy; '' where it is not."""
  if finding.within is None or verdict == UNDECIDED or math.isnan(cost):
    return ''
  in_favour = cost if verdict == HOLDS else -cost
  if in_favour <= finding.within:
    return ''
  word = 'falls' if cost > 0 else 'rises'
  return (
    f'accuracy {word} by {100 * abs(cost):.1f} points, which may be the reason; compare'
    ' at equal accuracy (--keep_checkpoints and --at_accuracy)'
  )
