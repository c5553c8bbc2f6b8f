import math

import pytest

from gpz_jax import results, zone
from gpz_jax.types import InputError

SPLITS = ('a', 'b', 'c', 'd')


def make_rows(errors, *, alpha=0.0, seed=0, accuracy=0.9):
  """Rows of one lane with the given channel-summed errors; costs grow with depth."""
  rows = []
  for index, error in enumerate(errors):
    row = {
      column.name: {str: 'x', int: 1, float: 0.5}[column.type]
      for column in results.COLUMNS
    }
    row |= {'split': SPLITS[index], 'split_index': index, 'status': 'done'}
    row |= {'alpha': alpha, 'seed': seed, 'target_accuracy': accuracy}
    row |= {'test_mse_paper': error, 'test_mse': error / 3}
    row |= {'edge_params': 100 * (index + 1), 'edge_flops': 1000 * (index + 1)}
    row |= {'payload_bytes': 8000 // 2**index}
    rows.append(row)
  return rows


def test_the_zone_starts_where_error_jumps_over_the_threshold():
  # by hand: b is 3x but below 0.02; c is 4x and above it
  found = zone.golden_zone(make_rows([0.004, 0.012, 0.048, 0.050])).alphas[0]
  assert (found.split, found.start_index, found.jump_from) == ('c', 2, 'b')
  assert found.jump == pytest.approx(4)
  assert found.falls_back == ()
  assert found.sentence() == (
    'alpha 0: golden zone from c on, where MSE summed over channels jumps 4x, from '
    '0.012 at b to 0.048 at c.'
  )


def test_ratio_and_threshold_are_strict_and_can_be_set():
  rows = make_rows([0.01, 0.02, 0.04, 0.05])
  assert zone.golden_zone(rows).alphas[0].split is None
  assert zone.golden_zone(rows, ratio=1.9).alphas[0].split == 'c'
  assert zone.golden_zone(rows, ratio=1.9, threshold=0.01).alphas[0].split == 'b'
  # test_mse is a third: nothing exceeds 0.02 there
  assert zone.golden_zone(rows, ratio=1.9, metric='test_mse').alphas[0].split is None


def test_no_zone_says_so_and_gives_the_largest_jump():
  found = zone.golden_zone(make_rows([0.03, 0.04, 0.07, 0.08])).alphas[0]
  assert (found.split, found.start_index) == (None, None)
  assert (found.jump_from, found.jump_to) == ('b', 'c')
  assert (
    'no golden zone; the largest jump of MSE summed over channels is 1.75x'
    in found.sentence()
  )


def test_a_zone_that_does_not_last_says_where():
  found = zone.golden_zone(make_rows([0.01, 0.05, 0.015, 0.06])).alphas[0]
  assert (found.split, found.falls_back) == ('b', ('c',))
  assert 'from b on (but not at c)' in found.sentence()


def test_each_alpha_has_its_zone_of_means_over_seeds():
  rows = [
    *make_rows([0.01, 0.01, 0.05, 0.05], alpha=0.3),
    *make_rows([0.01, 0.02, 0.02, 0.09], alpha=-0.05, seed=0),
    *make_rows([0.01, 0.04, 0.04, 0.09], alpha=-0.05, seed=1),
  ]
  found = zone.golden_zone(rows[::-1])
  # by hand: mean of b over seeds is 0.03, 3x that of a
  assert [(z.alpha, z.split) for z in found.alphas] == [(-0.05, 'b'), (0.3, 'c')]
  assert found.sentence().count('golden zone from') == 2


def test_missing_and_diverged_rows_are_stepped_over():
  rows = make_rows([0.01, 0.011, 0.05, 0.05])
  rows[1] |= {'status': 'diverged', 'test_mse_paper': math.nan}
  found = zone.golden_zone(rows).alphas[0]
  assert (found.jump_from, found.split) == ('a', 'c')
  alone = zone.golden_zone(rows[:2]).alphas[0]
  assert alone.split is None
  assert alone.sentence() == 'alpha 0: fewer than two splits have a result.'


def test_bad_rows_are_refused():
  with pytest.raises(InputError, match='run the sweep first'):
    zone.golden_zone([])
  rows = make_rows([0.1, 0.2])
  with pytest.raises(InputError, match="metric 'mse' is not a column"):
    zone.golden_zone(rows, metric='mse')
  rows[1]['dataset'] = 'y'
  with pytest.raises(InputError, match=r'several values of dataset \(x, y\)'):
    zone.recommend(rows)


@pytest.fixture
def two_alphas():
  return [
    *make_rows([0.03, 0.06, 0.30, 0.33], alpha=0.0, accuracy=0.92),
    *make_rows([0.06, 0.09, 0.45, 0.60], alpha=0.3, accuracy=0.90),
  ]


@pytest.mark.parametrize(
  ('limits', 'expected'),
  [
    ({}, ('d', 0.3)),
    ({'max_edge_params': 300}, ('c', 0.3)),
    ({'max_edge_flops': 2999}, ('b', 0.3)),
    ({'min_accuracy': 0.91}, ('d', 0.0)),
    ({'min_accuracy': 0.91, 'max_edge_params': 100}, ('a', 0.0)),
    ({'max_payload_bytes': 1000, 'max_edge_params': 400}, ('d', 0.3)),
  ],
)
def test_the_most_resistant_cut_within_the_limits(two_alphas, limits, expected):
  found = zone.recommend(two_alphas, **limits)
  assert (found.split, found.alpha) == expected
  assert found.sentence().startswith(f'Cut at {expected[0]} with alpha')
  for name in limits:
    assert name in found.reason


def test_of_equals_the_cheapest_is_taken():
  # by hand: 0.300 and 0.299 are within 1%
  found = zone.recommend(make_rows([0.03, 0.06, 0.299, 0.300]))
  assert found.split == 'c'


def test_when_nothing_fits_each_limit_is_blamed(two_alphas):
  found = zone.recommend(two_alphas, max_edge_params=50, min_accuracy=0.91)
  assert (found.split, found.alpha) == (None, None)
  assert found.sentence() == (
    'No cut fits: max_edge_params=50 excludes 8 of 8 candidates (lowest 100, a with '
    'alpha 0); min_accuracy=0.91 excludes 4 of 8 candidates (highest 0.92, a with '
    'alpha 0).'
  )


def test_nothing_finite_to_recommend():
  rows = make_rows([0.1, 0.2])
  for row in rows:
    row |= {'status': 'diverged', 'test_mse': math.nan}
  found = zone.recommend(rows)
  assert (found.split, found.reason) == (None, 'no results')
