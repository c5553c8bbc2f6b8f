import dataclasses
import math

import hypothesis
import pytest
from hypothesis import strategies as st
from made_up import make_rows

from gpz_jax import zone
from gpz_jax.types import InputError, Treatment


@pytest.fixture
def two_alphas():
  return [
    *make_rows([0.03, 0.06, 0.30, 0.33], alpha=0.0, accuracy=0.92),
    *make_rows([0.06, 0.09, 0.45, 0.60], alpha=0.3, accuracy=0.90),
  ]


@pytest.mark.parametrize(
  ('limits', 'expected'),
  [
    ({}, ('c', 0.3)),
    ({'max_edge_params': 300}, ('c', 0.3)),
    ({'max_edge_flops': 2999}, ('b', 0.3)),
    ({'min_accuracy': 0.91}, ('c', 0.0)),
    ({'min_accuracy': 0.92}, ('c', 0.0)),
    ({'min_accuracy': 0.91, 'max_edge_params': 100}, ('a', 0.0)),
    ({'max_payload_bytes': 1000, 'max_edge_params': 400}, ('d', 0.3)),
  ],
)
def test_the_most_resistant_cut_within_the_limits(two_alphas, limits, expected):
  found = zone.recommend(two_alphas, **limits)
  assert (found.split, found.treatment) == (expected[0], Treatment(expected[1]))
  assert found.sentence().startswith(f'Cut at {expected[0]} with alpha')
  for name in limits:
    assert name in found.reason or not name.startswith('max')


def test_of_equals_the_cheapest_is_taken():
  # by hand: 0.300 and 0.299 are within 1%
  found = zone.recommend(make_rows([0.03, 0.06, 0.299, 0.300]), max_edge_params=1e9)
  assert found.split == 'c'
  # 0.295 is not
  rows = make_rows([0.03, 0.06, 0.295, 0.300])
  assert zone.recommend(rows, max_edge_params=1e9).split == 'd'


def test_when_nothing_fits_each_limit_is_blamed(two_alphas):
  found = zone.recommend(two_alphas, max_edge_params=50, min_accuracy=0.91)
  assert (found.split, found.treatment) == (None, None)
  assert found.sentence() == (
    'No cut fits: max_edge_params=50 excludes 8 of 8 candidates (lowest 100, a with '
    'alpha 0); min_accuracy=0.91 excludes 4 of 8 candidates (highest 0.92, a with '
    'alpha 0); the binding limit is max_edge_params=50: the nearest cut, a with alpha '
    '0, has 100.'
  )


def test_nothing_finite_to_recommend():
  rows = make_rows([0.1, 0.2])
  for row in rows:
    row |= {'status': 'diverged', 'test_mse': math.nan}
  found = zone.recommend(rows)
  assert (found.split, found.reason) == (None, 'no results')


def test_limits_that_only_together_exclude_all(two_alphas):
  found = zone.recommend(two_alphas, max_edge_params=250, max_payload_bytes=1500)
  # by hand: c has 300 (20% over) and 2000 (33% over), b 4000 (167%), d 400 (60%)
  assert found.nearest is not None
  assert found.nearest.split == 'c'
  assert found.binding == 'max_payload_bytes=1,500'
  assert found.sentence().endswith(
    'the binding limit is max_payload_bytes=1,500: the nearest cut, c with alpha 0.3, '
    'has 2,000 and 300 against max_edge_params=250.'
  )


def test_a_bound_of_zero_and_a_missing_accuracy():
  rows = make_rows([0.03, 0.06], accuracy=math.nan)
  found = zone.recommend(rows, max_payload_bytes=0)
  assert found.binding == 'max_payload_bytes=0'
  found = zone.recommend(rows, min_accuracy=0.5)
  assert 'excludes 2 of 2 candidates (no target_accuracy was measured)' in found.reason
  assert found.split is None


@pytest.mark.parametrize(
  ('limit', 'message'),
  [
    ({'max_edge_params': -1}, 'max_edge_params=-1 is not allowed; give a number, at'),
    ({'max_edge_flops': math.nan}, 'max_edge_flops=nan is not allowed'),
    ({'max_payload_bytes': '4'}, 'max_payload_bytes=4 is not allowed; give a number'),
    ({'min_accuracy': 90}, r'give a share, at most 1 \(90% is 0.9\)'),
  ],
)
def test_limits_out_of_range_are_refused(limit, message):
  with pytest.raises(InputError, match=message):
    zone.recommend(make_rows([0.03, 0.06]), **limit)


def test_an_infinite_limit_is_none():
  rows = make_rows([0.03, 0.06])
  assert zone.recommend(rows, max_edge_params=math.inf) == zone.recommend(rows)


