"""How far apart the classes lie, next to how wide they are: NC1 and the silhouette.

Both come from inner products between examples or with class centres. No D x D matrix
is formed.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import chex
import numpy as np

from gpz_jax.theory.examples import Examples, check
from gpz_jax.theory.scatter import Scatter, gather
from gpz_jax.theory.spectrum import gram, subsample

RESOLVED = 1e-12  # eigenvalues of S_B below this share of the largest are rounding
EXAMPLES_PER_CLASS = 10  # so that the sample holds distances within a class


class Spread(NamedTuple):
  """Squared distances of N examples, and what relates them to the class centres."""

  own: np.ndarray  # [N] to the centre of the own class
  total: np.ndarray  # [N] to the mean of all examples
  nc1: float  # nan where the class centres are equal


class Silhouette(NamedTuple):
  """A silhouette and the sample it is of."""

  value: float  # in [-1, 1]; nan where the sample does not allow one
  examples: int
  classes: int


def nc1(activations, labels) -> float:
  """Within-class scatter in the space of the class centres: tr(S_W S_B^+) / K.

  Both scatters weight classes by their examples, so that S_W + S_B is the covariance
  of all examples.

  Args:
    activations: [N, ...].
    labels: [N] integers.

  Returns:
    0 where every class has collapsed, nan where the class centres are equal. Centres
    are estimated from N_c examples, which adds about S_W / N_c to S_B. With few
    examples in many dimensions the value is therefore too small.

  Raises:
    InputError: Shapes do not fit, or activations are not finite.

  Source: Papyan, Han and Donoho 2020, NC1.
  """
  data = check(activations, labels)
  scale = np.ones(data.flat.shape[1])
  return measure_spreads(data, gather(data), [scale])[0].nc1


def silhouette(
  activations, labels, *, max_examples: int = 500, seed: int = 0
) -> Silhouette:
  """Mean silhouette of a sample, in [-1, 1]: 1 for tight classes far apart.

  Args:
    activations: [N, ...].
    labels: [N] integers.
    max_examples: Size of the sample; the cost grows with its square. The sample holds
      at most a tenth as many classes. Values over different numbers of classes do not
      compare.
    seed: Seed of the sample.

  Returns:
    The silhouette; nan where the sample has one class, or no class with two examples.

  Raises:
    InputError: Shapes do not fit, or activations are not finite.

  Source: Rousseeuw 1987; scikit-learn's `silhouette_score` on Euclidean distances.
  """
  return estimate_silhouette(check(activations, labels), None, max_examples, seed)


def measure_spreads(
  data: Examples, scatter: Scatter, scales: Sequence[np.ndarray]
) -> list[Spread]:
  """Distances and NC1 under S scalings of the elements, in one pass over the examples.

  Args:
    data: N examples of K classes.
    scatter: The scatter of these examples.
    scales: S scalings [D] of the elements.

  Returns:
    S spreads, one for each scaling.
  """
  K, D = scatter.mean.shape
  for scale in scales:
    chex.assert_shape(scale, (D,), custom_message='each of scales [D]')
  S = len(scales)
  squared = np.square(scales)
  offsets = scatter.offsets()
  axes = (squared[:, None] * offsets).reshape(S * K, D)
  own = np.empty((len(data.label), S))
  shadows = np.empty((len(data.label), S * K))  # inner products with the offsets
  for rows in data.rows():
    about = data.flat[rows].astype(np.float64)
    about -= scatter.mean[data.label[rows]]
    shadows[rows] = about @ axes.T
    own[rows] = np.square(about, out=about) @ squared.T
  products = (axes @ offsets.T).reshape(S, K, K)
  return [
    _spread(data, scatter.count, own[:, i], shadow, products[i])
    for i, shadow in enumerate(np.split(shadows, S, axis=1))
  ]


def estimate_silhouette(
  data: Examples, scale: np.ndarray | None, max_examples: int, seed: int
) -> Silhouette:
  """`silhouette` of checked examples, their elements first scaled by `scale` [D]."""
  from sklearn import metrics  # late, since it is slow to import

  rng = np.random.default_rng(seed)
  most = max(2, max_examples // EXAMPLES_PER_CLASS)
  classes = subsample(np.arange(len(data.classes)), most, rng)
  rows = np.flatnonzero(np.isin(data.label, classes))
  rows = subsample(rows, max_examples, rng)
  label = data.label[rows]
  count = len(np.unique(label))
  if not 2 <= count < len(label):
    return Silhouette(math.nan, len(label), count)
  products = gram(data.flat, rows, scale)
  norms = products.diagonal()
  squared = np.maximum(norms[:, None] + norms[None] - 2 * products, 0)
  np.fill_diagonal(squared, 0)
  value = metrics.silhouette_score(np.sqrt(squared), label, metric='precomputed')
  return Silhouette(float(value), len(label), count)


def _spread(
  data: Examples,
  count: np.ndarray,
  own: np.ndarray,
  shadow: np.ndarray,
  products: np.ndarray,
) -> Spread:
  N = len(own)
  across = shadow[np.arange(N), data.label]
  total = np.maximum(own + 2 * across + products.diagonal()[data.label], 0)
  return Spread(own, total, _nc1(shadow, products, count, data.flat.shape[1]))


def _nc1(
  shadow: np.ndarray, products: np.ndarray, count: np.ndarray, dim: int
) -> float:
  """From the inner products [N, K] of examples, about their class, with the offsets.

  S_B = M M' with a column per class, so tr(S_W S_B^+) is the mean squared norm of
  (M'M)^+ M'z over the examples z.
  """
  N, K = shadow.shape
  root = np.sqrt(count / N)
  values, vectors = np.linalg.eigh(root[:, None] * products * root)
  rank = min(K - 1, dim)  # the weighted offsets sum to 0
  resolved = values > RESOLVED * values[-1]
  kept = resolved & (np.arange(K) >= K - rank)
  if not kept.any():
    return math.nan
  coordinates = (shadow * root) @ (vectors[:, kept] / values[kept])
  return float(np.square(coordinates).sum() / (N * K))
