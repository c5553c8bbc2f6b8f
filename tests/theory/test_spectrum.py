import math

import numpy as np
import pytest
import sklearn.covariance

from gpz_jax.theory import examples, spectrum
from gpz_jax.types import InputError


def _draw(N, D, seed=0):
  rng = np.random.default_rng(seed)
  return rng.normal(size=(N, D)) * np.linspace(0.5, 3, D) + 10


@pytest.mark.parametrize(('N', 'D'), [(30, 8), (8, 30), (9, 9)])
def test_eigenvalues_are_those_of_the_covariance(N, D):
  z = _draw(N, D)
  found = spectrum.estimate_spectrum(z)
  expected = np.linalg.eigvalsh(np.cov(z.T, bias=True))[-min(N, D) :]
  np.testing.assert_allclose(found.eigenvalues, expected, atol=1e-12)
  assert (found.count, found.dim) == (N, D)


@pytest.mark.parametrize(('N', 'D'), [(30, 8), (8, 30), (2, 5), (20, 1)])
def test_shrinkage_equals_scikit_learn(N, D):
  z = _draw(N, D) ** 2
  found = spectrum.estimate_spectrum(z)
  expected = sklearn.covariance.ledoit_wolf(z)[1]
  assert spectrum.shrink_ledoit_wolf(found) == pytest.approx(expected, abs=1e-12)
  expected = sklearn.covariance.oas(z)[1]
  assert spectrum.shrink_oas(found) == pytest.approx(expected, abs=1e-12)


def test_ranks_by_hand():
  # eigenvalues 1 and 1 of 3 dimensions; then 9 and 1: shares 0.9 and 0.1
  z = np.array([[1.0, 1, 0], [1, -1, 0], [-1, 1, 0], [-1, -1, 0]])
  even = spectrum.estimate_spectrum(z)
  assert spectrum.effective_rank(even) == pytest.approx(2)
  assert spectrum.participation_ratio(even) == pytest.approx(2)
  uneven = spectrum.estimate_spectrum(z * np.array([3, 1, 1]))
  entropy = -(0.9 * math.log(0.9) + 0.1 * math.log(0.1))
  assert spectrum.effective_rank(uneven) == pytest.approx(math.exp(entropy))
  assert spectrum.participation_ratio(uneven) == pytest.approx(100 / 82)


@pytest.mark.parametrize('D', [50, 20])  # one Gram for all; covariance of all
def test_spectra_of_all_and_of_classes(D):
  z, y = _draw(30, D), np.arange(30) % 3
  z += y[:, None] * 100
  found = spectrum.estimate_spectra(examples.check(z, y))
  assert found.total.trace == pytest.approx(z.var(0).sum())
  for k in range(3):
    alone = spectrum.estimate_spectrum(z[y == k])
    np.testing.assert_allclose(
      found.classes[k].eigenvalues, alone.eigenvalues, atol=1e-8
    )
    assert found.classes[k].fourth == pytest.approx(alone.fourth)


def test_samples_are_of_the_size_asked_for():
  z, y = _draw(60, 80), np.arange(60) % 3
  data = examples.check(z, y)
  found = spectrum.estimate_spectra(data, max_examples=10)
  assert [s.count for s in (found.total, *found.classes)] == [10] * 4
  again = spectrum.estimate_spectra(data, max_examples=10)
  assert again.total.trace == found.total.trace
  assert found.total.trace == pytest.approx(z.var(0).sum(), rel=0.3)


def test_gram_of_blocks_rows_and_scales(monkeypatch):
  z = _draw(12, 25)
  rows, scale = np.array([1, 4, 7]), np.linspace(0, 2, 25)
  about = (z[rows] - z[rows].mean(0)) * scale
  monkeypatch.setattr(examples, 'BLOCK', 20)  # 6 columns of 3 examples
  found = spectrum.gram(z, rows, scale)
  np.testing.assert_allclose(found, about @ about.T, atol=1e-10)


def test_a_memory_map_of_halves(tmp_path):
  z = _draw(6, 40).astype(np.float16)
  stored = np.memmap(tmp_path / 'z', np.float16, 'w+', shape=z.shape)
  stored[:] = z
  found = spectrum.estimate_spectrum(stored)
  assert found.trace == pytest.approx(z.astype(float).var(0).sum())


def test_nothing_varies():
  for z in (np.full((4, 3), 0.1), np.full((3, 7), 1e9 / 3), np.ones((1, 2))):
    found = spectrum.estimate_spectrum(z)
    assert found.trace == 0
    assert math.isnan(spectrum.effective_rank(found))
    assert math.isnan(spectrum.participation_ratio(found))


def test_bad_input():
  with pytest.raises(InputError, match='must be'):
    spectrum.estimate_spectrum(np.zeros(3))
  with pytest.raises(InputError, match='not finite'):
    spectrum.estimate_spectrum(np.array([[np.nan, 1.0]]))
  data = examples.check(np.zeros((3, 2)), np.zeros(3, int))
  with pytest.raises(InputError, match='max_examples'):
    spectrum.estimate_spectra(data, max_examples=1)
