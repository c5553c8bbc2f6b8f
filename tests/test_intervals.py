"""Verdicts on claims by intervals over seeds."""

import math

import pytest

from gpz_jax import intervals


@pytest.mark.parametrize(
  ('margins', 'verdict'),
  [
    # three seeds with a standard deviation of 0.1: by Student's table the interval
    # reaches 4.303 * 0.1 / sqrt(3) = 0.248 to either side of the mean
    ((0.15, 0.25, 0.35), 'holds'),
    ((0.14, 0.24, 0.34), 'cannot decide'),
    ((-0.15, -0.25, -0.35), 'does not hold'),
    ((-0.14, -0.24, -0.34), 'cannot decide'),
    ((0.0, 0.0), 'cannot decide'),
    ((0.2,), 'cannot decide: one seed'),
    ((0.2, math.nan), 'cannot decide: one seed'),
    ((math.nan,), 'not run'),
    ((), 'not run'),
  ],
)
def test_a_claim_is_judged_by_the_interval_of_its_margins(margins, verdict):
  assert intervals.decide(margins) == verdict
