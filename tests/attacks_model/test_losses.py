"""Losses of model inversion by hand, and where they would be infinite."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gpz_jax.attacks.model import losses


def test_poincare_by_hand():
  # logits (3, -1): u = (0.75, -0.25), v = (0.9999, 0). |u - v|^2 = 0.2499^2 + 0.25^2
  # = 0.12495001; 1 - |u|^2 = 0.375; 1 - |v|^2 = 1.9999e-4. arccosh(1 + 2 * 0.12495001
  # / (0.375 * 1.9999e-4)) = arccosh(3333.1667) = ln(2 * 3333.1667) = 8.804825
  found = losses.poincare(jnp.array([[3.0, -1.0]]), jnp.array([0]))
  np.testing.assert_allclose(found, [8.804825], rtol=1e-5)


def test_poincare_does_not_depend_on_the_scale_of_logits():
  logits = jnp.array([[1.0, 2.0, -0.5], [0.1, 0.0, 0.3]])
  labels = jnp.array([2, 0])
  np.testing.assert_allclose(
    losses.poincare(7 * logits, labels), losses.poincare(logits, labels), rtol=1e-5
  )


@pytest.mark.parametrize(
  'logits', [[5.0, 0.0, 0.0], [0.0, 5.0, 0.0], [0.0, 0.0, 0.0], [-5.0, 0.0, 0.0]]
)
def test_poincare_is_finite_on_the_rim(logits):
  def loss(x):
    return losses.poincare(x[None], jnp.array([0]))[0]

  value, gradient = jax.value_and_grad(loss)(jnp.array(logits))
  assert np.isfinite(value)
  assert np.isfinite(gradient).all()


def test_poincare_at_one_hot_logits_by_hand():
  # |u - v|^2 = 1e-8, 1 - |u|^2 is clamped to 1e-6, 1 - |v|^2 = 1.9999e-4:
  # arccosh(1 + 2e-8 / 1.9999e-10) = arccosh(101.005) = 5.30829
  found = losses.poincare(jnp.array([[4.0, 0.0]]), jnp.array([0]))
  np.testing.assert_allclose(found, [5.30829], rtol=1e-3)


def test_a_surer_target_has_a_lower_loss():
  logits = jnp.array([[1.0, 1.0], [2.0, 1.0], [9.0, 1.0]])
  labels = jnp.zeros(3, int)
  for name, loss in losses.LOSSES.items():
    assert (jnp.diff(loss(logits, labels)) < 0).all(), name


def test_the_other_losses_by_hand():
  logits, labels = jnp.array([[1.0, 4.0, 2.0], [1.0, 4.0, 2.0]]), jnp.array([1, 0])
  np.testing.assert_allclose(losses.identity(logits, labels), [-4, -1])
  np.testing.assert_allclose(losses.margin(logits, labels), [-2, 3])
  # ln(e + e^4 + e^2) = 4.16985
  np.testing.assert_allclose(
    losses.cross_entropy(logits, labels), [0.16985, 3.16985], rtol=1e-4
  )
  np.testing.assert_allclose(
    losses.confidence(logits, labels), np.exp([-0.16985, -3.16985]), rtol=1e-4
  )


@pytest.mark.parametrize('name', losses.LOSSES)
def test_bad_shapes_are_refused(name):
  with pytest.raises(AssertionError, match='labels'):
    losses.LOSSES[name](jnp.zeros((2, 3)), jnp.zeros(3, int))
