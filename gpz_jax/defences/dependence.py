"""How much two batches depend on each other: HSIC and COCO, on matrices of kernels.

Letters: m examples; K and L are kernel matrices [m, m] of two batches of features, and
H = I - 1/m centres them. Where a mask is given, examples at 0 are left out, exactly as
if the matrices had no rows for them.

Source: docs/paper.md#defences.
"""

import chex
import jax
import jax.numpy as jnp
from jax.scipy import linalg

SIGMA = 5.0
EPSILON = 1e-5


def gaussian_kernel(features: jax.Array, sigma: float = SIGMA) -> jax.Array:
  """exp(-|x - y|^2 / (2 sigma^2 D)) of all pairs.

  Args:
    features: [m, ...]; D is the number of features of one example.
    sigma: The width for one feature, above 0.

  Returns:
    [m, m] in (0, 1].
  """
  features = _flatten(features)
  scale = 2 * sigma**2 * features.shape[1]
  return jnp.exp(-_squared_distances(features) / scale)


def imq_kernel(features: jax.Array) -> jax.Array:
  """The inverse multiquadric 1 / sqrt(|x - y|^2 + 1) of all pairs.

  Args:
    features: [m, ...].

  Returns:
    [m, m] in (0, 1].
  """
  return jax.lax.rsqrt(_squared_distances(_flatten(features)) + 1)


def linear_kernel(features: jax.Array) -> jax.Array:
  """The inner product of all pairs.

  Args:
    features: [m, ...].

  Returns:
    [m, m].
  """
  features = _flatten(features)
  return features @ features.T


def centre(kernel: jax.Array, mask: jax.Array | None = None) -> jax.Array:
  """H K H over the examples that count; rows and columns of the others are 0.

  Args:
    kernel: [m, m], symmetric.
    mask: [m] of 0 and 1; None counts all.

  Returns:
    [m, m], symmetric.
  """
  _check(kernel, kernel, mask)
  keep = jnp.ones(len(kernel)) if mask is None else mask
  count = jnp.maximum(keep.sum(), 1)
  means = (kernel @ keep) / count
  mean = (means @ keep) / count
  centred = kernel - means[:, None] - means[None] + mean
  return centred * keep[:, None] * keep[None]


def shrink(
  kernel: jax.Array, mask: jax.Array | None = None, *, epsilon: float = EPSILON
) -> jax.Array:
  """R = Kc (Kc + epsilon m I)^-1 of a kernel matrix, where Kc = H K H.

  Its eigenvalues lie in [0, 1): each direction counts alike, however wide it is.

  Args:
    kernel: [m, m], symmetric and positive semi-definite.
    mask: [m] of 0 and 1; None counts all.
    epsilon: The regularisation, above 0.

  Returns:
    [m, m], symmetric.
  """
  centred = centre(kernel, mask)
  count = len(kernel) if mask is None else jnp.maximum(mask.sum(), 1)
  ridge = epsilon * count * jnp.eye(len(kernel))
  return linalg.cho_solve(linalg.cho_factor(centred + ridge), centred)


def hsic(
  kernel_x: jax.Array,
  kernel_y: jax.Array,
  mask: jax.Array | None = None,
  *,
  epsilon: float = EPSILON,
) -> jax.Array:
  """The normalised HSIC of two batches: the trace of R_x R_y, see `shrink`.

  With linear kernels and epsilon to 0 it is the sum of the squared canonical
  correlations. It grows with m, so that values of other batch sizes do not compare.

  Args:
    kernel_x: [m, m], a kernel matrix of one batch.
    kernel_y: [m, m], a kernel matrix of the other.
    mask: [m] of 0 and 1; None counts all.
    epsilon: The regularisation, above 0.

  Returns:
    [], at least 0 and below m.
  """
  _check(kernel_x, kernel_y, mask)
  ratio_x = shrink(kernel_x, mask, epsilon=epsilon)
  return jnp.sum(ratio_x * shrink(kernel_y, mask, epsilon=epsilon))


def coco(
  kernel_x: jax.Array, kernel_y: jax.Array, mask: jax.Array | None = None
) -> jax.Array:
  """The constrained covariance as BiDO computes it: sqrt(|Kc Lc|_F) / m.

  Its name stands for the largest singular value; the released code takes the Frobenius
  norm, and so does this function.

  Args:
    kernel_x: [m, m], a kernel matrix of one batch.
    kernel_y: [m, m], a kernel matrix of the other.
    mask: [m] of 0 and 1; None counts all.

  Returns:
    [], at least 0.
  """
  _check(kernel_x, kernel_y, mask)
  product = centre(kernel_x, mask) @ centre(kernel_y, mask)
  square = jnp.sum(jnp.square(product))
  count = len(kernel_x) if mask is None else jnp.maximum(mask.sum(), 1)
  # A root has no slope at 0, where features are constant.
  is_positive = square > 0
  root = jnp.where(is_positive, square, 1) ** 0.25
  return jnp.where(is_positive, root, 0) / count


def _flatten(features: jax.Array) -> jax.Array:
  """[m, ...] -> [m, D] in float32."""
  return features.reshape(len(features), -1).astype(jnp.float32)


def _squared_distances(features: jax.Array) -> jax.Array:
  """[m, D] -> [m, m], at least 0 and exactly 0 on the diagonal."""
  # Shorter vectors cancel less.
  features = features - features.mean(axis=0, keepdims=True)
  products = features @ features.T
  squares = jnp.diagonal(products)
  distances = squares[:, None] + squares[None] - 2 * products
  return jnp.maximum(distances, 0) * (1 - jnp.eye(len(features)))


def _check(kernel_x: jax.Array, kernel_y: jax.Array, mask: jax.Array | None) -> None:
  count = len(kernel_x)
  for name, kernel in (('kernel_x', kernel_x), ('kernel_y', kernel_y)):
    chex.assert_shape(kernel, (count, count), custom_message=f'{name} [m, m]')
  if mask is not None:
    chex.assert_shape(mask, (count,), custom_message='mask [m]')
