"""Attention among the pixels of a window or of a grid, as in MaxViT.

Source: docs/paper.md#transformers-and-efficientnet.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from gpz_jax.types import InputError

HEAD_DIM = 32
NORMAL = nn.initializers.normal(0.02)


def partition(x: jax.Array, window: int, is_grid: bool) -> jax.Array:
  """Maps as groups of pixels: [B, h, w, C] -> [B groups, window**2, C].

  Args:
    x: The maps, whose sides are multiples of the window.
    window: Side of a window, or of the grid.
    is_grid: Whether groups are those of a grid, see `PartitionAttention`.
  """
  batch, height, width, channels = x.shape
  rows, columns = height // window, width // window
  if is_grid:
    x = x.reshape(batch, window, rows, window, columns, channels)
    x = x.transpose(0, 2, 4, 1, 3, 5)
  else:
    x = x.reshape(batch, rows, window, columns, window, channels)
    x = x.transpose(0, 1, 3, 2, 4, 5)
  return x.reshape(-1, window**2, channels)


def join(x: jax.Array, window: int, is_grid: bool, shape: tuple[int, ...]) -> jax.Array:
  """The maps [B, h, w, C] of a shape from which `partition` made groups."""
  batch, height, width, channels = shape
  rows, columns = height // window, width // window
  x = x.reshape(batch, rows, columns, window, window, channels)
  order = (0, 3, 1, 4, 2, 5) if is_grid else (0, 1, 3, 2, 4, 5)
  return x.transpose(order).reshape(shape)


class Attention(nn.Module):
  """Self-attention with a learned bias for each offset between two pixels.

  torchvision scales by the number of features and not of those of a head.
  """

  window: int

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """[groups, window**2, C], same shape out.

    Raises:
      InputError: The heads do not share the channels equally.
    """
    features = x.shape[-1]
    heads = max(1, features // HEAD_DIM)
    if features % heads:
      raise InputError(
        f'{features} channels cannot be shared by {heads} heads; choose another width'
      )
    qkv = nn.DenseGeneral(
      (3, heads, features // heads), kernel_init=NORMAL, name='qkv'
    )(x)
    query, key, value = (qkv[:, :, i] for i in range(3))
    shape = ((2 * self.window - 1) ** 2, heads)
    bias = offset_bias(self.param('offsets', NORMAL, shape), self.window)
    scores = jnp.einsum('gqhd,gkhd->ghqk', query, key * features**-0.5)
    x = jnp.einsum('ghqk,gkhd->gqhd', nn.softmax(scores + bias[None]), value)
    out = nn.DenseGeneral(features, axis=(-2, -1), kernel_init=NORMAL, name='out')
    return out(x)


def offset_bias(table: jax.Array, window: int) -> jax.Array:
  """The bias of each pair of pixels in a window, from that of each offset.

  It takes slices, because the gradient of a gather (a scatter) is slow inside compiled
  loops on CPU and non-deterministic on GPU.

  Args:
    table: [(2 window - 1)**2, heads], by the offset's rows and columns.
    window: Side of the window, in pixels.

  Returns:
    [heads, window**2, window**2]: by head, query and key.
  """
  side = 2 * window - 1
  table = table.reshape(side, side, -1)
  starts = range(window - 1, -1, -1)  # of the offsets to a row or column of keys
  rows = jnp.stack([table[i : i + window] for i in starts], axis=1)
  cells = jnp.stack([rows[:, :, i : i + window] for i in starts], axis=3)
  return cells.transpose(4, 0, 2, 1, 3).reshape(-1, window**2, window**2)
