"""A quantity along the splits of one treatment, for each seed, and resamples of it."""

import dataclasses
from collections.abc import Iterable, Mapping

import numpy as np

from gpz_jax import results
from gpz_jax.intervals import Z95
from gpz_jax.results import Row
from gpz_jax.types import Treatment

# What the entropy vote is made of.
CONDITIONAL, TOTAL = 'entropy_class_logdet', 'entropy_logdet'


@dataclasses.dataclass(frozen=True)
class Profile:
  """Numbers of S seeds at P splits, NaN where there is none.

  Attributes:
    splits: P names in forward order.
    seeds: The seeds with at least one number, ascending.
    values: The numbers [S, P].
    below: Distance [S, P] from the value down to the end of its 95% interval; 0
      without one.
    above: Distance [S, P] from the value up to the end of its interval, likewise.
  """

  splits: tuple[str, ...]
  seeds: tuple[int, ...]
  values: np.ndarray
  below: np.ndarray
  above: np.ndarray

  @property
  def is_votable(self) -> bool:
    """Whether two splits have a number, so that there is a step to judge."""
    return np.isfinite(self.mean()).sum() >= 2

  @property
  def is_spread(self) -> bool:
    """Whether seeds or intervals leave anything to resample."""
    return len(self.seeds) > 1 or bool((self.below + self.above > 0).any())

  def mean(self) -> np.ndarray:
    """The mean over the seeds that have a number: [P]."""
    return _mean(self.values)

  def of_seed(self, seed: int) -> np.ndarray:
    """The numbers of one seed: [P], NaN throughout where it has none."""
    if seed not in self.seeds:
      return np.full(len(self.splits), np.nan)
    return self.values[self.seeds.index(seed)]

  def resample(self, count: int) -> np.ndarray:
    """Means [count, P] over the seeds of each of `draw`."""
    return _mean(self.draw(count))

  def draw(self, count: int) -> np.ndarray:
    """Seeds drawn with replacement, each number drawn from its interval.

    The numbers are drawn independently, normal on either side of the value. Splits
    measured on the same images err together, so their differences vary less than this
    says. With two or three seeds a bootstrap shows less spread than there is.

    Args:
      count: How often S seeds are drawn.

    Returns:
      Numbers [count, S, P], the same for every call.
    """
    rng = np.random.default_rng(0)
    picks = rng.integers(len(self.seeds), size=(count, len(self.seeds)))
    noise = rng.standard_normal((*picks.shape, len(self.splits))) / Z95
    reach = np.where(noise < 0, self.below[picks], self.above[picks])
    return self.values[picks] + reach * noise


def attack_profile(
  rows: Iterable[Row], treatment: Treatment, metric: str, splits: tuple[str, ...]
) -> Profile:
  """The error of the strongest attack that did not diverge, at each split."""
  return _tabulate(
    {
      (row['seed'], row['split']): (row[metric], np.nan, np.nan)
      for row in results.strongest(results.of_treatment(rows, treatment))
      if row['status'] == 'done'
    },
    splits,
  )


def theory_profile(
  theory_rows: Iterable[Row],
  treatment: Treatment,
  quantity: str,
  splits: tuple[str, ...],
) -> Profile:
  """A quantity of the theory at each split."""
  return _tabulate(
    {
      (row['seed'], row['split']): (row['value'], row['low'], row['high'])
      for row in theory_rows
      if row['quantity'] == quantity and Treatment.of(row) == treatment
    },
    splits,
  )


def entropy_profile(
  theory_rows: Iterable[Row], treatment: Treatment, splits: tuple[str, ...]
) -> Profile:
  """What knowing the class takes off the entropy bound, in nats per dimension, <= 0.

  (entropy_class_logdet - entropy_logdet) / D, with D = radius / radius_per_dim.
  """
  rows = list(theory_rows)
  names = (CONDITIONAL, TOTAL, 'radius', 'radius_per_dim')
  inside, total, radius, per_dim = (
    theory_profile(rows, treatment, name, splits) for name in names
  )
  seeds = [seed for seed in inside.seeds if seed in total.seeds]
  values, below, above = [], [], []
  for seed in seeds:
    i, t = inside.seeds.index(seed), total.seeds.index(seed)
    size = per_dim.of_seed(seed)
    dims = radius.of_seed(seed) / np.where(size > 0, size, np.nan)
    values.append((inside.values[i] - total.values[t]) / dims)
    below.append(np.hypot(inside.below[i], total.above[t]) / dims)
    above.append(np.hypot(inside.above[i], total.below[t]) / dims)
  shape = (len(seeds), len(splits))
  return Profile(
    splits,
    tuple(seeds),
    np.reshape(values, shape),
    np.nan_to_num(np.reshape(below, shape)),
    np.nan_to_num(np.reshape(above, shape)),
  )


def _tabulate(
  cells: Mapping[tuple[int, str], tuple[float, float, float]], splits: tuple[str, ...]
) -> Profile:
  seeds = tuple(
    sorted({seed for (seed, _), (value, *_) in cells.items() if np.isfinite(value)})
  )
  nothing = (np.nan, np.nan, np.nan)
  table = np.array(
    [[cells.get((seed, split), nothing) for split in splits] for seed in seeds]
  ).reshape(len(seeds), len(splits), 3)
  value, low, high = np.moveaxis(np.where(np.isfinite(table), table, np.nan), -1, 0)
  has_interval = np.isfinite(low) & np.isfinite(high)
  below = np.where(has_interval, np.maximum(value - low, 0), 0)
  above = np.where(has_interval, np.maximum(high - value, 0), 0)
  return Profile(splits, seeds, value, np.nan_to_num(below), np.nan_to_num(above))


def _mean(values: np.ndarray) -> np.ndarray:
  """The mean over the second last axis of what is finite; NaN of nothing."""
  known = np.isfinite(values)
  count = known.sum(axis=-2)
  total = np.where(known, values, 0).sum(axis=-2)
  return np.where(count > 0, total / np.maximum(count, 1), np.nan)
