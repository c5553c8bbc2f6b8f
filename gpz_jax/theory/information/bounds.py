"""What a decoder's error, or the channel alone, says about I(x; z) and h(x|z).

Entropies are differential, in nats, of x as a density in its own units. Images with
values in [0, 1] come in steps of 1/255. Their entropies here are those of the image
plus dither, not of the pixels.
"""

import math

import numpy as np

from gpz_jax.intervals import Z95
from gpz_jax.theory.quantity import Quantity
from gpz_jax.types import InputError

TWO_PI_E = 2 * math.pi * math.e


def decoder_entropy(mse, dimension: int) -> Quantity:
  """Upper bound on h(x|z) from the error of any decoder.

  Args:
    mse: Squared error per element of x: a number, or [N], one for each example, which
      gives an interval.
    dimension: D, the number of elements of x.

  Returns:
    D/2 ln(2 pi e MSE) in nats. Every decoder gives a bound; the best decoder gives the
    tightest.

  Raises:
    InputError: An error is negative, or the dimension is below 1.

  Source: the Gaussian has the most entropy for its variance (Barber and Agakov 2003
  with a Gaussian decoder); docs/paper.md#information-bounds.
  """
  mean, error = _mean(mse)
  _check_dimension(dimension)
  value, low, high = (_entropy(m, dimension) for m in _around(mean, error))
  note = 'upper bound on h(x|z); z as the decoder saw it; x as a density'
  return Quantity('conditional_entropy_decoder', value, low, high, 'nats', note)


def decoder_information(mse, dimension: int, entropy: float) -> Quantity:
  """Lower bound on I(x; z): `entropy` less `decoder_entropy(mse, dimension)`.

  Args:
    mse: As given to `decoder_entropy`.
    dimension: D, the number of elements of x.
    entropy: h(x) in nats, or a lower bound on it. With an upper bound, such as the
      entropy of a Gaussian with the covariance of x, the result bounds nothing.

  Returns:
    Nats. They are negative where the decoder's error exceeds the spread of x.

  Raises:
    InputError: As of `decoder_entropy`.
  """
  known = decoder_entropy(mse, dimension)
  value, low, high = (entropy - h for h in (known.value, known.high, known.low))
  note = f'lower bound; h(x) = {entropy:.5g} nats taken as given'
  return Quantity('information_decoder', value, low, high, 'nats', note)


def mse_floor(entropy: float, dimension: int) -> Quantity:
  """The squared error per element that no decoder gets below.

  Args:
    entropy: h(x|z) in nats, or a lower bound on it, such as h(x) less an upper bound
      on I(x; z). The upper bound of `decoder_entropy` gives back the decoder's own
      error, which is no floor.
    dimension: D, the number of elements of x.

  Returns:
    exp(2 h / D) / (2 pi e), in squared units of x.

  Source: conditional entropy maximisation (CEM), arXiv 2503.00383;
  docs/paper.md#information-bounds.
  """
  _check_dimension(dimension)
  value = math.exp(2 * entropy / dimension) / TWO_PI_E
  note = f'floor for every decoder if h(x|z) >= {entropy:.5g} nats'
  return Quantity('mse_floor', value, unit='squared units of x', assumes=note)


def mse_floor_factor(information: float, dimension: int) -> Quantity:
  """The floor that entropy sets to the squared error with z, over that without z.

  It bounds no ratio of errors, because a decoder's error may lie far above its floor,
  with z or without.

  Args:
    information: Upper bound on I(x; z) in nats. Where it is of z with noise, so is the
      floor, and a decoder that sees z without noise may get below it.
    dimension: D, the number of elements of x.

  Returns:
    exp(-2 I / D), in (0, 1]: the ratio of `mse_floor` at h(x) - I to that at h(x). It
    does not depend on h(x), which nobody knows for images.
  """
  _check_dimension(dimension)
  value = math.exp(-2 * max(information, 0.0) / dimension)
  note = f'ratio of two floors, at I <= {information:.5g} nats; bounds no error'
  return Quantity('mse_floor_factor', value, assumes=note)


def club(clean: np.ndarray, noise_variance: float) -> Quantity:
  """Upper bound on I(x; z + e) by CLUB with the channel's own q(z|x).

  With e ~ N(0, s^2 I) the conditional q(z + e | x) = N(z, s^2 I) is known. The bound is
  tr(S) / s^2, where S is the covariance of z. It needs no training and always holds.
  At a noise of a fixed share a of tr(S) / d it is d / a, whatever the activation. That
  is sound, but cannot compare splits of one size. `vclub` learns q.

  Args:
    clean: [N, ...], z without noise.
    noise_variance: s^2 > 0, in squared units of z.

  Returns:
    Nats, with an interval over examples.

  Source: Cheng et al., CLUB, ICML 2020.
  """
  z = check_clean(clean, noise_variance)
  squared = np.sum((z - z.mean(axis=0, dtype=np.float64)) ** 2, axis=1)
  N = len(z)
  value = float(squared.sum()) / (N - 1) / noise_variance
  half = Z95 * float(squared.std()) / math.sqrt(N) / noise_variance
  note = f'upper bound; noise of variance {noise_variance:.3g} a coordinate of z'
  return Quantity('information_club', value, value - half, value + half, 'nats', note)


def check_clean(clean: np.ndarray, noise_variance: float) -> np.ndarray:
  """Activations without noise as [N, d], checked.

  Args:
    clean: [N, ...], N >= 2.
    noise_variance: s^2 > 0, in squared units of z.

  Raises:
    InputError: There are fewer than two examples, values are not finite, or there is
      no noise.
  """
  clean = np.asarray(clean)
  if clean.ndim < 2 or len(clean) < 2:
    raise InputError(
      f'activations must be [N, ...] with N >= 2, got {clean.shape}; stack examples'
    )
  if not noise_variance > 0 or not math.isfinite(noise_variance):
    raise InputError(
      f'noise_variance {noise_variance} is not positive; without noise a '
      f'deterministic network has infinite information'
    )
  flat = clean.reshape(len(clean), -1)
  if not np.all(np.isfinite(flat)):
    raise InputError('activations hold NaN or infinity; check the target')
  return flat


def _mean(mse) -> tuple[float, float]:
  """The mean error and its standard error, NaN for a single number."""
  values = np.asarray(mse, np.float64)
  if values.ndim > 1 or values.size == 0 or not np.all(values >= 0):
    raise InputError(
      f'mse must be a number or [N] of numbers >= 0, got {values.shape}: {values!r:.60}'
    )
  if values.size == 1:
    return float(values.mean()), math.nan
  return float(values.mean()), float(values.std(ddof=1)) / math.sqrt(values.size)


def _around(mean: float, error: float) -> tuple[float, float, float]:
  if math.isnan(error):
    return mean, error, error
  return mean, max(mean - Z95 * error, 0.0), mean + Z95 * error


def _entropy(mse: float, dimension: int) -> float:
  if math.isnan(mse):
    return math.nan
  return dimension / 2 * math.log(TWO_PI_E * mse) if mse > 0 else -math.inf


def _check_dimension(dimension: int) -> None:
  if dimension < 1:
    raise InputError(f'dimension {dimension} is not allowed; x has at least 1 element')
