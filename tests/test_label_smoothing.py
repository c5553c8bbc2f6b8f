"""Smoothed labels, and how a negative alpha grows."""

import jax.numpy as jnp
import numpy as np
import pytest

from gpz_jax.label_smoothing import effective_alpha, smooth_labels


@pytest.mark.parametrize(
  ('convention', 'on', 'off'),
  [
    # K = 10, alpha = 0.3, by hand from docs/paper.md#label-smoothing
    ('standard', 0.73, 0.03),
    ('code', 0.7, 0.3 / 9),
    ('table1', 0.7, 0.03),
  ],
)
def test_conventions_of_smoothing(convention, on, off):
  soft = smooth_labels(jnp.array([2, 0]), jnp.float32(0.3), 10, convention)
  expected = np.full((2, 10), off)
  expected[[0, 1], [2, 0]] = on
  np.testing.assert_allclose(soft, expected, rtol=1e-5)


def test_code_is_standard_at_a_larger_alpha():
  labels = jnp.arange(10)
  code = smooth_labels(labels, jnp.float32(-0.05), 10, 'code')
  standard = smooth_labels(labels, jnp.float32(-0.05 * 10 / 9), 10, 'standard')
  np.testing.assert_allclose(code, standard, rtol=1e-5, atol=1e-7)


def test_negative_alpha_ramps_in_and_positive_does_not():
  progress = jnp.array([0.25, 0.5, 0.625, 0.75, 1.0])
  ramp = effective_alpha(jnp.full(5, -0.2), progress)
  np.testing.assert_allclose(ramp, [0, 0, -0.1, -0.2, -0.2], atol=1e-6)
  np.testing.assert_allclose(
    effective_alpha(jnp.full(5, 0.3), progress), 0.3, rtol=1e-6
  )


def test_shapes_that_do_not_fit_are_named():
  with pytest.raises(AssertionError, match=r'labels \[B\]'):
    smooth_labels(jnp.zeros((2, 1), int), jnp.float32(0.1), 3, 'standard')
  with pytest.raises(AssertionError, match=r'alpha \[\]'):
    smooth_labels(jnp.zeros(2, int), jnp.zeros(2), 3, 'standard')
