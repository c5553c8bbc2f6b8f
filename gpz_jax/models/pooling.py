"""Pools over overlapping windows, by slices, and over whole maps.

`layers.max_pool` says why none of them is a windowed reduction.
"""

import functools
from collections.abc import Callable

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp


class Features(nn.Module):
  """The mean of each channel, with dropout: what a last layer reads.

  It is a module so that it can be captured.
  """

  dropout: float = 0.0

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
    """[B, h, w, C] -> [B, C]."""
    return nn.Dropout(self.dropout, deterministic=not train)(x.mean(axis=(1, 2)))


def average_pool(
  x: jax.Array, size: int = 3, stride: int = 1, padding: int = 0
) -> jax.Array:
  """The average of each window; the zeros of the padding count, as in torch.

  Args:
    x: [B, h, w, C].
    size: Side of the window, in pixels.
    stride: Step between windows.
    padding: Number of zeros at each side.

  Returns:
    [B, h', w', C].
  """
  return _pool(x, size, stride, padding, jnp.add, 0) / size**2


def max_pool(
  x: jax.Array, size: int = 3, stride: int = 2, padding: int = 0
) -> jax.Array:
  """The maximum of each window; its arguments are those of `average_pool`."""
  return _pool(x, size, stride, padding, jnp.maximum, -jnp.inf)


def _pool(
  x: jax.Array,
  size: int,
  stride: int,
  padding: int,
  combine: Callable[[jax.Array, jax.Array], jax.Array],
  fill: float,
) -> jax.Array:
  chex.assert_rank(x, 4, custom_message='x must be [B, h, w, C]')
  for axis in (1, 2):
    widths = [(padding, padding) if i == axis else (0, 0) for i in range(4)]
    padded = jnp.pad(x, widths, constant_values=fill)
    last = (padded.shape[axis] - size) // stride * stride  # start of the last window
    shifted = [
      jax.lax.slice_in_dim(padded, i, i + last + 1, stride, axis) for i in range(size)
    ]
    x = functools.reduce(combine, shifted)
  return x
