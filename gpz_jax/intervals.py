"""How sure a number is: intervals for means and other estimates."""

import math
import statistics
from collections.abc import Sequence

from scipy import stats

# Half the width of a 95% interval of a normal distribution, in standard errors.
Z95 = 1.96


def mean_interval(values: Sequence[float], level: float = 0.95) -> tuple[float, float]:
  """The interval of Student's t for the mean of at least two values.

  Args:
    values: Independent values, such as one for each seed.
    level: The share of such intervals that hold the mean.

  Returns:
    Its lower and its upper end.
  """
  mean = statistics.fmean(values)
  error = statistics.stdev(values) / math.sqrt(len(values))
  reach = float(stats.t.ppf((1 + level) / 2, len(values) - 1)) * error
  return mean - reach, mean + reach
