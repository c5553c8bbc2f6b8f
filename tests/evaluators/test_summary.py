import math

import numpy as np
import pytest
from scipy import stats

from gpz_jax import intervals
from gpz_jax.evaluators import Scores, summarise, summarise_values
from gpz_jax.types import InputError


def test_the_bootstrap_over_classes_matches_scipy():
  values = np.random.default_rng(0).uniform(0, 1, 40)
  found = intervals.bootstrap(values, seed=1)
  expected = stats.bootstrap(  # scipy 1.17
    (values,), np.mean, method='percentile', n_resamples=10_000, rng=2
  ).confidence_interval
  # Two draws of 10,000 agree to a few percent of the width
  np.testing.assert_allclose(found, expected, atol=0.05 * (found[1] - found[0]))
  assert found == intervals.bootstrap(values, seed=1)
  assert found != intervals.bootstrap(values, seed=2)


def test_the_bootstrap_over_both_has_the_variance_of_rows_and_columns():
  rng = np.random.default_rng(0)
  rows, columns = rng.normal(0, 1, (6, 1)), rng.normal(0, 2, (1, 50))
  low, high = intervals.bootstrap(rows + columns)
  # By hand: the draws of rows and of columns are independent, and each has the
  # variance of the mean
  deviation = math.sqrt(rows.var() / 6 + columns.var() / 50)
  assert high - low == pytest.approx(2 * intervals.Z95 * deviation, rel=0.04)
  narrow = intervals.bootstrap((rows + columns).mean(axis=0))
  assert narrow[1] - narrow[0] < high - low


def test_nine_of_ten_intervals_and_more_hold_the_mean():
  rng = np.random.default_rng(0)
  held = 0
  for _ in range(200):
    low, high = intervals.bootstrap(rng.normal(0.3, 0.1, 50), draws=500)
    held += low <= 0.3 <= high
  # 0.95 with a deviation of 0.015 over 200, and percentiles are a little narrow
  assert 0.89 <= held / 200 <= 0.99


def test_classes_without_a_value_are_left_out():
  values = np.array([[0.0, 1, np.nan], [np.nan, 1, np.nan]])
  low, high = intervals.bootstrap(values)
  assert 0 <= low <= high <= 1
  nothing = intervals.bootstrap(np.array([0.5, np.nan]))
  assert all(map(math.isnan, nothing))
  with pytest.raises(InputError, match='needs values'):
    intervals.bootstrap(np.zeros((2, 2, 2)))
  with pytest.raises(InputError, match='needs values'):
    intervals.bootstrap(np.zeros(3), draws=0)


def test_a_summary_by_hand():
  values = np.array([[0.0, 0.5, 1.0], [0.2, 0.7, 1.2]])
  found = summarise_values(values)
  assert found.mean == pytest.approx(0.6)
  # By hand: seeds have means 0.5 and 0.7; t of one degree of freedom is 12.706
  assert found.over_seeds == pytest.approx((0.6 - 1.2706, 0.6 + 1.2706), abs=1e-3)
  assert found.over_classes == intervals.bootstrap(np.array([0.1, 0.6, 1.1]))
  assert found.over_both == intervals.bootstrap(values)
  single = summarise_values(values[:1])
  assert all(map(math.isnan, single.over_seeds))
  assert single.over_both == single.over_classes
  assert math.isnan(summarise_values(np.full((2, 3), np.nan)).mean)


def test_a_treatment_is_summarised_by_its_own_lanes():
  values = np.array([[0.0, 0.0], [1.0, 1.0], [0.5, 0.5]])
  scores = Scores({'att_acc1': values}, (), {})
  assert summarise(scores, [1, 2])['att_acc1'].mean == 0.75
  assert summarise(scores)['att_acc1'].mean == 0.5
