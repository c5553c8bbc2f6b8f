"""ResNet-18 to ResNet-152 (He et al., 2016), by default in the form for small images.

That form has a 3x3 stem at stride 1 and no max-pool; the rest is torchvision's, whose
names map onto it (the stride of a bottleneck sits in its 3x3 convolution). A pool has
no weights, so that nets with and without one take each other's: `stem` says which
function the weights belong to.
"""

import functools
from typing import Literal

import flax.linen as nn
import jax

from gpz_jax.models import layers, skips
from gpz_jax.models.skips import Factor, Skips
from gpz_jax.types import check_known

# Blocks per stage and the kernels of a block's convolutions.
STAGES = {
  18: (2, 2, 2, 2),
  34: (3, 4, 6, 3),
  50: (3, 4, 6, 3),
  101: (3, 4, 23, 3),
  152: (3, 8, 36, 3),
}
KERNELS = {18: (3, 3), 34: (3, 3), **dict.fromkeys((50, 101, 152), (1, 3, 1))}
WIDTHS = (64, 128, 256, 512)

Conv = functools.partial(layers.Conv, use_bias=False, kernel_init=layers.HE)


class ResNet(nn.Module):
  """Splits: stem, layer1_0, layer1_1, ... layer4_1 or layer4_2 (by depth).

  Stems: `small` is a 3x3 convolution; `small_pool` is the same and torchvision's
  max-pool; `imagenet` is torchvision's 7x7 convolution at stride 2 and its max-pool.

  `released_stage3` leaves the last fifth of stage 3 without skip connections, whatever
  its factor, as the code released with the paper on skip connections does
  (docs/paper.md#skip-connections).
  """

  num_classes: int
  depth: Literal[18, 34, 50, 101, 152] = 18
  width: float = 1.0
  stem: Literal['small', 'small_pool', 'imagenet'] = 'small'
  normalization: str = 'cifar10'
  skips: Skips | None = None
  released_stage3: bool = False

  @property
  def num_stages(self) -> int:
    """The stages whose skip connections have a factor."""
    return len(STAGES[self.depth])

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
    """Logits [B, K] of images [B, H, W, C] in [0, 1]."""
    widths = [int(features * self.width) for features in WIDTHS]
    factors = skips.read(self)
    x = layers.standardize(x, self.normalization)
    x = Stem(widths[0], self.stem, name='stem')(x, train=train)
    for stage, blocks in enumerate(STAGES[self.depth], 1):
      for i in range(blocks):
        stride = 2 if i == 0 and stage > 1 else 1
        block = Block(
          widths[stage - 1], KERNELS[self.depth], stride, name=f'layer{stage}_{i}'
        )
        keeps = not self.released_stage3 or stage != 3 or i < blocks * 4 // 5
        x = block(x, *(factors[stage - 1] if keeps else (0.0,)), train=train)
    x = x.mean(axis=(1, 2))
    return layers.Dense(self.num_classes, name='logits')(x)


class Stem(nn.Module):
  """Convolution, batch norm, ReLU, and a max-pool where the kind has one."""

  features: int
  kind: Literal['small', 'small_pool', 'imagenet'] = 'small'
  kernel_init: nn.initializers.Initializer = layers.HE

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
    """[B, H, W, C] -> [B, H, W, features]; sides halve in each of stride and pool.

    Raises:
      InputError: The kind is not known.
    """
    check_known('stem', self.kind, ('small', 'small_pool', 'imagenet'))
    kernel, stride = (7, 2) if self.kind == 'imagenet' else (3, 1)
    conv = Conv(
      self.features,
      (kernel, kernel),
      strides=stride,
      padding=kernel // 2,
      kernel_init=self.kernel_init,
      name='conv',
    )
    norm = layers.BatchNorm(use_running_average=not train, name='norm')
    x = nn.relu(norm(conv(x)))
    return x if self.kind == 'small' else layers.overlapping_max_pool(x)


class Block(nn.Module):
  """Residual block; its first 3x3 convolution carries the stride.

  kernels (3, 3) is the basic block; (1, 3, 1) is the bottleneck, which ends in four
  times as many channels.
  """

  features: int
  kernels: tuple[int, ...]
  stride: int = 1

  @nn.compact
  def __call__(
    self, x: jax.Array, skip: Factor = 1.0, *, train: bool = False
  ) -> jax.Array:
    """[B, h, w, c] -> [B, ceil(h / stride), ceil(w / stride), features or 4x that].

    The skip connection counts `skip` times.
    """
    norm = functools.partial(layers.BatchNorm, use_running_average=not train)
    strided, last = self.kernels.index(3), len(self.kernels) - 1
    channels = 4 * self.features if self.kernels[-1] == 1 else self.features

    def conv_norm(x, i, kernel):
      features = channels if i == last else self.features
      stride = self.stride if i == strided else 1
      x = Conv(
        features,
        (kernel, kernel),
        strides=stride,
        padding=kernel // 2,
        name=f'conv_{i + 1}',
      )(x)
      return norm(name=f'norm_{i + 1}')(x)

    y = x
    for i, kernel in enumerate(self.kernels):
      y = conv_norm(nn.relu(y) if i else y, i, kernel)

    def shortcut():
      if x.shape == y.shape:
        return x
      conv = Conv(
        channels, (1, 1), strides=self.stride, padding=0, name='shortcut_conv'
      )
      return norm(name='shortcut_norm')(conv(x))

    return nn.relu(skips.add(y, shortcut, skip))
