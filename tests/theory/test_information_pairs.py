"""Noise and projections: what they keep and what they share."""

import numpy as np
import pytest

from gpz_jax.theory.information import pairs
from gpz_jax.types import InputError


def test_noise_is_a_share_of_the_mean_variance():
  z = np.array([[0.0, 0.0], [2.0, 4.0]])  # variances 2 and 8, by hand
  assert pairs.noise_variance(z, 0.1) == pytest.approx(0.5)
  assert pairs.noise_variance(z.reshape(2, 1, 2), 0.1) == pytest.approx(0.5)


def test_noise_in_blocks_of_columns_is_that_of_the_whole(monkeypatch):
  z = np.random.default_rng(0).normal(size=(20, 11))
  expected = 0.2 * z.var(axis=0, ddof=1).mean()
  monkeypatch.setattr(pairs, 'BLOCK', 4)
  assert pairs.noise_variance(z, 0.2) == pytest.approx(expected)
  np.testing.assert_allclose(pairs.gram(z), z @ z.T)


@pytest.mark.parametrize('kind', ['random', 'pca'])
@pytest.mark.parametrize('shape', [(40, 3, 2), (200, 7), (10, 300)])
def test_projections_are_of_orthonormal_directions(kind, shape):
  values = np.random.default_rng(0).normal(size=shape)
  found = pairs.project(values, 4, kind=kind)
  flat = values.reshape(len(values), -1)
  flat = flat - flat.mean(axis=0)
  assert found.shape == (len(values), 4)
  directions = np.linalg.lstsq(flat, found)[0]  # exact: found is linear in flat
  np.testing.assert_allclose(flat @ directions, found, atol=1e-9)
  if flat.shape[1] < len(flat):  # else the least-norm solution is another one
    np.testing.assert_allclose(directions.T @ directions, np.eye(4), atol=1e-9)


def test_pca_takes_the_leading_directions_of_the_first_half():
  rng = np.random.default_rng(0)
  scales = np.array([1.0, 5.0, 0.1, 9.0])
  values = rng.normal(size=(2000, 4)) * scales
  values[1000:, 2] *= 1e3  # the second half has no say
  found = pairs.project(values, 2, kind='pca')
  np.testing.assert_allclose(found.std(axis=0), [9.0, 5.0], rtol=0.1)


def test_pca_by_the_gram_matrix_is_that_by_the_covariance():
  rng = np.random.default_rng(0)
  few = rng.normal(size=(30, 10)) * np.arange(1, 11)
  rotation, _ = np.linalg.qr(rng.normal(size=(500, 10)))
  small = pairs.project(few, 3, kind='pca')
  large = pairs.project(few @ rotation.T, 3, kind='pca')  # d = 500 > 15
  np.testing.assert_allclose(np.abs(large), np.abs(small), atol=1e-8)


def test_splits_of_one_shape_meet_the_same_directions():
  rng = np.random.default_rng(0)
  a, b = rng.normal(size=(2, 30, 50))
  of_sum = pairs.project(a + b, 5)
  np.testing.assert_allclose(
    pairs.project(a, 5) + pairs.project(b, 5), of_sum, atol=1e-9
  )
  other = pairs.project(a, 5, seed=1)
  assert not np.allclose(other, pairs.project(a, 5))


def test_no_more_components_than_there_are():
  values = np.random.default_rng(0).normal(size=(12, 3))
  assert pairs.project(values, 16).shape == (12, 3)
  wide = np.random.default_rng(0).normal(size=(12, 40))
  assert pairs.project(wide, 16, kind='pca').shape == (12, 5)  # 6 centred examples


def test_added_noise_has_its_variance():
  z = np.zeros((5000, 4))
  found = pairs.add_noise(z, 2.0, seed=0)
  np.testing.assert_allclose(np.cov(found.T), 2 * np.eye(4), atol=0.15)
  np.testing.assert_array_equal(found, pairs.add_noise(z, 2.0, seed=0))


@pytest.mark.parametrize(
  ('call', 'message'),
  [
    (lambda z: pairs.noise_variance(z, 0.0), 'noise 0.0'),
    (lambda z: pairs.noise_variance(0 * z, 0.1), 'variance of 0'),
    (lambda z: pairs.project(z, 0), 'components 0'),
    (lambda z: pairs.project(z, 65), 'components 65'),
    (lambda z: pairs.project(z, 2, kind='ica'), "projection 'ica'"),
    (lambda z: pairs.project(z[:, 0], 2), 'examples must be'),
    (lambda z: pairs.check_pairs(z, z[:3]), 'pairs must be'),
    (lambda z: pairs.check_pairs(z, z * np.nan), 'NaN'),
  ],
)
def test_what_cannot_be_projected_is_refused(call, message):
  with pytest.raises(InputError, match=message):
    call(np.random.default_rng(0).normal(size=(10, 4)))
