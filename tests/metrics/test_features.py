import numpy as np
import pytest
import scipy.linalg
from sklearn.neighbors import NearestNeighbors

from gpz_jax import metrics
from gpz_jax.types import InputError


def _with_moments(rng, count, mean, covariance):
  """Points [count, d] whose mean and unbiased covariance are these to rounding."""
  points = rng.normal(size=(count, len(mean)))
  points -= points.mean(axis=0)
  whitening = np.linalg.inv(np.linalg.cholesky(np.cov(points, rowvar=False)))
  return points @ whitening.T @ np.linalg.cholesky(covariance).T + mean


def test_nearest_distances_by_hand():
  reference = np.array([[0.0, 0.0], [10.0, 0.0]])
  # by hand: 3^2 + 4^2 to the first, 1 to the second, 0 to itself
  features = np.array([[3.0, 4.0], [10.0, 1.0], [0.0, 0.0]])
  np.testing.assert_array_equal(
    metrics.nearest_distances(features, reference), [25, 1, 0]
  )


@pytest.mark.parametrize('block', [1, 4, 100])
def test_nearest_distances_match_sklearn_in_blocks_of_any_size(block):
  rng = np.random.default_rng(0)
  # Far from 0, where a difference of squares in float32 would be noise
  features, reference = rng.normal(1e3, 1, (9, 20)), rng.normal(1e3, 1, (13, 20))
  nearest = NearestNeighbors(n_neighbors=1).fit(reference)
  expected = nearest.kneighbors(features)[0][:, 0] ** 2  # scikit-learn 1.9
  found = metrics.nearest_distances(features, reference, block=block)
  np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_features_that_do_not_fit_are_refused():
  features = np.zeros((4, 3))
  with pytest.raises(InputError, match=r'\(4, 3\) and \(4, 2\); take both from one'):
    metrics.nearest_distances(features, features[:, :2])
  with pytest.raises(InputError, match='from one evaluator'):
    metrics.frechet_distance(features[0], features[0])
  with pytest.raises(InputError, match='no images to be near to'):
    metrics.nearest_distances(features, features[:0])
  assert metrics.nearest_distances(features[:0], features).shape == (0,)


def test_frechet_distance_of_gaussians_along_the_axes_by_hand():
  rng = np.random.default_rng(0)
  first = _with_moments(rng, 40, np.array([0.0, 1, 2]), np.diag([1.0, 4, 9]))
  second = _with_moments(rng, 30, np.array([3.0, 1, 6]), np.diag([4.0, 4, 1]))
  # by hand: 3^2 + 4^2, and (1 - 2)^2 + (2 - 2)^2 + (3 - 1)^2 of the deviations
  found = metrics.frechet_distance(first, second)
  assert found.value == pytest.approx(30, rel=1e-9)
  assert found.reason is None
  assert found.biased == found.value
  assert metrics.frechet_distance(first, first).value == pytest.approx(0, abs=1e-9)
  assert metrics.frechet_distance(first, first + 2).value == pytest.approx(12)


def test_frechet_distance_of_any_gaussians_matches_scipy():
  rng = np.random.default_rng(1)
  a, b = (m @ m.T + np.eye(5) for m in rng.normal(size=(2, 5, 5)))
  first = _with_moments(rng, 50, np.zeros(5), a)
  second = _with_moments(rng, 60, np.ones(5), b)
  # The closed form of two Gaussians with the root of scipy 1.17, of what is given
  expected = 5 + np.trace(a + b - 2 * scipy.linalg.sqrtm(a @ b).real)
  assert metrics.frechet_distance(first, second).value == pytest.approx(expected)
  assert metrics.frechet_distance(second, first).value == pytest.approx(expected)


def test_float32_features_give_the_frechet_distance_of_float64():
  rng = np.random.default_rng(2)
  first, second = (rng.normal(10, 1, (80, 6)).astype(np.float32) for _ in range(2))
  found = metrics.frechet_distance(first, second).value
  wide = metrics.frechet_distance(first.astype(float), second.astype(float)).value
  assert found == wide


def test_too_few_images_have_no_frechet_distance_and_say_so():
  rng = np.random.default_rng(0)
  many, few = rng.normal(size=(50, 8)), rng.normal(size=(8, 8))
  found = metrics.frechet_distance(few, many)
  assert found.value is None
  assert found.reason is not None
  assert '8 images are too few for 8 features' in found.reason
  # One distribution, but the formula sees the rank that is missing
  assert found.biased is not None
  assert found.biased > 1.0
  enough = metrics.frechet_distance(rng.normal(size=(9, 8)), many)
  assert enough.value is not None
  one = metrics.frechet_distance(many, many[:1])
  assert (one.value, one.biased) == (None, None)
  assert one.reason is not None
  assert '1 images have no covariance' in one.reason
