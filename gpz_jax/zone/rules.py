"""The rules that say at which split the zone begins, on plain numbers.

Each takes one number for each split, shallow to deep, of one seed or of several. A
split without a finite number is stepped over, and its neighbours are compared. Two
splits are compared over the seeds that have a number at both: a seed that is missing at
one of them says nothing of the step between. Of equals the shallower wins.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

RATIO = 2.0
THRESHOLD = 0.02  # channel-summed MSE, as published
WIDE = 0.2  # A drop this large between the two largest makes them a range.


class Start(NamedTuple):
  """Where a rule says the zone begins.

  Attributes:
    index: Position in the numbers given.
    size: The size of the step that decided it: a factor, a share or a difference.
    other: The other end where the rule returns a range, shallower or deeper.
  """

  index: int
  size: float
  other: int | None = None


Numbers = Sequence[float] | Sequence[Sequence[float]]  # [P], or [S, P] of S seeds
Rule = Callable[[Numbers], Start | None]


class Step(NamedTuple):
  """Two neighbouring splits and their means over the seeds that both have."""

  before: int
  after: int
  left: float
  right: float

  @property
  def factor(self) -> float:
    """The second mean over the first."""
    return factor(self.left, self.right)


def first_jump(
  errors: Numbers, ratio: float = RATIO, threshold: float = THRESHOLD
) -> Start | None:
  """The first split whose error is over `ratio` times the one before and `threshold`.

  Args:
    errors: Reconstruction error at each split; `threshold` is in its unit.
    ratio: The factor that a jump must exceed.
    threshold: The error that a split of the zone must exceed.

  Returns:
    The split and the factor; None where no split meets the rule.

  Source: docs/paper.md#partition-rule, the rule after the fact, with its threshold.
  """
  for step in list_steps(errors):
    if is_jump(step.left, step.right, ratio, threshold):
      return Start(step.after, step.factor)
  return None


def is_jump(before: float, after: float, ratio: float, threshold: float) -> bool:
  """Whether an error of `after` counts as a jump from one of `before`."""
  return after > threshold and factor(before, after) > ratio


def factor(before: float, after: float) -> float:
  """`after` over `before`; infinity where nothing was before."""
  return after / before if before > 0 else math.inf


def largest_drop(values: Numbers, wide: float = WIDE) -> Start | None:
  """The split with the largest relative drop from the split before, or a range.

  The drop is (before - after) / before. Where any drop strictly between the largest
  and the second largest is `wide` or more in absolute value, the two are the ends of
  a range; a second that is no drop at all is no end (the one thing added here to the
  published rule).

  Args:
    values: A positive number for each split, such as the mean over classes of R_c^2.
    wide: The least drop between the two that makes them a range.

  Returns:
    The split of the largest drop and its share, and the second where it is a range;
    None where the values drop nowhere.

  Source: docs/paper.md#partition-rule, the third version of the paper.
  """
  drops = {
    step.after: (step.left - step.right) / step.left
    for step in list_steps(values)
    if step.left > 0
  }
  ranked = sorted((i for i in drops if drops[i] > 0), key=lambda i: -drops[i])
  if not ranked:
    return None
  first, *others = ranked
  if others:
    left, right = sorted((first, others[0]))
    if any(abs(drops[i]) >= wide for i in drops if left < i < right):
      return Start(first, drops[first], others[0])
  return Start(first, drops[first])


def largest_fall(values: Numbers) -> Start | None:
  """The split that lies furthest below the split before, in the unit of `values`.

  For logarithmic numbers, which may be negative: there a difference is what a relative
  drop is to the numbers themselves.

  Returns:
    The split and the difference; None where the values fall nowhere.
  """
  falls = {step.after: step.left - step.right for step in list_steps(values)}
  first = max(falls, key=falls.__getitem__, default=None)
  if first is None or falls[first] <= 0:
    return None
  return Start(first, falls[first])


def list_steps(values: Numbers) -> list[Step]:
  """The steps between neighbouring splits that some seed has a number at."""
  table = _as_seeds(values)
  places = [
    place
    for place in range(len(table[0]) if table else 0)
    if any(math.isfinite(seed[place]) for seed in table)
  ]
  steps = (compare(table, *pair) for pair in itertools.pairwise(places))
  return [step for step in steps if step is not None]


def compare(values: Numbers, before: int, after: int) -> Step | None:
  """The step from one split to another; None where no seed has a number at both."""
  pairs = [
    (seed[before], seed[after])
    for seed in _as_seeds(values)
    if math.isfinite(seed[before]) and math.isfinite(seed[after])
  ]
  if not pairs:
    return None
  left, right = (sum(numbers) / len(pairs) for numbers in zip(*pairs, strict=True))
  return Step(before, after, left, right)


def _as_seeds(values: Numbers) -> Sequence[Sequence[float]]:
  is_table = len(values) > 0 and not isinstance(values[0], int | float)
  return values if is_table else [values]  # pyright: ignore[reportReturnType] as checked
