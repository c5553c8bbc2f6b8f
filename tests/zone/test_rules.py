"""The rules on plain numbers; expected values by hand."""

import math

import pytest

from gpz_jax.zone import rules

NAN = math.nan


def test_the_largest_relative_drop_wins():
  # relative drops 0.5, 0.25, 0.75; the largest difference is the first
  found = rules.largest_drop([8, 4, 3, 0.75])
  assert found == rules.Start(3, 0.75, 1)


@pytest.mark.parametrize(
  ('values', 'index', 'other'),
  [
    ([10, 5, 4.1, 1], 3, None),  # between: 0.18 < 0.2
    ([10, 5, 4, 1], 3, 1),  # between: 0.2, which is enough
    ([10, 2, 1.5, 0.75], 1, 3),  # the largest lies before the second
    ([10, 2, 1.7, 0.85], 1, None),  # between: 0.15
    ([10, 5, 6.5, 1], 3, 1),  # between: a rise of 0.3 counts by its absolute value
    ([10, 5, 5.5, 1], 3, None),  # a rise of 0.1 does not
    ([10, 5, 1], 2, None),  # neighbours have nothing between them
    ([10, 5, 4.9, 4.8, 3.8, 1], 5, 1),  # between: 0.02, 0.02, 0.21
  ],
)
def test_a_wide_drop_between_the_two_largest_makes_a_range(values, index, other):
  found = rules.largest_drop(values)
  assert found is not None
  assert (found.index, found.other) == (index, other)


def test_only_what_is_between_the_two_largest_counts():
  # drops .05 .3 .5 .6: the two largest are neighbours, .3 lies outside
  found = rules.largest_drop([100, 95, 66.5, 33.25, 13.3])
  assert (found.index, found.other) == (4, None)


def test_a_second_that_is_no_drop_is_no_end():
  # drops 0.9, -3 and -0.25: the last is the second largest, but it is a rise
  found = rules.largest_drop([10, 1, 4, 5])
  assert (found.index, found.other) == (1, None)


def test_of_equal_drops_the_shallower_is_first():
  assert rules.largest_drop([8, 4, 2, 1]) == rules.Start(1, 0.5)
  assert rules.largest_fall([3, 2, 1]) == rules.Start(1, 1)


@pytest.mark.parametrize('rule', [rules.largest_drop, rules.largest_fall])
@pytest.mark.parametrize('values', [[], [1], [1, 2, 3], [1, 1], [NAN, 1], [NAN, NAN]])
def test_nothing_drops(rule, values):
  assert rule(values) is None


def test_what_is_not_finite_is_stepped_over():
  assert rules.largest_drop([4, NAN, 1, 0.9]) == rules.Start(2, 0.75)
  assert rules.largest_fall([4, NAN, 1, -math.inf]) == rules.Start(2, 3)
  assert rules.first_jump([0.01, NAN, 0.05]) == rules.Start(2, pytest.approx(5))


def test_nothing_drops_from_zero():
  assert rules.largest_drop([0, 0, 1, 0.5]) == rules.Start(3, 0.5)


def test_the_largest_fall_of_numbers_that_may_be_negative():
  assert rules.largest_fall([-1, -1.5, -3, -2]) == rules.Start(2, 1.5)


def test_the_first_jump_is_not_the_largest():
  assert rules.first_jump([0.01, 0.03, 0.3]) == rules.Start(1, pytest.approx(3))
  assert rules.first_jump([0.0, 0.03]) == rules.Start(1, math.inf)
  assert rules.first_jump([0.01, 0.02, 0.03]) is None  # 2x is not over 2x


def test_a_jump_must_exceed_both_limits():
  assert not rules.is_jump(0.005, 0.02, 2.0, 0.02)  # just at the threshold
  assert not rules.is_jump(1.0, 2.0, 2.0, 0.02)  # just at the ratio
  assert rules.is_jump(1.0, 2.1, 2.0, 0.02)
