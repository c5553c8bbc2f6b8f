"""DenseNet-121, -161, -169 and -201 (Huang et al., 2017), in torchvision's layout.

A layer of a dense block sees what all layers before it gave, side by side. The factor k
of such a skip connection says how many of the channels stay: once a tensor has been
used by the next layer, its first round(k * channels) channels are kept for the layers
behind that one and for the end of the block. Source: docs/paper.md#skip-connections.
"""

import functools
from collections.abc import Sequence
from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from gpz_jax.models import layers, skips
from gpz_jax.models.resnet import Stem
from gpz_jax.models.skips import Factor, Skips
from gpz_jax.types import InputError

# Layers of each block, channels that a layer adds, and channels of the stem.
BLOCKS = {
  121: (6, 12, 24, 16),
  161: (6, 12, 36, 24),
  169: (6, 12, 32, 32),
  201: (6, 12, 48, 32),
}
GROWTHS = {121: 32, 161: 48, 169: 32, 201: 32}
STEMS = {121: 64, 161: 96, 169: 64, 201: 64}
NARROW = 4  # a layer's 1x1 convolution ends in this many times the growth

# torchvision's kaiming_normal_ with its default, the fan-in
HE_IN = nn.initializers.variance_scaling(2, 'fan_in', 'normal')
Conv = functools.partial(layers.Conv, use_bias=False, kernel_init=HE_IN)


class DenseNet(nn.Module):
  """Splits: stem, block_1, transition_1, block_2, ... block_4, bottleneck, head.

  Attributes:
    num_classes: K.
    depth: Number of layers; it stands in the model's name.
    width: Multiple of the channels that each layer adds and of those of the stem.
    stem: As ResNet's; `imagenet` is torchvision's.
    normalization: Mean and deviation of the images.
    skips: The factors of the four blocks.
    skip_form: `cut` drops the channels that are not kept, so that the layers behind
      are narrower. `mask` sets them to zero, so that all widths stay and lanes may
      differ in their factors.
    bottleneck: Number of channels that a 1x1 convolution without a bias leaves in front
      of the last norm; 0 for no such convolution.
  """

  num_classes: int
  depth: Literal[121, 161, 169, 201] = 121
  width: float = 1.0
  stem: Literal['small', 'small_pool', 'imagenet'] = 'small'
  normalization: str = 'cifar10'
  skips: Skips | None = None
  skip_form: Literal['cut', 'mask'] = 'cut'
  bottleneck: int = 0

  @property
  def num_stages(self) -> int:
    """The blocks whose skip connections have a factor."""
    return len(BLOCKS[self.depth])

  @property
  def carries_skips(self) -> bool:
    """Whether the factors may be variables; a number of channels cannot be one."""
    return self.skip_form == 'mask'

  @property
  def learns_skips(self) -> bool:
    """Whether a factor may be learned: no gradient reaches a number of channels."""
    return False

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
    """Logits [B, K] of images [B, H, W, C] in [0, 1].

    Raises:
      InputError: The bottleneck is no number of channels.
    """
    if not isinstance(self.bottleneck, int) or self.bottleneck < 0:
      raise InputError(
        f"bottleneck '{self.bottleneck}' is no number of channels; give one, such as"
        ' 32, or 0 for none'
      )
    factors = skips.read(self)
    growth = int(GROWTHS[self.depth] * self.width)
    x = layers.standardize(x, self.normalization)
    width = int(STEMS[self.depth] * self.width)
    x = Stem(width, self.stem, HE_IN, name='stem')(x, train=train)
    for stage, count in enumerate(BLOCKS[self.depth], 1):
      if stage > 1:
        x = Transition(name=f'transition_{stage - 1}')(x, train=train)
      block = Block(count, growth, self.skip_form, name=f'block_{stage}')
      x = block(x, *factors[stage - 1], train=train)
    if self.bottleneck:
      x = Conv(self.bottleneck, (1, 1), padding=0, name='bottleneck')(x)
    x = Head(name='head')(x, train=train)
    init = layers.torch_uniform(x.shape[-1])
    return nn.Dense(self.num_classes, kernel_init=init, name='logits')(x)


class Block(nn.Module):
  """Dense block: the channels that are kept of its input and of all its layers."""

  count: int
  growth: int
  form: Literal['cut', 'mask'] = 'cut'

  @nn.compact
  def __call__(
    self, x: jax.Array, skip: Factor = 1.0, *, train: bool = False
  ) -> jax.Array:
    """[B, h, w, c] -> [B, h, w, c'], where c' is c + count * growth if all is kept."""
    used: list[jax.Array] = []
    for i in range(1, self.count + 1):
      layer = Layer(self.growth, name=f'layer_{i}')
      y = layer(_side_by_side([*used, x]), train=train)
      used.append(_keep(x, skip, self.form))
      x = y
    return _side_by_side([*used, x])


class Layer(nn.Module):
  """Norm, ReLU, 1x1 convolution, norm, ReLU, 3x3 convolution."""

  growth: int

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
    """[B, h, w, c] -> [B, h, w, growth]."""
    norm = functools.partial(layers.BatchNorm, use_running_average=not train)
    narrow = Conv(NARROW * self.growth, (1, 1), padding=0, name='conv_1')
    x = narrow(nn.relu(norm(name='norm_1')(x)))
    return Conv(self.growth, (3, 3), name='conv_2')(nn.relu(norm(name='norm_2')(x)))


class Transition(nn.Module):
  """Norm, ReLU, 1x1 convolution to half of the channels, 2x2 mean."""

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
    """[B, h, w, c] -> [B, h / 2, w / 2, c / 2], rounded down; 1 pixel stays 1."""
    x = nn.relu(layers.BatchNorm(use_running_average=not train, name='norm')(x))
    x = Conv(x.shape[-1] // 2, (1, 1), padding=0, name='conv')(x)
    window = (min(2, x.shape[1]), min(2, x.shape[2]))
    return nn.avg_pool(x, window, strides=window)


class Head(nn.Module):
  """Norm, ReLU, mean over the map."""

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
    """[B, h, w, c] -> [B, c]."""
    norm = layers.BatchNorm(use_running_average=not train, name='norm')
    return nn.relu(norm(x)).mean(axis=(1, 2))


def count_kept(factor: float, channels: int) -> int:
  """The number of channels that a fixed factor keeps.

  It rounds in float32 and halves to even, so that a traced factor keeps as many. For
  two decimals and channels in fours, no product ends in a half: every way of rounding
  then agrees.
  """
  return int(np.round(np.float32(factor) * np.float32(channels)))


def _keep(x: jax.Array, factor: Factor, form: str) -> jax.Array:
  """What is kept of a tensor [..., c] for those who do not directly follow it."""
  channels = x.shape[-1]
  if isinstance(factor, float | int):
    kept = count_kept(factor, channels)
    if form == 'cut' or kept == channels:
      return x[..., :kept]
  else:
    kept = jnp.round(factor.astype(jnp.float32) * channels)
  is_kept = (jnp.arange(channels) < kept).reshape((1,) * (x.ndim - 1) + (-1,))
  return jnp.where(is_kept, x, jnp.zeros((), x.dtype))


def _side_by_side(parts: Sequence[jax.Array]) -> jax.Array:
  return jnp.concatenate(parts, axis=-1) if len(parts) > 1 else parts[0]
