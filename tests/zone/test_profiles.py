"""Profiles and their resamples; expected values by hand."""

import numpy as np
import pytest
from made_up import make_theory

from gpz_jax.intervals import Z95
from gpz_jax.types import Treatment
from gpz_jax.zone.profiles import Profile, entropy_profile


def make_profile(values, below, above):
  splits = ('a', 'b')[: len(values)]
  values, below, above = (np.array([row], float) for row in (values, below, above))
  return Profile(splits, (0,), values, below, above)


def test_numbers_are_drawn_from_either_side_of_their_interval():
  draws = make_profile([5.0, 5.0], [2.0, 0.0], [0.0, 2.0]).resample(4000)
  assert draws[:, 0].max() == draws[:, 1].min() == 5.0
  # half of a normal is on each side, and 1.96 of its sigmas reach the interval's end
  for reach in (5.0 - draws[:, 0], draws[:, 1] - 5.0):
    assert (reach > 0).mean() == pytest.approx(0.5, abs=0.03)
    assert (reach > 2.0).mean() == pytest.approx(0.025, abs=0.008)
    assert np.sqrt((reach**2)[reach > 0].mean()) == pytest.approx(2 / Z95, rel=0.05)


def test_the_interval_of_the_entropy_vote_is_of_a_difference():
  common = {'radius': 8.0, 'radius_per_dim': 1.0}  # so D is 8
  rows = [row for name, x in common.items() for row in make_theory([x], quantity=name)]
  ends = {'entropy_class_logdet': (-3.0, 4.0), 'entropy_logdet': (-6.0, 8.0)}
  for name, (down, up) in ends.items():
    (row,) = make_theory([1.0], quantity=name)
    rows.append(row | {'low': 1.0 + down, 'high': 1.0 + up})
  found = entropy_profile(rows, Treatment(), ('a',))
  # the difference is low where the first is low or the second is high
  assert found.below[0, 0] == pytest.approx(np.hypot(3, 8) / 8)
  assert found.above[0, 0] == pytest.approx(np.hypot(4, 6) / 8)
