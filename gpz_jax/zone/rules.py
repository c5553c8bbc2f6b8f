"""The rules that say at which split the zone begins, on plain numbers.

Each takes one number for each split, shallow to deep; a split whose number is not
finite is stepped over, and its neighbours are compared. Of equals the shallower wins.
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


Rule = Callable[[Sequence[float]], Start | None]


def first_jump(
  errors: Sequence[float], ratio: float = RATIO, threshold: float = THRESHOLD
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
  for before, after in _steps(errors):
    if is_jump(errors[before], errors[after], ratio, threshold):
      return Start(after, factor(errors[before], errors[after]))
  return None


def is_jump(before: float, after: float, ratio: float, threshold: float) -> bool:
  """Whether an error of `after` counts as a jump from one of `before`."""
  return after > threshold and factor(before, after) > ratio


def factor(before: float, after: float) -> float:
  """`after` over `before`; infinity where nothing was before."""
  return after / before if before > 0 else math.inf


def largest_drop(values: Sequence[float], wide: float = WIDE) -> Start | None:
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
    after: (values[before] - values[after]) / values[before]
    for before, after in _steps(values)
    if values[before] > 0
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


def largest_fall(values: Sequence[float]) -> Start | None:
  """The split that lies furthest below the split before, in the unit of `values`.

  For logarithmic numbers, which may be negative: there a difference is what a relative
  drop is to the numbers themselves.

  Returns:
    The split and the difference; None where the values fall nowhere.
  """
  falls = {after: values[before] - values[after] for before, after in _steps(values)}
  first = max(falls, key=falls.__getitem__, default=None)
  if first is None or falls[first] <= 0:
    return None
  return Start(first, falls[first])


def _steps(values: Sequence[float]) -> list[tuple[int, int]]:
  """Neighbouring positions of finite values."""
  finite = (i for i, value in enumerate(values) if math.isfinite(value))
  return list(itertools.pairwise(finite))
