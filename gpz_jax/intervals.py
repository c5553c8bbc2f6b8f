"""How sure a number is: intervals for means and other estimates."""

import math
import statistics
from collections.abc import Sequence

import numpy as np
from scipy import special

from gpz_jax.types import InputError

# Half the width of a 95% interval of a normal distribution, in standard errors.
Z95 = 1.96
DRAWS = 10_000
_BLOCK = 1_000  # draws whose weights are in memory at once

# What `decide` says of a claim.
HOLDS = 'holds'
FAILS = 'does not hold'
OPEN = 'cannot decide'
ONE_SEED = f'{OPEN}: one seed'
NOT_RUN = 'not run'


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
  reach = float(special.stdtrit(len(values) - 1, (1 + level) / 2)) * error
  return mean - reach, mean + reach


def share_interval(hits: int, count: int, level: float = 0.95) -> tuple[float, float]:
  """The interval of a share, as of `hits` in `count` independent trials.

  Returns:
    Its lower and its upper end, in [0, 1].

  Source: Clopper and Pearson, Biometrika 26(4), 1934.
  """
  tail = (1 - level) / 2
  low = special.betaincinv(hits, count - hits + 1, tail) if hits > 0 else 0.0
  high = special.betaincinv(hits + 1, count - hits, 1 - tail) if hits < count else 1.0
  return float(low), float(high)


def decide(margins: Sequence[float]) -> str:
  """Whether a claim holds, by the 95% interval of the mean margin over seeds.

  Args:
    margins: How far the claim holds by, one number for each seed: positive where it
      holds there, negative where it does not. For 'a is less than b' they are b - a of
      the same seed. A margin that is not finite counts as not run.

  Returns:
    `HOLDS` where the interval lies above 0 and `FAILS` where it lies below. `OPEN`
    where it reaches 0, or where all margins are the same: that says nothing of how far
    other seeds would differ. `ONE_SEED` where there is one margin, `NOT_RUN` without
    any.
  """
  known = [margin for margin in margins if math.isfinite(margin)]
  if len(known) < 2:
    return ONE_SEED if known else NOT_RUN
  low, high = mean_interval(known)
  if math.isclose(low, high):
    return OPEN
  if low > 0:
    return HOLDS
  return FAILS if high < 0 else OPEN


def bootstrap(
  values: np.ndarray, *, seed: int = 0, draws: int = DRAWS, level: float = 0.95
) -> tuple[float, float]:
  """How far other classes, and other seeds, would move a mean over both.

  The same classes were measured under all seeds. So seeds are drawn with replacement,
  and classes are drawn with replacement, once for all of the seeds that were drawn.
  The mean of each draw is taken, and the interval lies between two percentiles of them.

  Of few seeds the draws spread too little: the variance over S seeds is (S - 1) / S of
  what it is in truth. `mean_interval` of the seeds' means knows that.

  Args:
    values: [S, T], one for each seed and class, or [T] where only classes are drawn;
      NaN where there is none.
    seed: Seed of the draws.
    draws: How often is drawn.
    level: The share of such intervals that hold the mean.

  Returns:
    Its lower and its upper end; NaN where fewer than two classes have a value.

  Raises:
    InputError: The values have another shape, or there are no draws.

  Source: Owen, The pigeonhole bootstrap, Annals of Applied Statistics 1(2), 2007.
  """
  values = np.atleast_2d(np.asarray(values, np.float64))
  if values.ndim != 2 or draws < 1:
    raise InputError(
      f'a bootstrap needs values [seeds, classes] and draws, got {values.shape} and'
      f' {draws}'
    )
  known = ~np.isnan(values)
  if known.any(axis=0).sum() < 2:
    return math.nan, math.nan
  rng = np.random.default_rng(seed)
  starts = range(0, draws, _BLOCK)
  means = [
    _draw_means(rng, np.where(known, values, 0), known, min(_BLOCK, draws - start))
    for start in starts
  ]
  reach = 100 * (1 - level) / 2
  low, high = np.nanpercentile(np.concatenate(means), (reach, 100 - reach))
  return float(low), float(high)


def _draw_means(
  rng: np.random.Generator, values: np.ndarray, known: np.ndarray, draws: int
) -> np.ndarray:
  """The means [draws] of drawn rows and columns, NaN where none has a value.

  Args:
    rng: The source of the draws.
    values: [S, T], 0 where there is none.
    known: [S, T] bool, where there is one.
    draws: How often is drawn.
  """
  rows, columns = (
    rng.multinomial(size, np.full(size, 1 / size), draws) for size in values.shape
  )  # how often each is drawn, [draws, S] and [draws, T]
  totals = ((rows @ values) * columns).sum(axis=1)
  counts = ((rows @ known) * columns).sum(axis=1)
  return np.divide(totals, counts, out=np.full(draws, np.nan), where=counts > 0)
