"""The linear-Gaussian channel z = W x + e: where everything is known exactly."""

import dataclasses
import math

import chex
import numpy as np
from scipy.special import digamma

from gpz_jax.intervals import Z95
from gpz_jax.theory.information.bounds import TWO_PI_E
from gpz_jax.theory.information.pairs import check_pairs
from gpz_jax.theory.quantity import Quantity
from gpz_jax.types import InputError


@dataclasses.dataclass(frozen=True)
class LinearGaussian:
  """z = W x + e with x ~ N(0, P) and e ~ N(0, s^2 I): the oracle of every estimator."""

  weight: np.ndarray  # W, [dz, dx]
  prior: np.ndarray  # P, [dx, dx], positive definite
  noise_variance: float  # s^2

  def __post_init__(self):
    dx = self.weight.shape[-1]
    if self.weight.ndim != 2 or self.prior.shape != (dx, dx):
      raise InputError(
        f'weight must be [dz, dx] and prior [dx, dx], got {self.weight.shape} and '
        f'{self.prior.shape}'
      )
    if not self.noise_variance > 0:
      raise InputError(f'noise_variance {self.noise_variance} is not positive')

  @classmethod
  def of_information(
    cls, dimension: int, nats: float, rng: np.random.Generator
  ) -> 'LinearGaussian':
    """A rotation with gain, from N(0, I): I(x; z) = `nats`, spread over `dimension`."""
    rotation, _ = np.linalg.qr(rng.normal(size=(dimension, dimension)))
    gain = math.sqrt(math.expm1(2 * nats / dimension))
    return cls(gain * rotation, np.eye(dimension), 1.0)

  @property
  def information(self) -> float:
    """I(x; z) = 1/2 ln det(I + W P W' / s^2), in nats."""
    signal = self.weight @ self.prior @ self.weight.T
    return 0.5 * _logdet(np.eye(len(signal)) + signal / self.noise_variance)

  @property
  def entropy(self) -> float:
    """h(x), in nats."""
    return 0.5 * (len(self.prior) * math.log(TWO_PI_E) + _logdet(self.prior))

  @property
  def conditional_entropy(self) -> float:
    """h(x|z) = h(x) - I(x; z), in nats."""
    return self.entropy - self.information

  @property
  def posterior(self) -> np.ndarray:
    """Covariance of x given z, [dx, dx]."""
    precision = np.linalg.inv(self.prior)
    return np.linalg.inv(precision + self.weight.T @ self.weight / self.noise_variance)

  @property
  def mmse(self) -> float:
    """Squared error per element of the best decoder, E[x|z]."""
    return float(np.trace(self.posterior)) / len(self.prior)

  def sample(
    self, examples: int, rng: np.random.Generator
  ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """x [N, dx], W x [N, dz] and z = W x + e [N, dz]."""
    x = rng.normal(size=(examples, len(self.prior))) @ np.linalg.cholesky(self.prior).T
    clean = x @ self.weight.T
    noise = math.sqrt(self.noise_variance) * rng.normal(size=clean.shape)
    return x, clean, clean + noise


def least_pairs(dx: int, dz: int) -> int:
  """The fewest pairs of so many coordinates that `gaussian_information` accepts."""
  return dx + dz + 2


def gaussian_information(x: np.ndarray, z: np.ndarray) -> Quantity:
  """I(x; z) as if the pairs were jointly Gaussian, unbiased where they are.

  Args:
    x: [N, dx].
    z: [N, dz], N > dx + dz + 1.

  Returns:
    1/2 ln(det S_x det S_z / det S_xz) in nats, less its mean error at N examples (the
    expected logarithm of a Wishart determinant). On other pairs it sees linear
    dependence only, and is no bound.

  Raises:
    InputError: Shapes do not match, there are too few examples, or a coordinate is a
      combination of others.
  """
  x, z = check_pairs(x, z)
  N, dx = x.shape
  dz = z.shape[1]
  if least_pairs(dx, dz) > N:
    raise InputError(
      f'{N} examples are too few for {dx} + {dz} coordinates; project to fewer'
    )
  covariance = np.corrcoef(np.hstack([x, z]).T)
  parts = covariance[:dx, :dx], covariance[dx:, dx:], covariance
  logdets = [_logdet(part) for part in parts]
  if not np.all(np.isfinite(logdets)):
    raise InputError('covariance is singular: project to fewer coordinates, add noise')
  of_x, of_z, of_both = (
    logdet - _logdet_bias(len(part), N - 1)
    for logdet, part in zip(logdets, parts, strict=True)
  )
  cross = np.linalg.solve(parts[0], covariance[:dx, dx:])
  shared = np.trace(cross @ np.linalg.solve(parts[1], covariance[dx:, :dx]))
  value, half = 0.5 * (of_x + of_z - of_both), Z95 * math.sqrt(shared / N)
  note = 'exact for jointly Gaussian pairs, no bound on others'
  return Quantity(
    'information_gaussian', value, value - half, value + half, 'nats', note
  )


def covariance_information(covariance: np.ndarray, dx: int) -> float:
  """I(x; z) in nats of Gaussian pairs with this covariance [dx + dz, dx + dz].

  It is infinite, or NaN, where a coordinate is a combination of others.
  """
  chex.assert_shape(
    covariance, (len(covariance),) * 2, custom_message='covariance [dx + dz, dx + dz]'
  )
  parts = covariance[:dx, :dx], covariance[dx:, dx:], covariance
  of_x, of_z, of_both = (_logdet(part) for part in parts)
  return 0.5 * (of_x + of_z - of_both)


def _logdet(matrix: np.ndarray) -> float:
  sign, logdet = np.linalg.slogdet(matrix)
  return float(logdet) if sign > 0 else -math.inf


def _logdet_bias(d: int, freedom: int) -> float:
  """E ln det of a sample covariance in d dimensions, less that of the true one."""
  halves = (freedom + 1 - np.arange(1, d + 1)) / 2
  return float(np.sum(digamma(halves)) + d * math.log(2 / freedom))
