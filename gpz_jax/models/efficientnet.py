"""EfficientNet-B0 (Tan and Le, 2019) with torchvision's layout and initial values.

Source: docs/paper.md#transformers-and-efficientnet.

Splits carry torchvision's numbers: block3_1 is `features.3.1` there.
"""

import functools
import math
from typing import Literal, NamedTuple

import flax.linen as nn
import jax

from gpz_jax.models import depthwise, layers, mobile, pooling, skips
from gpz_jax.models.skips import Factor, Skips
from gpz_jax.types import check_known


class Setting(NamedTuple):
  """A run of blocks that are alike, but for the stride of the first."""

  expand: int  # how many times wider a block is inside
  kernel: int
  stride: int
  features: int
  blocks: int


SETTINGS = (
  Setting(1, 3, 1, 16, 1),
  Setting(6, 3, 2, 24, 2),
  Setting(6, 5, 2, 40, 2),
  Setting(6, 3, 2, 80, 3),
  Setting(6, 5, 1, 112, 3),
  Setting(6, 5, 2, 192, 4),
  Setting(6, 3, 1, 320, 1),
)
STEM = 32  # channels of the stem

Conv = functools.partial(layers.Conv, padding=0, use_bias=False, kernel_init=layers.HE)


class EfficientNet(nn.Module):
  """Splits: stem, block1_0, block2_0, block2_1, ... block7_0, head, features.

  A stage holds the blocks between one stride and the next. The seventh setting has no
  skip connection, and so it forms the last stage together with the sixth.

  Stems: `imagenet` is torchvision's 3x3 convolution at stride 2; `small` has stride 1.
  """

  num_classes: int
  width: float = 1.0
  stem: Literal['imagenet', 'small'] = 'imagenet'
  dropout: float = 0.2
  stochastic_depth: float = 0.2
  normalization: str = 'cifar10'
  skips: Skips | None = None

  @property
  def num_stages(self) -> int:
    """The stages whose skips have a factor; one for each stride of an output."""
    return 1 + sum(setting.stride > 1 for setting in SETTINGS)

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
    """Logits [B, K] of images [B, H, W, C] in [0, 1].

    Raises:
      InputError: The stem is not known.
    """
    check_known('stem', self.stem, ('imagenet', 'small'))
    factors = skips.read(self)
    x = layers.standardize(x, self.normalization)
    stem = ConvNorm(
      scale(STEM, self.width), 3, 1 if self.stem == 'small' else 2, name='stem'
    )
    x = stem(x, train=train)
    stage, index = 0, 0
    total = sum(setting.blocks for setting in SETTINGS)
    for number, setting in enumerate(SETTINGS, 1):
      stage += setting.stride > 1
      for i in range(setting.blocks):
        block = MBConv(
          scale(setting.features, self.width),
          setting._replace(stride=1 if i else setting.stride),
          self.stochastic_depth * index / total,
          name=f'block{number}_{i}',
        )
        x = block(x, *factors[stage], train=train)
        index += 1
    x = ConvNorm(4 * x.shape[-1], 1, name='head')(x, train=train)
    x = pooling.Features(self.dropout, name='features')(x, train=train)
    # torchvision counts the outputs here: uniform up to 1 / sqrt(K)
    init = nn.initializers.variance_scaling(1 / 3, 'fan_out', 'uniform')
    return nn.Dense(self.num_classes, kernel_init=init, name='logits')(x)


def scale(features: int, width: float) -> int:
  """Channels times the width, to the next multiple of 8 that is no tenth smaller.

  Source: the rule by which Tan and Le (2019) widen their nets.
  """
  wanted = features * width
  rounded = max(8, int(wanted + 4) // 8 * 8)
  return rounded + 8 if rounded < 0.9 * wanted else rounded


class ConvNorm(nn.Module):
  """Convolution, batch norm, swish."""

  features: int
  kernel: int
  stride: int = 1

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
    """[B, h, w, c] -> [B, ceil(h / stride), ceil(w / stride), features]."""
    conv = Conv(
      self.features,
      (self.kernel, self.kernel),
      strides=self.stride,
      padding=self.kernel // 2,
      name='conv',
    )
    norm = layers.BatchNorm(use_running_average=not train, name='norm')
    return nn.silu(norm(conv(x)))


class MBConv(nn.Module):
  """Mobile block: widen, a depthwise convolution, squeeze-and-excite, narrow.

  It has a skip connection where neither the sides nor the channels change.
  """

  features: int
  setting: Setting
  stochastic_depth: float = 0.0

  @nn.compact
  def __call__(
    self, x: jax.Array, skip: Factor = 1.0, *, train: bool = False
  ) -> jax.Array:
    """[B, h, w, c] -> [B, ceil(h / stride), ceil(w / stride), features].

    The skip connection counts `skip` times.
    """
    norm = functools.partial(layers.BatchNorm, use_running_average=not train)
    (_, kernel, stride, _, _), channels = self.setting, x.shape[-1]
    wide = scale(channels, self.setting.expand)
    y = x
    if wide != channels:
      y = Conv(wide, (1, 1), name='expand')(y)
      y = nn.silu(norm(name='expand_norm')(y))
    # torchvision counts kaiming_normal_'s fan-out over all channels
    init = nn.initializers.normal(math.sqrt(2 / (kernel**2 * wide)))
    y = depthwise.Depthwise(
      (kernel, kernel),
      use_bias=False,
      strides=stride,
      kernel_init=init,
      name='depthwise',
    )(y)
    y = nn.silu(norm(name='depthwise_norm')(y))
    squeezed = max(1, channels // 4)
    y = mobile.SqueezeExcite(squeezed, layers.HE, name='excitation')(y)
    y = Conv(self.features, (1, 1), name='project')(y)
    y = norm(name='project_norm')(y)
    if stride > 1 or channels != self.features:
      return y
    drop = mobile.StochasticDepth(self.stochastic_depth, name='stochastic_depth')
    return skips.add(drop(y, skip, train=train), lambda: x, skip)
