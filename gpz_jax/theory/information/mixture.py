"""Upper bounds on I(x; z + e) from a Gaussian mixture over the activation.

Every class is cut into components by k-means. The component is a function of z, so
H(z + e) <= H(component) + H(z + e | component), and each part has at most the entropy
of a Gaussian.

A Gram matrix gives coordinates that keep all distances. In these a class of n examples
has at most n dimensions, however large d is. In all others there is only noise.
"""

import math
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gpz_jax.intervals import Z95
from gpz_jax.theory.information.bounds import check_clean
from gpz_jax.theory.information.pairs import gram
from gpz_jax.theory.quantity import Quantity
from gpz_jax.types import InputError

if TYPE_CHECKING:
  from sklearn.cluster import KMeans


def mixture_plug_in(
  clean: np.ndarray,
  labels: np.ndarray,
  noise_variance: float,
  *,
  components: int = 3,
  seed: int = 0,
) -> Quantity:
  """sum_k pi_k (-ln pi_k + 1/2 ln det(S_k / s^2 + I)) over the components k.

  This is the published form: mixture and covariances are those of the examples it is
  evaluated on. It bounds the information about *which of these examples* was sent.

  On the population it can fall below the truth, because a sample's covariance has too
  small a determinant. It falls by about d^2 / 4 N_k nats for d directions with more
  signal than noise, and by most of the truth where N_k < d. `mixture` pays for what it
  fits.

  Args:
    clean: [N, ...], activations without noise.
    labels: [N] integers, the classes; all zeros for a single class.
    noise_variance: s^2, the variance of the noise in every coordinate of z.
    components: Largest number of components of a class.
    seed: Seed of k-means.

  Returns:
    Nats.

  Raises:
    InputError: Shapes do not match, there is no noise, or components are below 1.

  Source: conditional entropy maximisation (CEM), arXiv 2503.00383;
  docs/paper.md#information-bounds.
  """
  z = check_clean(clean, noise_variance)
  total = 0.0
  for points in _classes(z, labels):
    assigned = _cluster(points, components, seed).predict(points)
    for k in np.unique(assigned):
      part = points[assigned == k]
      total += len(part) * (
        _signal(part, noise_variance) - math.log(len(part) / len(z))
      )
  note = _note('upper bound for these examples only, covariances in sample', components)
  return Quantity(
    'information_mixture_plug_in',
    total / len(z),
    unit='nats',
    assumes=f'noise of variance {noise_variance:.3g} a coordinate of z; {note}',
  )


def mixture(
  clean: np.ndarray,
  labels: np.ndarray,
  noise_variance: float,
  *,
  components: int = 3,
  seed: int = 0,
) -> Quantity:
  """Upper bound on I(x; z + e): the mixture's cross-entropy on examples it never saw.

  The first half of a class fits components, weights and covariances. The rest is
  encoded: H(z + e) <= E[-ln q(component, z + e)] for every q, with the expectation
  over e taken exactly. Covariances are shrunk towards a multiple of the identity.
  Otherwise a direction that the first half does not span would cost its energy over
  2 s^2. The first half also chooses the strength of the shrinkage.

  Where z varies in more than N_k directions, the bound is sound and loose. Then give
  fewer components, or zeros as labels, which pools all classes.

  Args:
    clean: [N, ...], activations without noise, in random order within a class.
    labels: [N] integers, the classes; all zeros for a single class.
    noise_variance: s^2, the variance of the noise in every coordinate of z.
    components: Largest number of components of a class.
    seed: Seed of k-means.

  Returns:
    Nats, with an interval over the second half. Like the truth, it can exceed ln N.

  Raises:
    InputError: Shapes do not match, there is no noise, components are below 1, or no
      class has two examples.

  Source: The bound of CEM (arXiv 2503.00383) as a cross-entropy. The shrinkage is that
  of Chen et al., IEEE Trans. Signal Processing 58(10), 2010.
  """
  z = check_clean(clean, noise_variance)
  costs = [_costs(points, z.shape[1], noise_variance, components, seed)
           for points in _classes(z, labels)]  # fmt: skip
  fitted = sum(cost.fitted for cost in costs)
  # What naming the class costs, on top of the component within it.
  values = np.concatenate(
    [cost.nats - math.log(cost.fitted / fitted) for cost in costs]
  )
  if not len(values):
    raise InputError('no class has two examples; give more, or labels of zeros')
  value = float(values.mean())
  half = Z95 * float(values.std()) / math.sqrt(len(values))
  note = _note('upper bound, held out', components)
  return Quantity(
    'information_mixture',
    value,
    value - half,
    value + half,
    'nats',
    f'noise of variance {noise_variance:.3g} a coordinate of z; {note}',
  )


def _signal(part: np.ndarray, noise: float) -> float:
  """1/2 ln det(S / s^2 + I), from the smaller of the Gram matrix and S."""
  part = (part - part.mean(axis=0)) / math.sqrt(len(part) * noise)
  small = part @ part.T if len(part) < part.shape[1] else part.T @ part
  return 0.5 * float(np.linalg.slogdet(np.eye(len(small)) + small)[1])


