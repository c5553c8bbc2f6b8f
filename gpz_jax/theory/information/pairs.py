"""Pairs (x, z) made small: noise that keeps I(x; z) finite, and projections.

A deterministic network carries infinite information about x, and every estimate of it
from N pairs saturates near ln N. Noise of a fixed share of the activation's spread is
therefore added to z, and stated with every number.

With orthonormal directions the projection of z + N(0, s^2 I) is that of z plus noise of
the same variance. So both are made in the few dimensions that are left.
"""

import math
from typing import Literal

import chex
import numpy as np

from gpz_jax.types import InputError

Projection = Literal['random', 'pca']
LEAST_EXAMPLES = 4  # that can be projected: `pca` takes its directions from one half
MOST_COMPONENTS = 64  # beyond this no sample we have fills the space
BLOCK = 8192  # columns turned to float64 at a time


def noise_variance(z: np.ndarray, fraction: float) -> float:
  """`fraction` of tr(S) / d: the noise in every coordinate of z.

  Args:
    z: [N, ...], activations.
    fraction: Share of the mean variance of a coordinate, > 0.

  Returns:
    A variance in squared units of z. A fixed fraction makes information invariant to
    the scale of z.

  Raises:
    InputError: The fraction is not positive, or activations do not vary.
  """
  if not fraction > 0:
    raise InputError(f'noise {fraction} is not positive; give such as 0.1')
  flat = np.asarray(z).reshape(len(z), -1)
  blocks = [_columns(flat, i) for i in range(0, flat.shape[1], BLOCK)]
  total = sum(float(block.var(axis=0, ddof=1).sum()) for block in blocks)
  if not total > 0 or not math.isfinite(total):
    raise InputError(
      f'activations have a variance of {total}, which carries no information; '
      f'check the target'
    )
  return fraction * total / flat.shape[1]


def project(
  values: np.ndarray,
  components: int,
  *,
  kind: Projection = 'random',
  seed: int = 0,
) -> np.ndarray:
  """The examples along a few orthonormal directions: [N, ...] -> [N, m] float64.

  Args:
    values: [N, ...], with d elements each.
    components: m is the least of this, d and, for `pca`, what N / 2 examples span.
    kind: `random` takes uniform directions that depend on `seed` and d alone, so that
      splits of one shape meet the same. `pca` takes the leading directions of the first
      half of the examples, on which neural estimators train as well.
    seed: Seed of the random directions.

  Returns:
    Centred projections.

  Raises:
    InputError: Components are outside 1..64, the kind is unknown, or there are fewer
      than 4 examples.
  """
  if not 1 <= components <= MOST_COMPONENTS:
    raise InputError(
      f'components {components} is not allowed; give 1 to {MOST_COMPONENTS}'
    )
  values = np.asarray(values)
  if values.ndim < 2 or len(values) < LEAST_EXAMPLES:
    raise InputError(
      f'examples must be [N, ...] with N >= {LEAST_EXAMPLES}, got {values.shape}'
    )
  flat = values.reshape(len(values), -1)
  if kind == 'pca':
    return _pca(flat, components)
  if kind != 'random':
    raise InputError(f"projection '{kind}' is not known. Known: random, pca")
  d = flat.shape[1]
  rng = np.random.default_rng((seed, d))
  directions, _ = np.linalg.qr(rng.normal(size=(d, min(components, d))))
  return _center(_product(flat, directions))


def add_noise(z: np.ndarray, variance: float, seed: int) -> np.ndarray:
  """z + N(0, variance I): [N, m] -> [N, m]."""
  chex.assert_rank(z, 2, custom_message='z [N, m]')
  rng = np.random.default_rng((seed, *z.shape))
  return z + math.sqrt(variance) * rng.normal(size=z.shape)


def gram(values: np.ndarray) -> np.ndarray:
  """Inner products of the examples, in blocks of columns: [N, d] -> [N, N] float64."""
  chex.assert_rank(values, 2, custom_message='values [N, d]')
  blocks = (_columns(values, i) for i in range(0, values.shape[1], BLOCK))
  return sum((block @ block.T for block in blocks), np.zeros((len(values),) * 2))


def check_pairs(x: np.ndarray, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """Pairs as float64 [N, dx] and [N, dz].

  Raises:
    InputError: They are not two matrices of as many rows, or values are not finite.
  """
  x, z = np.asarray(x, np.float64), np.asarray(z, np.float64)
  if x.ndim != 2 or z.ndim != 2 or len(x) != len(z):
    raise InputError(
      f'pairs must be [N, dx] and [N, dz], got {x.shape} and {z.shape}; '
      f'project examples first'
    )
  if not (np.all(np.isfinite(x)) and np.all(np.isfinite(z))):
    raise InputError('pairs hold NaN or infinity; check the target')
  return x, z


def _pca(flat: np.ndarray, components: int) -> np.ndarray:
  half = flat[: len(flat) // 2]
  mean = half.mean(axis=0, dtype=np.float64)
  half, centred = half - mean, flat - mean
  n, d = half.shape
  if d <= n:
    _, directions = np.linalg.eigh(half.T @ half)
    return _center(_product(centred, directions[:, : -components - 1 : -1]))
  values, vectors = np.linalg.eigh(gram(half))
  kept = values > n * np.finfo(np.float64).eps * values[-1]
  values, vectors = values[kept][: -components - 1 : -1], vectors[:, kept]
  leading = vectors[:, : -components - 1 : -1]
  return _center(_product(centred, half.T @ (leading / np.sqrt(values))))


def _columns(values: np.ndarray, start: int) -> np.ndarray:
  return values[:, start : start + BLOCK].astype(np.float64)


def _product(values: np.ndarray, directions: np.ndarray) -> np.ndarray:
  starts = range(0, values.shape[1], BLOCK)
  found = np.zeros((len(values), directions.shape[1]))
  for start in starts:
    found += _columns(values, start) @ directions[start : start + BLOCK]
  return found


def _center(values: np.ndarray) -> np.ndarray:
  return values - values.mean(axis=0)
