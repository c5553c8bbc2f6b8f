"""The closed forms against determinants, integrals and draws."""

import math

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from gpz_jax.theory.information import bounds, kinds
from gpz_jax.theory.information.gaussian import LinearGaussian, gaussian_information
from gpz_jax.types import InputError


def channel(dx: int, dz: int, seed: int = 0) -> LinearGaussian:
  """Any weights and prior."""
  rng = np.random.default_rng(seed)
  root = rng.normal(size=(dx, dx)) + 2 * np.eye(dx)
  return LinearGaussian(rng.normal(size=(dz, dx)), root @ root.T, 0.7)


@pytest.mark.parametrize(('dx', 'dz'), [(2, 2), (3, 8), (64, 32), (512, 256)])
def test_the_oracle_is_the_joint_determinant(dx, dz):
  known = channel(dx, dz)
  W, P = known.weight, known.prior
  of_z = W @ P @ W.T + known.noise_variance * np.eye(dz)
  joint = np.block([[P, P @ W.T], [W @ P, of_z]])
  logdet = [np.linalg.slogdet(part)[1] for part in (P, of_z, joint)]
  # I = (ln det S_x + ln det S_z - ln det S_xz) / 2, Cover and Thomas, section 8.5
  assert known.information == pytest.approx((logdet[0] + logdet[1] - logdet[2]) / 2)
  posterior = P - P @ W.T @ np.linalg.solve(of_z, W @ P)  # Schur complement
  np.testing.assert_allclose(known.posterior, posterior, atol=1e-6 * np.abs(P).max())


def test_the_oracle_s_entropies_are_scipy_s():
  known = channel(4, 3)
  assert known.entropy == pytest.approx(multivariate_normal(cov=known.prior).entropy())
  conditional = multivariate_normal(cov=known.posterior).entropy()
  assert known.conditional_entropy == pytest.approx(conditional)


@pytest.mark.parametrize('dimension', [2, 8, 128])
def test_a_channel_of_given_information_has_it(dimension):
  rng = np.random.default_rng(1)
  made = LinearGaussian.of_information(dimension, 3.0, rng)
  assert made.information == pytest.approx(3.0)
  # Isotropic: every direction keeps exp(-2 I / d) of its variance.
  assert made.mmse == pytest.approx(math.exp(-6.0 / dimension))


def test_samples_have_the_oracle_s_covariance():
  known = channel(2, 3)
  x, clean, z = known.sample(200_000, np.random.default_rng(0))
  np.testing.assert_allclose(np.cov(x.T), known.prior, rtol=0.03, atol=0.1)
  np.testing.assert_allclose(np.cov((z - clean).T), 0.7 * np.eye(3), atol=0.02)
  np.testing.assert_allclose(clean, x @ known.weight.T)


@pytest.mark.parametrize('dimension', [1, 8, 128])
def test_the_decoder_bound_is_tight_for_isotropic_gaussians(dimension):
  rng = np.random.default_rng(0)
  known = LinearGaussian.of_information(dimension, 2.0, rng)
  bound = bounds.decoder_entropy(known.mmse, dimension)
  assert bound.value == pytest.approx(known.conditional_entropy)
  information = bounds.decoder_information(known.mmse, dimension, known.entropy)
  assert information.value == pytest.approx(2.0)
  floor = bounds.mse_floor(known.conditional_entropy, dimension)
  assert floor.value == pytest.approx(known.mmse)


@pytest.mark.parametrize(('dx', 'dz'), [(2, 1), (8, 4), (64, 64)])
def test_bounds_are_on_their_side_of_anisotropic_gaussians(dx, dz):
  known = channel(dx, dz)
  assert bounds.mse_floor(known.conditional_entropy, dx).value < known.mmse
  assert bounds.decoder_entropy(known.mmse, dx).value > known.conditional_entropy
  lower = bounds.decoder_information(known.mmse, dx, known.entropy)
  assert lower.value < known.information
  without_z = bounds.mse_floor(known.entropy, dx).value
  factor = bounds.mse_floor_factor(known.information, dx).value
  floor = bounds.mse_floor(known.conditional_entropy, dx).value
  assert factor * without_z == pytest.approx(floor)


def test_a_ratio_of_floors_is_no_bound_on_a_ratio_of_errors():
  """x is uniform on two far intervals, and z says which one: by hand, in one dimension.

  I is ln 2, so that the floors are in the ratio 1/4. The least errors, variances of
  intervals of length 2 around -10 and 10, are 1/3 with z and 100 + 1/3 without.
  """
  factor = bounds.mse_floor_factor(math.log(2), 1)
  assert factor.value == pytest.approx(1 / 4)
  assert factor.value > (1 / 3) / (100 + 1 / 3)
  assert kinds.direction('mse_floor_factor') == 'neither'
  assert 'bounds no error' in factor.assumes
  assert 'lower bound' not in factor.assumes


