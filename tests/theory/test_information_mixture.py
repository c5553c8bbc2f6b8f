"""Mixture bounds against determinants and integrals, also in more dimensions than N."""

import math

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import brentq

from gpz_jax.theory.information import mixture as module
from gpz_jax.theory.information.mixture import mixture, mixture_plug_in
from gpz_jax.types import InputError

NOISE = 0.5
TRUTH = 3.0


def gains(dimension):
  """Standard deviations 1, 1/2, 1/3, ... scaled so that the information is TRUTH."""
  falling = 1 / np.arange(1, dimension + 1)

  def excess(scale):
    return 0.5 * np.sum(np.log1p((scale * falling) ** 2 / NOISE)) - TRUTH

  return brentq(excess, 0, 1e3) * falling


def sample(dimension, examples, seed=0):
  """Of a Gaussian z with half ln det(I + S / s^2) = TRUTH, in falling directions."""
  rng = np.random.default_rng(seed)
  return gains(dimension) * rng.normal(size=(examples, dimension))


@pytest.mark.parametrize(('dimension', 'examples'), [(2, 50), (30, 30), (512, 40)])
def test_the_plug_in_is_the_determinant_of_the_covariance(dimension, examples):
  clean = sample(dimension, examples)
  found = mixture_plug_in(clean, np.zeros(examples), NOISE, components=1)
  covariance = np.cov(clean.T, bias=True)
  logdet = np.linalg.slogdet(np.eye(dimension) + covariance / NOISE)[1]
  assert found.value == pytest.approx(0.5 * logdet)


@pytest.mark.parametrize('bound', [mixture, mixture_plug_in])
def test_the_gram_s_coordinates_give_what_all_give(bound, monkeypatch):
  clean = sample(60, 40)
  labels = np.arange(40) % 2
  found = bound(clean, labels, NOISE, components=2).value

  def whole(z, labels):
    yield from (z[labels == c] for c in np.unique(labels))

  monkeypatch.setattr(module, '_classes', whole)
  assert bound(clean, labels, NOISE, components=2).value == pytest.approx(found)


def cross_entropy(fit, rest, share):
  """E[-ln N(z + e; m, C)] - h(e) by dense algebra, the expectation over e by hand."""
  d = fit.shape[1]
  S = np.cov(fit.T, bias=True)
  square, trace = np.trace(S @ S), np.trace(S)
  # Oracle approximating shrinkage, Chen et al. 2010, equation 23.
  rho = (1 - 2 / d) * square + trace**2
  rho /= (len(fit) + 1 - 2 / d) * (square - trace**2 / d)
  rho = share * min(rho, 1)
  C = (1 - rho) * S + (rho * trace / d + NOISE) * np.eye(d)
  y = rest - fit.mean(axis=0)
  quadratic = np.einsum('ni,ij,nj->n', y, np.linalg.inv(C), y).mean()
  logdet = np.linalg.slogdet(C / NOISE)[1]
  return 0.5 * (logdet + quadratic + NOISE * np.trace(np.linalg.inv(C)) - d)


@pytest.mark.parametrize('share', [1.0, 0.1, 0.0])
def test_held_out_it_is_the_cross_entropy_by_dense_algebra(share, monkeypatch):
  clean = sample(6, 40)
  monkeypatch.setattr(module, 'SHARES', np.array([share]))
  found = mixture(clean, np.zeros(40), NOISE, components=1)
  assert found.value == pytest.approx(cross_entropy(clean[:20], clean[20:], share))


def test_the_shrinkage_is_chosen_by_the_first_half():
  rng = np.random.default_rng(0)
  low_rank = rng.normal(size=(200, 3)) @ rng.normal(size=(3, 100))
  found = mixture(low_rank, np.zeros(200), NOISE, components=1).value
  by_share = [cross_entropy(low_rank[:100], low_rank[100:], s) for s in module.SHARES]
  assert found == pytest.approx(min(by_share))
  assert found < by_share[0] - 0.5


