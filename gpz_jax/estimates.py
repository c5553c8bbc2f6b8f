"""A number with its 95% interval, and what the interval is over."""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from gpz_jax import intervals


class Estimate(NamedTuple):
  """A mean, and the interval in which it lies.

  Attributes:
    mean: The number; NaN where nothing is known.
    low: The lower end of its 95% interval; NaN where there is none.
    high: The upper end.
    over: What was resampled or repeated, as '3 seeds' or '20 classes'; '' without an
      interval.
  """

  mean: float = math.nan
  low: float = math.nan
  high: float = math.nan
  over: str = ''

  @property
  def has_interval(self) -> bool:
    """Whether both ends are known."""
    return math.isfinite(self.low) and math.isfinite(self.high)

  @property
  def is_above_0(self) -> bool | None:
    """Whether the interval lies above 0; None where there is none."""
    return self.low > 0 if self.has_interval else None

  @property
  def in_points(self) -> 'Estimate':
    """A share in percentage points."""
    return Estimate(100 * self.mean, 100 * self.low, 100 * self.high, self.over)

  def clipped(self, low: float = 0.0, high: float = 1.0) -> 'Estimate':
    """The estimate with an interval that does not leave the possible numbers."""
    return self._replace(low=max(self.low, low), high=min(self.high, high))

  def format(self, number: Callable[[float], str]) -> str:
    """As '0.42 (0.40 to 0.44)', or the mean alone where there is no interval.

    Args:
      number: Writes the mean and each end.
    """
    text = number(self.mean)
    if not self.has_interval:
      return text
    return f'{text} ({number(self.low)} to {number(self.high)})'


def of_values(values: Sequence[float], unit: str) -> Estimate:
  """The mean of values with Student's interval.

  There is no interval where there is one value, or where there are two and they are the
  same. Two shares of a few searches often agree by chance, and an interval without
  width would look certain.

  Args:
    values: Independent values; those that are not finite are left out.
    unit: What they are values of, in the plural, such as 'seeds'.
  """
  finite = [value for value in values if math.isfinite(value)]
  if not finite:
    return Estimate()
  mean = sum(finite) / len(finite)
  # Shares were float32 once, so that equal ones may differ in the eighth digit.
  if len(finite) < 3 and math.isclose(finite[0], finite[-1], abs_tol=1e-6):
    return Estimate(mean)
  low, high = intervals.mean_interval(finite)
  return Estimate(mean, low, high, f'{len(finite)} {unit}')
