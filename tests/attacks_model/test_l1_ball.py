import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import optimize

from gpz_jax.attacks.model import l1_ball


def nearest_by_scipy(change, radius):
  """The projection as a quadratic program in positive and negative parts (SLSQP)."""
  size = change.size

  def distance(parts):
    return np.sum((parts[:size] - parts[size:] - change) ** 2)

  found = optimize.minimize(
    distance,
    np.full(2 * size, radius / (4 * size)),
    bounds=[(0, None)] * 2 * size,
    constraints={'type': 'ineq', 'fun': lambda parts: radius - parts.sum()},
    options={'ftol': 1e-12, 'maxiter': 500},
  )
  return found.x[:size] - found.x[size:]


def test_by_hand():
  # The threshold is 1: (3 - 1) + (2 - 1) = 3, and 0.5 is below it.
  found = l1_ball.project(jnp.array([3.0, -2.0, 0.5]), 3)
  np.testing.assert_allclose(found, [2, -1, 0], atol=1e-6)


def test_what_lies_in_the_ball_stays_as_it_is():
  change = jnp.array([[0.25, -0.5], [0.0, 0.125]])
  np.testing.assert_array_equal(l1_ball.project(change, 1.0), change)


@pytest.mark.parametrize('seed', range(4))
def test_it_is_the_nearest_point_that_scipy_finds(seed):
  change = np.random.default_rng(seed).normal(size=7)
  found = l1_ball.project(jnp.asarray(change, jnp.float32), 1.5)
  assert np.abs(found).sum() == pytest.approx(1.5, abs=1e-5)
  np.testing.assert_allclose(found, nearest_by_scipy(change, 1.5), atol=1e-3)


def test_a_batch_is_projected_point_by_point():
  changes = jnp.array([[3.0, 0.0], [0.1, 0.1]])
  found = jax.vmap(lambda change: l1_ball.project(change, 1.0))(changes)
  np.testing.assert_allclose(found, [[1, 0], [0.1, 0.1]], atol=1e-6)


def test_zeros_have_no_nan():
  assert np.isfinite(l1_ball.project(jnp.zeros(3), 1.0)).all()