@pytest.mark.parametrize(
  ('dimension', 'examples'), [(2, 100), (8, 200), (64, 200), (512, 100)]
)
def test_held_out_it_is_never_below_the_truth(dimension, examples):
  values = [
    mixture(sample(dimension, examples, i), np.zeros(examples), NOISE, components=1)
    for i in range(10)
  ]
  values = [quantity.value for quantity in values]
  error = np.std(values, ddof=1) / math.sqrt(10)
  assert np.mean(values) > TRUTH - 3 * error


def test_held_out_it_is_tight_with_many_examples():
  clean = sample(8, 20_000)
  found = mixture(clean, np.zeros(20_000), NOISE, components=1)
  assert found.value == pytest.approx(TRUTH, abs=0.05)
  assert found.low < TRUTH < found.high


def test_in_sample_it_is_below_the_truth():
  # Why `mixture` exists: less than the information there is, from too few examples.
  clean = np.random.default_rng(0).normal(size=(40, 512))
  truth = 512 / 2 * math.log(1 + 1 / 0.1)  # white, noise of a tenth
  assert mixture_plug_in(clean, np.zeros(40), 0.1, components=1).value < truth / 4
  assert mixture(clean, np.zeros(40), 0.1, components=1).value > truth


@pytest.mark.parametrize('by_label', [True, False])
def test_components_find_clusters(by_label):
  rng = np.random.default_rng(0)
  side = rng.integers(0, 2, 4000)
  clean = 6.0 * side[:, None] + 0.5 * rng.normal(size=(4000, 1))

  def density(z):  # of z + e, e of variance 1/4: two clusters of variance 1/2
    parts = [math.exp(-((z - c) ** 2)) for c in (0.0, 6.0)]
    return sum(parts) / 2 / math.sqrt(math.pi)

  entropy = -quad(lambda z: density(z) * math.log(density(z)), -5, 11)[0]
  truth = entropy - 0.5 * math.log(2 * math.pi * math.e * 0.25)
  how = {'labels': side, 'components': 1} if by_label else {'labels': 0 * side}
  how = {'components': 2} | how
  for bound in (mixture, mixture_plug_in):
    assert bound(clean, noise_variance=0.25, **how).value == pytest.approx(
      truth, abs=0.03
    )
  one = mixture(clean, np.zeros(4000), 0.25, components=1)
  assert one.value > truth + 0.3  # a single Gaussian is a looser bound


@pytest.mark.parametrize('bound', [mixture, mixture_plug_in])
def test_scale_and_shape_do_not_matter(bound):
  clean = sample(12, 60)
  labels = np.arange(60) % 3
  found = bound(clean, labels, NOISE).value
  scaled = 7 * clean.reshape(60, 2, 2, 3)
  assert bound(scaled, labels, 49 * NOISE).value == pytest.approx(found)


@pytest.mark.parametrize('bound', [mixture, mixture_plug_in])
def test_activations_that_are_all_the_same_say_nothing(bound):
  found = bound(np.ones((10, 20)), np.zeros(10), 0.5)
  assert found.value == pytest.approx(0.0)


def test_a_class_of_one_example_is_fitted_only():
  clean = sample(3, 21)
  labels = np.r_[np.zeros(20, int), 1]
  assert np.isfinite(mixture(clean, labels, NOISE).value)
  with pytest.raises(InputError, match='no class has two'):
    mixture(clean, np.arange(21), NOISE)


@pytest.mark.parametrize('bound', [mixture, mixture_plug_in])
def test_bad_shapes_are_refused(bound):
  clean = np.random.default_rng(0).normal(size=(10, 3))
  with pytest.raises(InputError, match='labels of shape'):
    bound(clean, np.zeros(9), 1.0)
  with pytest.raises(InputError, match='components 0'):
    bound(clean, np.zeros(10), 1.0, components=0)
  with pytest.raises(InputError, match='noise_variance'):
    bound(clean, np.zeros(10), -1.0)
