"""Scores of targets that differ in their seed alone, as means with intervals."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from gpz_jax import intervals
from gpz_jax.evaluators.scores import Scores

Ends = tuple[float, float]


class Summary(NamedTuple):
  """A mean over seeds and classes, with 95% intervals.

  Attributes:
    mean: Over all seeds and classes that have a value; NaN where none has.
    over_classes: Percentiles of a bootstrap over classes, of the means over seeds.
    over_seeds: Student's t of the seeds' means; NaN with a single seed.
    over_both: Percentiles of a bootstrap over classes and seeds.
  """

  mean: float
  over_classes: Ends
  over_seeds: Ends
  over_both: Ends


def summarise(
  scores: Scores, lanes: Sequence[int] | None = None, *, seed: int = 0
) -> dict[str, Summary]:
  """Each score with its intervals, over the targets of one treatment.

  Args:
    scores: Scores of L targets.
    lanes: The positions of the treatment's targets, one for each seed; all by default.
    seed: Seed of the bootstrap.
  """
  chosen = slice(None) if lanes is None else list(lanes)
  return {
    name: summarise_values(values[chosen], seed=seed)
    for name, values in scores.by_class.items()
  }


def summarise_values(values: np.ndarray, *, seed: int = 0) -> Summary:
  """A score with its intervals.

  Args:
    values: [S, T], one for each seed and class; NaN where there is none.
    seed: Seed of the bootstrap.
  """
  if np.isnan(values).all():
    nothing = (np.nan, np.nan)
    return Summary(np.nan, nothing, nothing, nothing)
  by_class = _mean(values, axis=0)
  by_seed = [float(each) for each in _mean(values, axis=1) if not np.isnan(each)]
  few = (np.nan, np.nan)
  return Summary(
    float(np.nanmean(values)),
    intervals.bootstrap(by_class, seed=seed),
    intervals.mean_interval(by_seed) if len(by_seed) > 1 else few,
    intervals.bootstrap(values, seed=seed),
  )


def _mean(values: np.ndarray, axis: int) -> np.ndarray:
  """The mean of what is no NaN, NaN where nothing is."""
  known = ~np.isnan(values)
  count = known.sum(axis=axis)
  total = np.where(known, values, 0).sum(axis=axis)
  return np.divide(total, count, out=np.full(count.shape, np.nan), where=count > 0)
