"""VGG of 11, 13, 16 and 19 layers (docs/paper.md#target-architectures).

The names `vgg11` .. `vgg19` mean torchvision's `vgg11_bn` .. `vgg19_bn`, because the
paper has those; `norm='none'` gives the nets that torchvision calls `vgg11` .. `vgg19`.

Split `feat_k` is the output of torchvision's first k `features` modules, where k falls
on a ReLU; pools lie between the blocks. The two heads differ in what feeds the first
fully connected layer: `compact` is the released code's (the flattened map), while
`torchvision` replicates it to 7x7 first.
"""

from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp

from gpz_jax.models import layers

# Convolutions per stage; each stage ends in a pool.
STAGES = {11: (1, 1, 2, 2, 2), 13: (2,) * 5, 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
WIDTHS = (64, 128, 256, 512, 512)


class VGG(nn.Module):
  """VGG. Splits: feat_3, feat_6 or feat_7, ... (by depth), fc_1, fc_2.

  Without batch norm they are feat_2, feat_4 or feat_5, ..., fc_1, fc_2.
  """

  num_classes: int
  depth: Literal[11, 13, 16, 19] = 19
  width: float = 1.0
  head: Literal['compact', 'torchvision'] = 'compact'
  normalization: str = 'cifar10'
  norm: Literal['batch', 'none'] = 'batch'

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
    """Logits [B, K] of images [B, H, W, C] in [0, 1]; H and W at least 32."""
    x = layers.standardize(x, self.normalization)
    index = 0
    for blocks, features in zip(STAGES[self.depth], WIDTHS, strict=True):
      for _ in range(blocks):
        index += block_length(self.norm)
        block = layers.ConvBlock(
          int(features * self.width),
          batch_norm=self.norm == 'batch',
          name=f'feat_{index}',
        )
        x = block(x, train=train)
      x = layers.max_pool(x)
      index += 1
    if self.head == 'torchvision':
      x = adaptive_average_pool(x, 7)
    dropouts = (0.3, 0.2) if self.head == 'compact' else (0.5, 0.5)
    for i, dropout in enumerate(dropouts, 1):
      hidden = layers.DenseBlock(int(4096 * self.width), dropout, name=f'fc_{i}')
      x = hidden(x, train=train)
    return layers.Dense(self.num_classes, name='logits')(x)


def block_length(norm: str) -> int:
  """Number of torchvision's `features` modules that a convolution comes with."""
  return 3 if norm == 'batch' else 2  # convolution, batch norm, ReLU


def adaptive_average_pool(x: jax.Array, size: int) -> jax.Array:
  """torch's AdaptiveAvgPool2d: [B, h, w, c] -> [B, size, size, c]; may enlarge."""

  def weights(length):
    i = jnp.arange(size)[:, None]
    cell = jnp.arange(length)[None]
    inside = (cell >= i * length // size) & (cell < -(-(i + 1) * length // size))
    return inside / inside.sum(axis=1, keepdims=True)

  rows, columns = weights(x.shape[1]), weights(x.shape[2])
  return jnp.einsum('bhwc,ih,jw->bijc', x, rows, columns)
