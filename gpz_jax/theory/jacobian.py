"""The cloud's Jacobian: products with it, and its smallest singular value.

J_i [K, d] is the derivative of example i's logits by its activation. The cloud is in
evaluation mode, so examples do not see each other and one product serves a batch.
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

  J z is taken as the transpose of the vjp: the gradients of the convolutions trained
  with are written by hand, and jvp does not pass through those.
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

  By QR, because JJ' in float32 would lose what is below 3e-4 of the largest one. Holds
  B K d numbers.

  Args:
    cloud: [B, ...] -> logits [B, K].
    activation: [B, ...] float32.

  Returns:
    SigmaMin, to rounding of float32 relative to the largest singular value.

  Source: App. D of the paper asks for the full one; p - y' never leaves the sum-zero
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

  Golub-Kahan bidiagonalisation: as many vjps and jvps as steps, and 2 steps K numbers
  an example in place of K d. What is returned is |J'u| of the best unit vector found,
  so it is never below the smallest singular value (but for rounding); at K - 1 steps
  the sum-zero one is exact. Nothing says how far above it a shorter run ends.

  Args:
    cloud: [B, ...] -> logits [B, K].
    activation: [B, ...] float32.
    steps: from 1 to K - 1.
    key: of the starting vector.

  Raises:
    InputError: `steps` is out of range.

  Source: Golub and Kahan 1965; only the vectors in R^K are kept orthogonal (Simon and
  Zha, Low-rank matrix approximation using the Lanczos bidiagonalization process, 2000).
  """
  linear = linearise(cloud, activation)
  B, K = linear.logits.shape
  if not 1 <= steps < K:
    raise InputError(f'steps={steps} is not allowed with {K} classes; 1 to {K - 1}')
  starts = jnp.broadcast_to(jax.random.normal(key, (steps, 1, K)), (steps, B, K))

  def smallest(share):  # of the mean to take out: 1 stays in the sum-zero subspace
    basis, bidiagonal = _bidiagonalise(linear, starts, share)
    best = jnp.linalg.svd(bidiagonal)[0][:, :, -1]
    u = jnp.einsum('sbk,bs->bk', basis, best)
    pulled = linear.pull(u).reshape(B, -1)
    return jnp.linalg.norm(pulled, axis=1) / jnp.linalg.norm(u, axis=1)

  return SigmaMin(*jax.vmap(smallest)(jnp.array([0.0, 1.0])))


def _bidiagonalise(
  linear: Linearised, starts: jax.Array, share: jax.Array
) -> tuple[jax.Array, jax.Array]:
  """Orthonormal rows U [steps, B, K] and the lower bidiagonal U J V' [B, steps, steps].

  Where a step leads nowhere new the next of `starts` [steps, B, K] takes over.
  """
  steps, B, _ = starts.shape

  def normalise(u, basis):
    for _ in range(2):  # once leaves rounding behind
      u = u - share * jnp.mean(u, axis=1, keepdims=True)
      u = u - jnp.einsum('sbk,sbl,bl->bk', basis, basis, u)
    length = jnp.linalg.norm(u, axis=1)
    return u / jnp.maximum(length, 1e-30)[:, None], length

  def step(carry, index):
    basis, u, v, beta = carry
    basis = basis.at[index].set(u)
    w = linear.pull(u) - _scale(v, beta)
    alpha = jnp.linalg.norm(w.reshape(B, -1), axis=1)
    v = _scale(w, 1 / jnp.maximum(alpha, 1e-30))
    following, beta = normalise(linear.push(v) - _scale(u, alpha), basis)
    stuck = beta <= 1e-6 * alpha
    fresh, _ = normalise(starts[(index + 1) % steps], basis)
    following = jnp.where(stuck[:, None], fresh, following)
    beta = jnp.where(stuck, 0.0, beta)
    return (basis, following, v, beta), (alpha, beta)

  nothing = jnp.zeros_like(starts)
  first, _ = normalise(starts[0], nothing)
  v = jnp.zeros_like(linear.pull(first))
  carry = (nothing, first, v, jnp.zeros(B))
  (basis, *_), (alphas, betas) = lax.scan(step, carry, jnp.arange(steps))
  diagonal = jax.vmap(jnp.diag, 1)(alphas)
  below = jax.vmap(lambda b: jnp.diag(b, -1), 1)(betas[:-1])
  return basis, diagonal + below


def _scale(x: jax.Array, factor: jax.Array) -> jax.Array:
  """Multiplies each example of x [B, ...] by its factor [B]."""
  return x * factor.reshape(-1, *(1,) * (x.ndim - 1))
