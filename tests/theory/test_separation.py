import math

import numpy as np
import pytest
import sklearn.metrics

from gpz_jax.theory import separation
from gpz_jax.types import InputError


def _draw(N, D, K, apart=3.0, seed=0):
  rng = np.random.default_rng(seed)
  y = rng.integers(K, size=N)
  return rng.normal(size=(N, D)) + apart * rng.normal(size=(K, D))[y], y


def _direct_nc1(z, y):
  """From the D x D scatters, with numpy's pseudo-inverse."""
  K, centre = y.max() + 1, z.mean(0)
  means = np.stack([z[y == k].mean(0) for k in range(K)])
  within, offsets = z - means[y], means[y] - centre
  between = np.linalg.pinv(offsets.T @ offsets / len(z), rcond=1e-10)
  return np.trace(within.T @ within / len(z) @ between) / K


@pytest.mark.parametrize(('N', 'D', 'K'), [(60, 5, 3), (40, 90, 4), (60, 2, 6)])
def test_nc1_equals_the_form_with_matrices(N, D, K):
  z, y = _draw(N, D, K)
  assert separation.nc1(z, y) == pytest.approx(_direct_nc1(z, y), rel=1e-6)


def test_nc1_of_two_classes_by_hand():
  # centres (-2, 0) and (2, 0): S_B = diag(4, 0); S_W = diag(1, 9) on +-(1, 3)
  z = np.array([[-3.0, -3], [-1, 3], [1, -3], [3, 3]])
  assert separation.nc1(z, np.array([0, 0, 1, 1])) == pytest.approx(1 / 4 / 2)


def test_nc1_of_collapsed_and_of_equal_classes():
  z, y = np.eye(3)[[0, 0, 1, 1, 2]], np.array([0, 0, 1, 1, 2])
  assert separation.nc1(z, y) == 0
  assert math.isnan(separation.nc1(z, np.zeros(5, int)))
  assert math.isnan(separation.nc1(np.ones((4, 2)), np.array([0, 0, 1, 1])))


def test_nc1_does_not_see_linear_maps():
  # S_W and S_B of full rank: tr(A S_W A' (A S_B A')^-1) is the same for every A
  z, y = _draw(200, 3, 5)
  mapped = z @ np.random.default_rng(1).normal(size=(3, 3)) + 100
  assert separation.nc1(mapped, y) == pytest.approx(separation.nc1(z, y))


@pytest.mark.parametrize('D', [3, 200])
def test_silhouette_equals_scikit_learn(D):
  z, y = _draw(50, D, 3, apart=0.5)
  found = separation.silhouette(z + 1e4, y)  # an offset shared by all
  expected = sklearn.metrics.silhouette_score(z, y)
  assert found.value == pytest.approx(expected, abs=1e-6)
  assert found[1:] == (50, 3)


def test_silhouette_of_a_sample_is_near_that_of_all():
  z, y = _draw(1_000, 4, 3)
  found = separation.silhouette(z, y, max_examples=300)
  assert found.examples == 300
  assert found.value == pytest.approx(sklearn.metrics.silhouette_score(z, y), abs=0.05)


def test_silhouette_samples_few_of_many_classes():
  z, y = _draw(600, 3, 60)
  found = separation.silhouette(z, y, max_examples=100)
  assert found.classes == 10
  assert found.examples <= 100


@pytest.mark.parametrize('labels', [[0, 0, 0], [0, 1, 2]])
def test_no_silhouette_without_two_classes_and_a_pair(labels):
  assert math.isnan(separation.silhouette(np.eye(3), np.array(labels)).value)


@pytest.mark.parametrize('call', [separation.nc1, separation.silhouette])
def test_bad_shapes(call):
  with pytest.raises(InputError):
    call(np.zeros((3, 2)), np.zeros(4, int))
