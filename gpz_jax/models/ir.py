"""IR-50, IR-100, IR-152: face.evoLVe's backbone, with a 64-pixel stem.

Source: docs/paper.md#target-architectures.

Splits carry the paper's numbers: input_layer is 1, the residual units are unit_2,
unit_3, ... In IR-152 unit_49 is the first at 4x4.
"""

import functools
from typing import Literal

import flax.linen as nn
import jax

from gpz_jax.models import layers, skips
from gpz_jax.models.skips import Factor, Skips

# Residual units per stage; the first of each stage halves height and width.
STAGES = {50: (3, 4, 14, 3), 100: (3, 13, 30, 3), 152: (3, 8, 36, 3)}
WIDTHS = (64, 128, 256, 512)

Conv = functools.partial(
  layers.Conv, use_bias=False, kernel_init=nn.initializers.xavier_uniform()
)


class IR(nn.Module):
  """Splits: input_layer, unit_2, unit_3, ... (by depth), embedding."""

  num_classes: int
  depth: Literal[50, 100, 152] = 152
  width: float = 1.0
  normalization: str = 'cifar10'
  skips: Skips | None = None

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
    x = InputLayer(widths[0], name='input_layer')(x, train=train)
    index = 1
    for units, features, factor in zip(
      STAGES[self.depth], widths, factors, strict=True
    ):
      for i in range(units):
        index += 1
        unit = Unit(features, stride=1 if i else 2, name=f'unit_{index}')
        x = unit(x, *factor, train=train)
    x = Embedding(widths[-1], name='embedding')(x, train=train)
    return layers.Dense(self.num_classes, name='logits')(x)


class InputLayer(nn.Module):
  """3x3 convolution, batch norm, PReLU with one slope per channel."""

  features: int

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
    """[B, H, W, C] -> [B, H, W, features]."""
    x = Conv(self.features, (3, 3), name='conv')(x)
    x = layers.BatchNorm(use_running_average=not train, name='norm')(x)
    return layers.PReLU(per_channel=True, name='prelu')(x)


class Unit(nn.Module):
  """Pre-activation residual unit: BN, conv, PReLU, conv, BN, and nothing after the sum.

  Where the channels stay, the shortcut is the input, subsampled; else a 1x1 convolution
  and batch norm.
  """

  features: int
  stride: int = 1

  @nn.compact
  def __call__(
    self, x: jax.Array, skip: Factor = 1.0, *, train: bool = False
  ) -> jax.Array:
    """[B, h, w, c] -> [B, ceil(h / stride), ceil(w / stride), features].

    The skip connection counts `skip` times.
    """
    norm = functools.partial(layers.BatchNorm, use_running_average=not train)
    y = norm(name='norm_1')(x)
    y = Conv(self.features, (3, 3), name='conv_1')(y)
    y = layers.PReLU(per_channel=True, name='prelu')(y)
    y = Conv(self.features, (3, 3), strides=self.stride, name='conv_2')(y)
    y = norm(name='norm_2')(y)

    def shortcut():
      if x.shape[-1] == self.features:
        return x[:, :: self.stride, :: self.stride]
      conv = Conv(
        self.features, (1, 1), strides=self.stride, padding=0, name='shortcut_conv'
      )
      return norm(name='shortcut_norm')(conv(x))

    return skips.add(y, shortcut, skip)


class Embedding(nn.Module):
  """Batch norm, dropout, fully connected layer on the flattened map, batch norm."""

  features: int

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
    """[B, h, w, c] -> [B, features]."""
    norm = functools.partial(layers.BatchNorm, use_running_average=not train)
    x = nn.Dropout(0.5, deterministic=not train)(norm(name='norm_1')(x))
    dense = layers.Dense(self.features, name='dense')
    return norm(name='norm_2')(dense(x.reshape(len(x), -1)))
