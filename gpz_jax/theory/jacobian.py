"""The cloud's Jacobian: products with it, and its smallest singular value.

J_i [K, d] is the derivative of example i's logits by its activation. The cloud is in
evaluation mode. Examples do not see each other, so one product serves a batch.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import scipy.linalg
from jax import lax

from gpz_jax.types import InputError

Cloud = Callable[[jax.Array], jax.Array]  # activation [B, ...] -> logits [B, K]


class Linearised(NamedTuple):
  """The cloud at a batch of activations."""

  logits: jax.Array  # [B, K]
  push: Cloud  # z [B, ...] -> J z [B, K]
  pull: Callable[[jax.Array], jax.Array]  # u [B, K] -> J'u [B, ...]


class SigmaMin(NamedTuple):
  """Smallest singular values: the least |J'u| over unit vectors u."""

  full: jax.Array  # [B] over all u; 0 where the activation has fewer than K elements
  sum_zero: jax.Array  # [B] over u whose elements sum to 0, as those of p - y' do


def linearise(cloud: Cloud, activation: jax.Array) -> Linearised:
  """The cloud's logits at `activation` [B, ...], and products with its Jacobian.

  J z is taken as the transpose of the vjp. The convolutions that models train with
  have gradients written by hand, and jvp does not pass through those.

  Raises:
    InputError: The cloud does not return logits [B, K].
  """
  logits, pull = jax.vjp(cloud, activation)
  if logits.ndim != 2 or len(logits) != len(activation):
    raise InputError(
      f'the cloud must map [B, ...] to logits [B, K], got {activation.shape} to '
      f'{logits.shape}'
    )
  push = jax.linear_transpose(lambda u: pull(u)[0], logits)
  return Linearised(logits, lambda z: push(z)[0], lambda u: pull(u)[0])


def jacobian(cloud: Cloud, activation: jax.Array) -> jax.Array:
  """Every J_i by K vjps: activation [B, ...] of d elements -> [B, K, d]."""
  logits, _, pull = linearise(cloud, activation)
  B, K = logits.shape
  units = jnp.broadcast_to(jnp.eye(K, dtype=logits.dtype)[:, None], (K, B, K))
  return jax.vmap(pull, out_axes=1)(units).reshape(B, K, -1)


def sigma_min(cloud: Cloud, activation: jax.Array) -> SigmaMin:
  """Smallest singular values by K vjps.

  They come from a QR decomposition, because JJ' in float32 would lose values below 3e-4
  of the largest one. B K d numbers are held.

  Args:
    cloud: Maps activations [B, ...] to logits [B, K].
    activation: [B, ...] float32.

  Returns:
    The values [B], up to rounding of float32 relative to the largest singular value.

  Source: App. D of the paper asks for the full one. p - y' never leaves the sum-zero
  subspace, where the bound is sharper.
  """
  J = jacobian(cloud, activation)
  _, K, d = J.shape
  R = jnp.linalg.qr(jnp.swapaxes(J, 1, 2), mode='r')  # |J'u| = |R u|
  sum_zero = jnp.asarray(scipy.linalg.helmert(K).T, R.dtype)  # [K, K - 1]

  def smallest(matrices):  # [B, rows, dimension of the subspace]
    if d < matrices.shape[2]:
      return jnp.zeros(len(matrices))
    return jnp.linalg.svd(matrices, compute_uv=False)[:, -1]

  return SigmaMin(smallest(R), smallest(R @ sum_zero))


