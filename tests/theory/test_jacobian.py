"""The cloud's Jacobian: against jax.jacrev, numpy's SVD and spectra made by hand."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg

from gpz_jax.models import convolutions
from gpz_jax.theory import jacobian
from gpz_jax.types import InputError

BATCH, WIDTH = 3, 40


def make_cloud(num_classes, seed=0, hidden=32):
  """A smooth cloud [B, 4, 10] -> [B, K] whose Jacobian differs between examples."""
  rng = np.random.default_rng(seed)
  first = jnp.asarray(rng.normal(size=(WIDTH, hidden)) / 6, jnp.float32)
  second = jnp.asarray(rng.normal(size=(hidden, num_classes)) / 5, jnp.float32)
  return lambda z: jnp.tanh(z.reshape(len(z), -1) @ first) @ second


def make_activation(seed=1):
  rng = np.random.default_rng(seed)
  return jnp.asarray(rng.normal(size=(BATCH, 4, 10)), jnp.float32)


def explicit(cloud, activation):
  """[B, K, d] by jacrev, example by example."""
  found = jax.jit(jax.vmap(jax.jacrev(lambda z: cloud(z[None])[0])))(activation)
  return np.asarray(found).reshape(*found.shape[:2], -1)


def smallest(matrices):
  return np.linalg.svd(np.asarray(matrices, np.float64), compute_uv=False)[:, -1]


def smallest_sum_zero(matrices):
  return smallest(scipy.linalg.helmert(matrices.shape[1]) @ matrices)


def with_spectrum(values, d=200, seed=0):
  """A matrix [K, d] with these singular values."""
  rng = np.random.default_rng(seed)
  left = np.linalg.qr(rng.normal(size=(len(values), len(values))))[0]
  right = np.linalg.qr(rng.normal(size=(d, len(values))))[0]
  return (left * values) @ right.T


def linear(matrix):
  """The cloud whose Jacobian is `matrix` [K, d] everywhere."""
  matrix = jnp.asarray(matrix, jnp.float32)
  return lambda z: jnp.einsum('kd,bd->bk', matrix, z, precision='highest')


def test_products_are_those_with_the_jacobian():
  cloud, activation = make_cloud(5), make_activation()
  matrices = explicit(cloud, activation)
  logits, push, pull = jacobian.linearise(cloud, activation)
  np.testing.assert_allclose(logits, cloud(activation), rtol=1e-6)
  z, u = make_activation(2), jnp.arange(15.0).reshape(BATCH, 5)
  np.testing.assert_allclose(
    push(z), np.einsum('bkd,bd->bk', matrices, z.reshape(BATCH, -1)), atol=1e-5
  )
  np.testing.assert_allclose(
    pull(u).reshape(BATCH, -1), np.einsum('bkd,bk->bd', matrices, u), atol=1e-4
  )
  found = jax.jit(lambda z: jacobian.jacobian(cloud, z))(activation)
  np.testing.assert_allclose(found, matrices, atol=1e-6)


def test_a_convolution_with_its_own_gradient_is_no_hindrance():
  rng = np.random.default_rng(0)
  kernel = jnp.asarray(rng.normal(size=(3, 3, 2, 4)), jnp.float32)
  activation, direction = (
    jnp.asarray(rng.normal(size=(2, 5, 5, 2)), jnp.float32) for _ in range(2)
  )

  def cloud(z, implementation):
    z = convolutions.convolve(z, kernel, ((1, 1), (1, 1)), implementation)
    return jnp.tanh(z).sum(axis=(1, 2))

  with pytest.raises(TypeError, match='forward-mode'):
    jax.jvp(lambda z: cloud(z, 'taps'), (activation,), (direction,))
  found = jacobian.linearise(lambda z: cloud(z, 'taps'), activation).push(direction)
  _, expected = jax.jvp(lambda z: cloud(z, 'lax'), (activation,), (direction,))
  np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('num_classes', [2, 10])
def test_sigma_min_is_that_of_the_svd(num_classes):
  cloud, activation = make_cloud(num_classes), make_activation()
  found = jax.jit(lambda z: jacobian.sigma_min(cloud, z))(activation)
  matrices = explicit(cloud, activation)
  np.testing.assert_allclose(found.full, smallest(matrices), rtol=1e-4)
  np.testing.assert_allclose(found.sum_zero, smallest_sum_zero(matrices), rtol=1e-4)
  assert (np.asarray(found.sum_zero) >= np.asarray(found.full) * (1 - 1e-5)).all()


def test_what_a_gram_matrix_in_float32_would_lose_is_found():
  matrix = with_spectrum(np.array([1.0, 0.5, 0.1, 1e-4]))
  found = jacobian.sigma_min(linear(matrix), jnp.zeros((2, 200)))
  np.testing.assert_allclose(found.full, 1e-4, rtol=5e-3)


def test_fewer_elements_than_classes_leave_no_rank():
  matrix = np.random.default_rng(0).normal(size=(4, 3))
  found = jacobian.sigma_min(linear(matrix), jnp.zeros((2, 3)))
  np.testing.assert_array_equal(found.full, 0)
  np.testing.assert_allclose(found.sum_zero, smallest_sum_zero(matrix[None])[0], 1e-5)
  matrix = matrix[:, :2]
  found = jacobian.sigma_min(linear(matrix), jnp.zeros((2, 2)))
  np.testing.assert_array_equal(found.sum_zero, 0)


@functools.partial(jax.jit, static_argnums=2)
def iterate(matrix, activation, steps):
  return jacobian.sigma_min_iterative(
    linear(matrix), activation, steps=steps, key=jax.random.key(0)
  )


def test_the_iterative_method_agrees_with_the_svd_for_64_classes():
  matrix = np.random.default_rng(0).normal(size=(64, 200)) / 10
  found = iterate(matrix, jnp.zeros((2, 200)), 63)
  np.testing.assert_allclose(found.full, smallest(matrix[None])[0], rtol=1e-3)
  np.testing.assert_allclose(found.sum_zero, smallest_sum_zero(matrix[None])[0], 1e-4)


def test_the_iteration_survives_a_spectrum_with_one_value():
  # every vector is a singular one: each step leads nowhere new
  found = iterate(2 * np.eye(64, 200), jnp.zeros((2, 200)), 63)
  np.testing.assert_allclose(found, 2, rtol=1e-5)


def test_the_iteration_finds_that_there_is_no_full_rank():
  matrix = with_spectrum(np.append(np.ones(20), np.zeros(44)))
  np.testing.assert_allclose(iterate(matrix, jnp.zeros((2, 200)), 63), 0, atol=1e-5)


def test_a_short_iteration_is_an_upper_bound():
  cloud, activation = make_cloud(24), make_activation()
  found = jax.jit(
    lambda z: jacobian.sigma_min_iterative(cloud, z, steps=8, key=jax.random.key(0))
  )(activation)
  matrices = explicit(cloud, activation)
  singular = np.linalg.svd(matrices, compute_uv=False)
  assert (np.asarray(found.full) >= singular[:, -1] * (1 - 1e-4)).all()
  assert (np.asarray(found.sum_zero) >= smallest_sum_zero(matrices)).all()
  assert (np.asarray(found) < singular[:, 12]).all()  # the median: it gets below


@pytest.mark.parametrize('steps', [0, 5])
def test_steps_out_of_range_are_refused(steps):
  with pytest.raises(InputError, match=r'5 classes; 1 to 4'):
    iterate(np.eye(5, 9), jnp.zeros((2, 9)), steps)


@pytest.mark.parametrize('method', [jacobian.sigma_min, jacobian.jacobian])
def test_a_cloud_must_give_logits(method):
  with pytest.raises(InputError, match=r'must map \[B, ...\] to logits'):
    method(lambda z: z.sum(), make_activation())
