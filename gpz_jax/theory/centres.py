"""Class centres of activations on the device: sums, means, and their distances.

Padded examples are masked: they have no part in any sum.
"""

import chex
import jax
import jax.numpy as jnp


def class_sums(
  values: jax.Array, label: jax.Array, mask: jax.Array, num_classes: int
) -> jax.Array:
  """Sums of values over the real examples of each class.

  Args:
    values: [B, ...].
    label: [B] int32, the class of each example.
    mask: [B], 1 for a real example.
    num_classes: K.

  Returns:
    [K, ...].
  """
  chex.assert_shape(label, values.shape[:1], custom_message='label [B]')
  chex.assert_shape(mask, values.shape[:1], custom_message='mask [B]')
  member = jax.nn.one_hot(label, num_classes, dtype=values.dtype) * mask[:, None]
  return jnp.einsum('bk,b...->k...', member, values, precision='highest')


def class_means(sums: jax.Array, labels: jax.Array, masks: jax.Array) -> jax.Array:
  """Divides sums [K, ...] by the number of real examples in each class.

  Args:
    sums: [K, ...], as of `class_sums`.
    labels: The class of each example, int32 of any shape.
    masks: 1 for a real example, of the same shape.

  Returns:
    [K, ...], 0 for a class without an example.
  """
  counts = _counts(len(sums), labels, masks)
  return sums / jnp.maximum(counts, 1.0).reshape(-1, *(1,) * (sums.ndim - 1))


def between_classes(
  centres: jax.Array, labels: jax.Array, masks: jax.Array
) -> jax.Array:
  """|mu_c - mu|^2 of centres [K, ...], summed over the real examples.

  Args:
    centres: [K, ...].
    labels: The class of each example, int32 of any shape.
    masks: 1 for a real example, of the same shape.

  Returns:
    [] float32.
  """
  counts = _counts(len(centres), labels, masks)
  mean = jnp.einsum('k,k...->...', counts / counts.sum(), centres, precision='highest')
  return counts @ squares(centres - mean[None])


def squares(x: jax.Array) -> jax.Array:
  """Squared length of each example: [B, ...] -> [B]."""
  return dot(x, x)


def dot(x: jax.Array, y: jax.Array) -> jax.Array:
  """Inner product of each example of x and y: [B, ...], [B, ...] -> [B]."""
  chex.assert_shape(y, x.shape, custom_message='y, of the shape of x')
  return jnp.sum((x * y).reshape(len(x), -1), axis=1)


def _counts(num_classes: int, labels: jax.Array, masks: jax.Array) -> jax.Array:
  """Real examples of each class: [K]."""
  chex.assert_shape(masks, labels.shape, custom_message='masks, of the shape of labels')
  return jnp.zeros(num_classes).at[labels.ravel()].add(masks.ravel())