# Shares of the oracle approximating shrinkage that are tried. All of it is right for a
# covariance near the identity. Activations that vary in few directions need far less.
SHARES = np.array([1.0, 0.1, 0.01, 1e-3, 0.0])


class _Costs(NamedTuple):
  nats: np.ndarray  # [examples held out], without the share of the class
  fitted: int


def _costs(points, dimension: int, noise: float, components: int, seed: int) -> _Costs:
  """What the second half of a class costs under the mixture of its first."""
  count = (len(points) + 1) // 2
  fit, rest = points[:count], points[count:]
  if not len(rest):
    return _Costs(np.zeros(0), count)
  cluster = _cluster(fit, components, seed)
  assigned, chosen = cluster.predict(fit), cluster.predict(rest)
  nats = np.zeros(len(rest))
  for k in np.unique(chosen):
    part = fit[assigned == k]
    excess = _excess(part, rest[chosen == k], dimension, noise)
    nats[chosen == k] = excess - math.log(len(part) / count)
  return _Costs(nats, count)


def _excess(fit, rest, dimension: int, noise: float) -> np.ndarray:
  """Cross-entropy of rest + e under the Gaussian of `fit` + e, less h(e): [rest].

  Two halves of `fit` choose how much the covariance is shrunk.
  """
  gaussian = _fit(fit)
  rhos = _shrinkage(gaussian.variances, len(fit), dimension) * SHARES
  if len(fit) >= 2 * len(SHARES):
    half = _fit(fit[::2])
    tried = [half.excess(fit[1::2], rho, dimension, noise).mean() for rho in rhos]
    return gaussian.excess(rest, rhos[int(np.argmin(tried))], dimension, noise)
  return gaussian.excess(rest, rhos[0], dimension, noise)


class _Gaussian(NamedTuple):
  mean: np.ndarray  # [d]
  variances: np.ndarray  # [r] of the directions the examples span
  axes: np.ndarray  # [r, d]

  def excess(self, rest, rho: float, dimension: int, noise: float) -> np.ndarray:
    """`_excess` with the covariance shrunk by rho: [rest]."""
    floor = noise + rho * float(self.variances.sum()) / dimension  # in every direction
    along = (1 - rho) * self.variances + floor
    others = dimension - len(along)
    offset = rest - self.mean
    mapped = (offset @ self.axes.T) ** 2
    square = np.sum(offset**2, axis=1) / floor + mapped @ (1 / along - 1 / floor)
    logdet = np.sum(np.log(along / noise)) + others * math.log(floor / noise)
    trace = noise * (np.sum(1 / along) + others / floor)
    return 0.5 * (logdet + square + trace - dimension)


def _fit(points: np.ndarray) -> _Gaussian:
  mean = points.mean(axis=0)
  _, singular, axes = np.linalg.svd(points - mean, full_matrices=False)
  return _Gaussian(mean, singular**2 / len(points), axes)


def _shrinkage(variances: np.ndarray, count: int, dimension: int) -> float:
  """Share of the identity in the oracle approximating shrinkage, in [0, 1]."""
  trace, squares = float(variances.sum()), float(np.sum(variances**2))
  spread = squares - trace**2 / dimension
  if spread <= 0:
    return 1.0  # a multiple of the identity already, or nothing
  share = 1 - 2 / dimension
  return min(1.0, (share * squares + trace**2) / ((count + share) * spread))


def _classes(z: np.ndarray, labels: np.ndarray) -> Iterator[np.ndarray]:
  """The examples of each class, centred, in at most as many coordinates as examples."""
  labels = np.asarray(labels)
  if labels.shape != z.shape[:1]:
    raise InputError(f'{len(z)} activations but labels of shape {labels.shape}')
  for c in np.unique(labels):
    points = z[labels == c]
    points = points - points.mean(axis=0, dtype=np.float64)
    if points.shape[1] > len(points):
      values, vectors = np.linalg.eigh(gram(points))
      kept = values > len(points) * np.finfo(np.float64).eps * values[-1]
      points = vectors[:, kept] * np.sqrt(values[kept])
    yield points if points.shape[1] else np.zeros((len(points), 1))


def _cluster(points: np.ndarray, components: int, seed: int) -> 'KMeans':
  from sklearn import cluster, exceptions  # late, since it is slow to import

  if components < 1:
    raise InputError(f'components {components} is not allowed; give at least 1')
  kmeans = cluster.KMeans(min(components, len(points)), random_state=seed)
  with warnings.catch_warnings():
    # It warns of fewer distinct points than components. Empty ones are left out.
    warnings.simplefilter('ignore', exceptions.ConvergenceWarning)
    return kmeans.fit(points)


def _note(kind: str, components: int) -> str:
  return f'{kind}; {components} component{"s" * (components > 1)} a class'
