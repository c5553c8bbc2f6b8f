"""HSIC and COCO: small matrices by hand, Gaussian data by their closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gpz_jax.defences import dependence

RNG = np.random.default_rng(0)


def by_definition(kernel_x, kernel_y, epsilon):
  """The sum of R_x * R_y^T with A = K H and R = A (A + epsilon m I)^-1, in float64."""
  m = len(kernel_x)
  centring = np.eye(m) - 1 / m
  ratios = []
  for kernel in (kernel_x, kernel_y):
    a = np.asarray(kernel, np.float64) @ centring
    ratios.append(a @ np.linalg.inv(a + epsilon * m * np.eye(m)))
  return np.sum(ratios[0] * ratios[1].T)


def test_kernels_by_hand():
  x = jnp.array([[0.0, 0.0], [3.0, 4.0], [3.0, 0.0]])
  squares = np.array([[0, 25, 9], [25, 0, 16], [9, 16, 0]])
  np.testing.assert_allclose(
    dependence.gaussian_kernel(x, 2.0), np.exp(-squares / (2 * 4 * 2)), rtol=1e-5
  )
  np.testing.assert_allclose(
    dependence.imq_kernel(x), 1 / np.sqrt(squares + 1), rtol=1e-5
  )
  products = [[0, 0, 0], [0, 25, 9], [0, 9, 9]]
  np.testing.assert_allclose(dependence.linear_kernel(x), products)
  image = x.reshape(3, 1, 1, 2)
  np.testing.assert_array_equal(dependence.linear_kernel(image), products)


def test_two_examples_by_hand():
  # Centred, the kernel [[1, a], [a, 1]] is (1 - a) / 2 times [[1, -1], [-1, 1]], whose
  # eigenvalue is 1 - a. With epsilon m = 0.2, R has the eigenvalue (1 - a) / (1.2 - a).
  x, y = jnp.array([[1, 0.5], [0.5, 1]]), jnp.array([[1.0, 0], [0, 1]])
  np.testing.assert_allclose(
    dependence.hsic(x, y, epsilon=0.1), (0.5 / 0.7) * (1 / 1.2), rtol=1e-6
  )
  # |Kc Lc|_F = 0.5 * 1, of eigenvalues 0.5 and 1 of one common direction
  np.testing.assert_allclose(dependence.coco(x, y), np.sqrt(0.5) / 2, rtol=1e-6)


def test_the_symmetric_form_is_the_published_one():
  x, z = RNG.normal(size=(2, 32, 20))
  kernel_x = dependence.gaussian_kernel(jnp.asarray(x, jnp.float32))
  kernel_z = dependence.gaussian_kernel(jnp.asarray(x + z, jnp.float32))
  found = dependence.hsic(kernel_x, kernel_z)
  expected = by_definition(kernel_x, kernel_z, dependence.EPSILON)
  assert 10 < expected < 31
  np.testing.assert_allclose(found, expected, rtol=1e-3)


def test_linear_kernels_give_squared_correlations():
  x, y = RNG.normal(size=(2, 200))
  y = 0.6 * x + 0.8 * y
  kernels = [
    dependence.linear_kernel(jnp.asarray(v, jnp.float32)[:, None]) for v in (x, y)
  ]
  found = dependence.hsic(*kernels, epsilon=1e-4)
  np.testing.assert_allclose(found, np.corrcoef(x, y)[0, 1] ** 2, rtol=1e-3)


def quadrature(rho, epsilon):
  """HSIC and COCO of standard Gaussians with correlation rho, Gaussian kernel, s = 1.

  The operators of both kernels and of the conditional expectation stand on the nodes of
  a Gauss-Hermite rule; the latter is the sum of rho^n h_n(x) h_n(y) (Mehler).
  """
  nodes, weights = np.polynomial.hermite_e.hermegauss(60)
  root = np.sqrt(weights / weights.sum())
  kernel = np.exp(-((nodes[:, None] - nodes) ** 2) / 2)
  mean = (root**2) @ kernel
  centred = kernel - mean - mean[:, None] + mean @ root**2
  operator = root[:, None] * centred * root
  powers = [np.ones(60), nodes]  # normalised Hermite polynomials h_n
  for n in range(1, 40):
    after = (nodes * powers[-1] - np.sqrt(n) * powers[-2]) / np.sqrt(n + 1)
    powers.append(after)
  expectation = sum(rho**n * np.outer(root * h, root * h) for n, h in enumerate(powers))
  ratio = operator @ np.linalg.inv(operator + epsilon * np.eye(60))
  hsic = np.trace(ratio @ expectation @ ratio @ expectation.T)
  return hsic, np.sqrt(np.linalg.norm(operator @ expectation @ operator))


@pytest.mark.parametrize('rho', [0.5, 0.9])
def test_gaussian_data_meet_the_closed_forms(rho):
  expected_hsic, expected_coco = quadrature(rho, 0.01)
  # With a tiny epsilon it is the sum of rho^2n over n >= 1, by Mehler's formula.
  chi_square = rho**2 / (1 - rho**2)
  np.testing.assert_allclose(quadrature(rho, 1e-12)[0], chi_square, rtol=0.05)
  x, y = np.random.default_rng(1).normal(size=(2, 1500))
  y = rho * x + np.sqrt(1 - rho**2) * y
  kernels = [
    dependence.gaussian_kernel(jnp.asarray(v, jnp.float32)[:, None], 1.0)
    for v in (x, y)
  ]
  found = dependence.hsic(*kernels, epsilon=0.01)
  np.testing.assert_allclose(found, expected_hsic, rtol=0.1)
  np.testing.assert_allclose(dependence.coco(*kernels), expected_coco, rtol=0.05)


def test_masked_examples_are_as_good_as_absent():
  x, y = (dependence.gaussian_kernel(RNG.normal(size=(6, 4)), 1.0) for _ in range(2))
  mask = jnp.array([1.0, 1, 0, 1, 1, 0])
  rows = np.flatnonzero(mask)
  for measure in (dependence.hsic, dependence.coco):
    alone = measure(x[np.ix_(rows, rows)], y[np.ix_(rows, rows)])
    np.testing.assert_allclose(measure(x, y, mask), alone, rtol=1e-4)


def test_constant_features_have_no_dependence_and_a_finite_gradient():
  y = dependence.linear_kernel(jnp.eye(4))
  for measure in (dependence.hsic, dependence.coco):

    def value(x, measure=measure):
      return measure(dependence.gaussian_kernel(x), y)

    found, gradient = jax.value_and_grad(value)(jnp.ones((4, 3)))
    assert found == 0
    assert np.isfinite(gradient).all()


def test_shapes_that_do_not_fit_are_named():
  with pytest.raises(AssertionError, match=r'kernel_y \[m, m\]'):
    dependence.hsic(jnp.eye(3), jnp.eye(4))
  with pytest.raises(AssertionError, match=r'mask \[m\]'):
    dependence.coco(jnp.eye(3), jnp.eye(3), jnp.ones(2))
