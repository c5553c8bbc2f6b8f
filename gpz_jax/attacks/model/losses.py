"""What tells a search how far the target is from seeing a class: one loss an image.

Source: docs/paper.md#plug-and-play-attacks.
"""

from collections.abc import Callable

import chex
import jax
import jax.numpy as jnp
import optax

# (logits [B, K], labels [B]) -> [B]
Loss = Callable[[jax.Array, jax.Array], jax.Array]
ON_CLASS = 1e-4  # how far inside the ball the point of a class lies
LEAST_GAP = 1e-6  # from a point to the rim of the ball, where distances are infinite


def poincare(logits: jax.Array, labels: jax.Array) -> jax.Array:
  """The hyperbolic distance from the scaled logits to the point of a class.

  Logits are divided by their L1 norm. The point of a class is 0.9999 on its own axis.
  Unlike that of the cross-entropy, the gradient does not fade where the target is sure.
  Exactly one-hot logits lie on the rim, where the distance is infinite; it is clamped
  there, so that it and its gradient are finite everywhere.

  Args:
    logits: [B, K].
    labels: [B], the classes that are searched for.

  Returns:
    [B], at least 0.

  Source: Struppek et al. 2022, equation 3 (docs/paper.md#plug-and-play-attacks).
  """
  _check(logits, labels)
  norm = jnp.sum(jnp.abs(logits), axis=-1, keepdims=True)
  u = logits / jnp.maximum(norm, 1e-12)
  v = (1 - ON_CLASS) * jax.nn.one_hot(labels, logits.shape[-1])
  apart = jnp.sum(jnp.square(u - v), axis=-1)
  gap_u = jnp.maximum(1 - jnp.sum(jnp.square(u), axis=-1), LEAST_GAP)
  gap_v = 1 - (1 - ON_CLASS) ** 2  # of every v
  # arccosh has an infinite slope at 1.
  return jnp.arccosh(jnp.maximum(1 + 2 * apart / (gap_u * gap_v), 1 + LEAST_GAP))


def cross_entropy(logits: jax.Array, labels: jax.Array) -> jax.Array:
  """The cross-entropy [B] in nats of logits [B, K]."""
  _check(logits, labels)
  return optax.losses.softmax_cross_entropy_with_integer_labels(logits, labels)


def identity(logits: jax.Array, labels: jax.Array) -> jax.Array:
  """Minus the logit [B] of the class, of logits [B, K]; the loss of LOMMA."""
  _check(logits, labels)
  return -jnp.take_along_axis(logits, labels[:, None], axis=-1)[:, 0]


def margin(logits: jax.Array, labels: jax.Array) -> jax.Array:
  """The largest other logit minus that of the class [B]; the loss of PLG-MI."""
  _check(logits, labels)
  is_class = jax.nn.one_hot(labels, logits.shape[-1], dtype=bool)
  others = jnp.max(jnp.where(is_class, -jnp.inf, logits), axis=-1)
  return others + identity(logits, labels)


LOSSES: dict[str, Loss] = {
  'poincare': poincare,
  'cross_entropy': cross_entropy,
  'identity': identity,
  'margin': margin,
}


def confidence(logits: jax.Array, labels: jax.Array) -> jax.Array:
  """The probability [B] that the target gives to the class."""
  _check(logits, labels)
  found = jax.nn.softmax(logits, axis=-1)
  return jnp.take_along_axis(found, labels[:, None], axis=-1)[:, 0]


def _check(logits: jax.Array, labels: jax.Array) -> None:
  chex.assert_rank(logits, 2, custom_message='logits [B, K]')
  chex.assert_shape(labels, logits.shape[:1], custom_message='labels [B]')