def test_errors_of_single_examples_give_an_interval():
  mse = np.array([0.01, 0.02, 0.03])
  found = bounds.decoder_entropy(mse, 10)
  error = 1.96 * 0.01 / math.sqrt(3)  # standard deviation .01, by hand
  for value, mean in (
    (found.low, 0.02 - error),
    (found.value, 0.02),
    (found.high, 0.02 + error),
  ):
    assert value == pytest.approx(5 * math.log(2 * math.pi * math.e * mean))
  information = bounds.decoder_information(mse, 10, 0.0)
  assert information.low < information.value < information.high
  assert math.isnan(bounds.decoder_entropy(0.02, 10).low)
  assert bounds.decoder_entropy(0.0, 10).value == -math.inf


def test_club_is_the_spread_over_the_noise():
  clean = np.array([[0.0, 0.0], [2.0, 4.0]])  # variances 2 and 8, by hand
  assert bounds.club(clean, 0.5).value == pytest.approx(20.0)
  assert bounds.club(clean.reshape(2, 2, 1), 0.5).value == pytest.approx(20.0)


@pytest.mark.parametrize('dimension', [2, 64])
def test_club_is_above_the_truth(dimension):
  rng = np.random.default_rng(3)
  known = LinearGaussian.of_information(dimension, 3.0, rng)
  _, clean, _ = known.sample(2000, rng)
  # Exactly: tr(W W') / s^2 = d (exp(2 I / d) - 1).
  exact = dimension * math.expm1(6.0 / dimension)
  found = bounds.club(clean, known.noise_variance)
  assert found.value == pytest.approx(exact, rel=0.05)
  assert found.low < exact < found.high
  assert found.value > 3.0


@pytest.mark.parametrize(('dx', 'dz'), [(1, 1), (2, 3), (16, 16)])
def test_the_gaussian_estimate_is_unbiased(dx, dz):
  known = channel(dx, dz)
  rng = np.random.default_rng(0)
  values = []
  for _ in range(40):
    x, _, z = known.sample(80, rng)
    values.append(gaussian_information(x, z).value)
  error = np.std(values, ddof=1) / math.sqrt(len(values))
  assert abs(np.mean(values) - known.information) < 3 * error


def test_the_gaussian_estimate_s_interval_is_its_spread():
  rng = np.random.default_rng(0)
  known = LinearGaussian.of_information(4, 1.0, rng)
  found = [gaussian_information(*known.sample(1000, rng)[::2]) for _ in range(40)]
  half = np.mean([q.high - q.low for q in found]) / 2
  assert half == pytest.approx(1.96 * np.std([q.value for q in found]), rel=0.3)


def test_the_gaussian_estimate_of_shuffled_pairs_is_0():
  rng = np.random.default_rng(0)
  x, _, z = LinearGaussian.of_information(4, 3.0, rng).sample(2000, rng)
  found = gaussian_information(x, rng.permutation(z))
  assert found.value == pytest.approx(0.0, abs=0.01)


def test_ceilings_and_directions_are_those_of_the_literature():
  assert kinds.ceiling('information_infonce', examples=99, batch=64) == math.log(64)
  # psi(100) - psi(1) is the 99th harmonic number.
  harmonic = sum(1 / i for i in range(1, 100))
  assert kinds.ceiling('information_ksg', examples=100) == pytest.approx(harmonic)
  assert kinds.ceiling('information_mine', examples=200) == math.log(100)
  assert kinds.ceiling('information_mixture', examples=200) == math.inf
  assert kinds.direction('information_smile') == 'neither'
  with pytest.raises(InputError, match=r"did you mean 'information_ksg'\?"):
    kinds.direction('information_kgs')


@pytest.mark.parametrize(
  ('call', 'message'),
  [
    (lambda: bounds.decoder_entropy(-0.1, 3), 'mse must be'),
    (lambda: bounds.decoder_entropy(np.ones((2, 2)), 3), r'mse must be .* \(2, 2\)'),
    (lambda: bounds.decoder_entropy(0.1, 0), 'dimension 0'),
    (lambda: bounds.mse_floor(0.1, 0), 'dimension 0'),
    (lambda: bounds.mse_floor_factor(0.1, 0), 'dimension 0'),
    (lambda: bounds.club(np.ones(3), 0.1), r'\[N, ...\]'),
    (lambda: bounds.club(np.ones((3, 2)), 0.0), 'noise_variance 0.0'),
    (lambda: bounds.club(np.full((3, 2), np.nan), 0.1), 'NaN'),
    (lambda: LinearGaussian(np.ones((2, 3)), np.eye(2), 1.0), 'prior'),
    (lambda: LinearGaussian(np.ones((2, 3)), np.eye(3), 0.0), 'noise_variance'),
    (lambda: gaussian_information(np.ones((5, 2)), np.ones((4, 2))), 'pairs must be'),
    (lambda: gaussian_information(np.ones((5, 2)), np.ones((5, 2))), 'too few'),
    (lambda: gaussian_information(*[np.arange(12.0)[:, None]] * 2), 'singular'),
  ],
)
def test_what_cannot_be_measured_is_refused(call, message):
  with pytest.raises(InputError, match=message):
    call()