@pytest.mark.parametrize(
  ('errors', 'limits', 'place'),
  [
    (
      [0.01, 0.05, 0.06],
      {'max_edge_params': 300},
      'it lies in the golden zone, which starts at b',
    ),
    (
      [0.01, 0.05, 0.06],
      {'max_edge_params': 100},
      'it lies before the golden zone, which starts at b',
    ),
    (
      [0.01, 0.05, 0.06],
      {'max_edge_params': 200},
      'it lies in the golden zone, which starts at b',
    ),
    ([0.03, 0.04, 0.05], {'max_edge_flops': 9e9}, 'this alpha has no golden zone'),
    (
      [0.03],
      {'max_edge_flops': 9e9},
      'fewer than two splits of this alpha have a result, so no zone is known',
    ),
    (
      [0.05, 0.15, 0.07],
      {'max_payload_bytes': 2000},
      'the golden zone starts at b, but this split falls back',
    ),
  ],
)
def test_the_reason_says_where_the_cut_lies(errors, limits, place):
  assert zone.recommend(make_rows(errors), **limits).reason.endswith(place)


def test_alternatives_are_the_front_within_the_limits(two_alphas):
  found = zone.recommend(two_alphas, max_edge_params=300)
  # by hand: payload falls with depth, so no split outdoes another; alpha 0.3 resists
  # better at each
  assert [(c.split, c.treatment) for c in found.alternatives] == [
    ('a', Treatment(0.3)),
    ('b', Treatment(0.3)),
    ('c', Treatment(0.3)),
  ]
  none = zone.recommend(two_alphas, max_edge_params=1)
  assert [c.split for c in none.alternatives] == ['a', 'b', 'c', 'd']


def test_a_cut_that_costs_more_and_resists_less_is_no_alternative():
  rows = make_rows([0.03, 0.02, 0.05])
  for row, payload in zip(rows, (100, 100, 200), strict=True):
    row['payload_bytes'] = payload
  assert [c.split for c in zone.recommend(rows).alternatives] == ['a', 'c']


def test_a_single_split_is_taken_within_a_limit_only():
  found = zone.recommend(make_rows([0.03]))
  assert found.split is None
  assert found.sentence().startswith('No cut is recommended: no split stands out')
  found = zone.recommend(make_rows([0.03]), max_edge_params=100)
  assert found.split == 'a'
  assert [one.split for one in found.alternatives] == ['a']


CANDIDATE = zone.Candidate('a', 0, Treatment(), 0.1, 10.0, 0.9, 1, 0.1, 1, 0.1, 1)
some_candidates = st.lists(
  st.builds(
    lambda mse, params, flops, payload: dataclasses.replace(
      CANDIDATE,
      test_mse=mse,
      edge_params=params,
      edge_flops=flops,
      payload_bytes=payload,
    ),
    st.sampled_from([0.1, 0.2, 0.3]),
    *[st.integers(1, 3)] * 3,
  ),
  max_size=8,
)


@hypothesis.given(some_candidates)
def test_the_front_by_its_definition(candidates):
  def better_or_equal(a, b):
    return a.test_mse >= b.test_mse and all(
      x <= y for x, y in zip(a.costs, b.costs, strict=True)
    )

  front = zone.pareto_front(candidates)
  for one in candidates:  # on the front, or something there is as good and no equal
    above = [other for other in front if better_or_equal(other, one)]
    assert above
    assert (one in front) == all(better_or_equal(one, other) for other in above)


def test_the_choice_is_on_the_front_also_among_ties():
  rows = make_rows([0.299, 0.300, 0.300, 0.2])
  for row, params, flops in zip(rows, (50, 40, 40, 1), (9, 9, 8, 1), strict=True):
    row |= {'edge_params': params, 'edge_flops': flops, 'payload_bytes': 8}
  found = zone.recommend(rows, max_edge_flops=100)
  assert found.split == 'c'
  assert [c.split for c in found.alternatives] == ['c', 'd']


def test_the_table_of_cuts_marks_the_choice(two_alphas):
  found = zone.recommend(two_alphas, max_edge_params=300)
  header, *lines = zone.format_candidates(found).splitlines()
  assert header.split()[:4] == ['split', 'alpha', 'MSE', 'PSNR']
  assert [line.startswith('*') for line in lines] == [False, False, True]
  assert lines[2].split()[:4] == ['*', 'c', '0.3', '0.15000']
  assert lines[2].split()[-1] == '90.0%'
  assert len({line.index('0.3 ') for line in lines}) == 1  # aligned


def test_the_prediction_is_no_place_to_cut():
  rows = make_rows([0.01, 0.05, 0.9])
  rows[2]['split'] = 'prediction'
  assert zone.recommend(rows).split == 'b'
  only = zone.recommend(rows[2:])
  assert (only.split, only.alternatives) == (None, ())
  assert 'only the prediction was attacked' in only.sentence()
  assert zone.vote(rows[2:]).treatments[0].votes == ()


def test_a_zone_of_the_whole_model_alone_is_called_so():
  rows = make_rows([0.01, 0.012, 0.05])  # jumps at the last
  rows[-1]['edge_flops_share'] = 0.999
  found = zone.recommend(rows)
  assert found.split is None
  assert 'zone starts at c alone, where the whole model is on' in found.reason