def sigma_min_iterative(
  cloud: Cloud, activation: jax.Array, *, steps: int, key: jax.Array
) -> SigmaMin:
  """Upper bounds of the smallest singular values by `steps` products with J and J'.

  Golub-Kahan bidiagonalisation takes one vjp and one jvp a step. It holds 2 steps K
  numbers an example in place of K d. What is returned is |J'u| of the best unit vector
  found, so it is never below the smallest singular value, except for rounding. At K - 1
  steps the sum-zero one is exact. How far above it a shorter run ends depends on the
  spectrum. 100 steps on 530 values, spread evenly in the logarithm, ended 0.2% above
  for a factor of 10 between the largest and the smallest, and 31% for a factor of 100.

  Args:
    cloud: Maps activations [B, ...] to logits [B, K].
    activation: [B, ...] float32.
    steps: Number of products, from 1 to K - 1.
    key: Key of the starting vector.

  Returns:
    Upper bounds [B].

  Raises:
    InputError: `steps` is out of range.

  Source: Golub and Kahan 1965. Only the vectors in R^K are kept orthogonal (Simon and
  Zha, Low-rank matrix approximation using the Lanczos bidiagonalization process, 2000).
  """
  linear = linearise(cloud, activation)
  B, K = linear.logits.shape
  if not 1 <= steps < K:
    raise InputError(f'steps={steps} is not allowed with {K} classes; 1 to {K - 1}')
  starts = jnp.broadcast_to(jax.random.normal(key, (steps, 1, K)), (steps, B, K))

  def smallest(excluded):  # [K], what every vector is kept orthogonal to
    basis, bidiagonal = _bidiagonalise(linear, starts, excluded)
    best = jnp.linalg.svd(bidiagonal)[0][:, :, -1]
    u = jnp.einsum('sbk,bs->bk', basis, best)
    pulled = linear.pull(u).reshape(B, -1)
    return jnp.linalg.norm(pulled, axis=1) / jnp.linalg.norm(u, axis=1)

  nothing_or_ones = jnp.stack([jnp.zeros(K), jnp.full(K, K**-0.5)])
  return SigmaMin(*jax.vmap(smallest)(nothing_or_ones))


def _bidiagonalise(
  linear: Linearised, starts: jax.Array, excluded: jax.Array
) -> tuple[jax.Array, jax.Array]:
  """Orthonormal rows U [steps, B, K] and the lower bidiagonal U J V' [B, steps, steps].

  Where a step leads nowhere new, the next vector of `starts` [steps, B, K] takes over.
  """
  steps, B, _ = starts.shape

  def clean(u, basis):
    return u - jnp.einsum('sbk,sbl,bl->bk', basis, basis, u)

  def continue_with(u, fallback, basis, largest):
    """A unit vector orthogonal to the basis, and the length of that part of u."""
    u = clean(u, basis)
    length = _unless_rounding(jnp.linalg.norm(u, axis=1), largest)
    u = jnp.where(length[:, None] > 0, u, fallback)
    u = clean(u / jnp.linalg.norm(u, axis=1, keepdims=True), basis)
    u = clean(u, basis)  # a second time, because the first leaves rounding behind
    return u / jnp.linalg.norm(u, axis=1, keepdims=True), length

  def step(carry, index):
    basis, u, v, beta, largest = carry
    basis = basis.at[index + 1].set(u)
    w = linear.pull(u) - _scale(v, beta)
    alpha = jnp.linalg.norm(w.reshape(B, -1), axis=1)
    largest = jnp.maximum(largest, alpha)
    alpha = _unless_rounding(alpha, largest)
    v = _scale(w, jnp.where(alpha > 0, 1 / jnp.where(alpha > 0, alpha, 1.0), 0.0))
    w = linear.push(v) - _scale(u, alpha)
    u, beta = continue_with(w, starts[index + 1], basis, largest)
    return (basis, u, v, beta, jnp.maximum(largest, beta)), (alpha, beta)

  basis = jnp.zeros((steps + 1, *starts.shape[1:])).at[0].set(excluded[None])
  zero = jnp.zeros(B)
  u, _ = continue_with(starts[0], starts[0], basis, zero)
  carry = (basis, u, jnp.zeros_like(linear.pull(u)), zero, zero)
  (basis, *_), (alphas, betas) = lax.scan(step, carry, jnp.arange(steps))
  diagonal = jax.vmap(jnp.diag, 1)(alphas)
  below = jax.vmap(lambda b: jnp.diag(b, -1), 1)(betas[:-1])
  return basis[1:], diagonal + below


def _unless_rounding(length: jax.Array, largest: jax.Array) -> jax.Array:
  """The length, or 0 where it is rounding of float32 next to the largest one met."""
  return jnp.where(length > 1e-6 * largest, length, 0.0)


def _scale(x: jax.Array, factor: jax.Array) -> jax.Array:
  """Multiplies each example of x [B, ...] by its factor [B]."""
  return x * factor.reshape(-1, *(1,) * (x.ndim - 1))
