"""MaxViT-T (Tu et al., 2022) with torchvision's layout and initial values.

Source: docs/paper.md#transformers-and-efficientnet.

Splits carry torchvision's numbers, from 1: block3_4 is `blocks.2.layers.4` there.
"""

import functools
from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp

from gpz_jax.models import depthwise, layers, mobile, pooling, skips, windows
from gpz_jax.models.skips import Factor, Skips
from gpz_jax.models.windows import NORMAL
from gpz_jax.types import InputError, check_known

STEM = 64  # channels
WIDTHS = (64, 128, 256, 512)
LAYERS = (2, 2, 5, 2)

BatchNorm = functools.partial(nn.BatchNorm, momentum=0.99, epsilon=1e-3)
LayerNorm = functools.partial(nn.LayerNorm, epsilon=1e-5)
Dense = functools.partial(nn.Dense, kernel_init=NORMAL)


class MaxViT(nn.Module):
  """Splits: stem, block1_0, block1_1, block2_0, ... block4_1, embedding.

  Stems: `imagenet` is torchvision's, whose first convolution has stride 2; `small` has
  stride 1. The sides of images are multiples of 32 windows, or of 16 behind the small
  stem.

  `mbconv_factor` says what the factor of a skip connection multiplies in a mobile
  block. It is the shortcut, unless `branch` asks for what the paper's released code
  multiplies (docs/paper.md#transformers-and-efficientnet).
  """

  num_classes: int
  width: float = 1.0
  window: int = 7
  stem: Literal['imagenet', 'small'] = 'imagenet'
  stochastic_depth: float = 0.2
  mbconv_factor: Literal['shortcut', 'branch'] = 'shortcut'
  normalization: str = 'cifar10'
  skips: Skips | None = None

  @property
  def num_stages(self) -> int:
    """The stages whose skip connections have factors."""
    return len(LAYERS)

  @property
  def skip_parts(self) -> tuple[str, ...]:
    """The kinds of skip connections of a stage, each with a factor of its own."""
    return ('mbconv', 'attention', 'mlp')

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
    """Logits [B, K] of images [B, H, W, C] in [0, 1].

    Raises:
      InputError: An option is not known, or the maps do not divide by the window.
    """
    check_known('stem', self.stem, ('imagenet', 'small'))
    check_known('mbconv_factor', self.mbconv_factor, ('shortcut', 'branch'))
    self._check_sides(x)
    factors = skips.read(self)
    x = layers.standardize(x, self.normalization)
    stride = 1 if self.stem == 'small' else 2
    x = Stem(int(STEM * self.width), stride, name='stem')(x, train=train)
    index, total = 0, sum(LAYERS)
    for stage, count in enumerate(LAYERS):
      for i in range(count):
        layer = Layer(
          int(WIDTHS[stage] * self.width),
          self.window,
          1 if i else 2,
          self.stochastic_depth * index / max(1, total - 1),
          self.mbconv_factor,
          name=f'block{stage + 1}_{i}',
        )
        x = layer(x, *factors[stage], train=train)
        index += 1
    x = Embedding(name='embedding')(x.mean(axis=(1, 2)))
    return Dense(self.num_classes, use_bias=False, name='logits')(x)

  def _check_sides(self, x: jax.Array) -> None:
    strides = len(LAYERS) + (self.stem != 'small')
    multiple = 2**strides * self.window
    height, width = x.shape[1:3]
    if height % multiple or width % multiple:
      raise InputError(
        f'image size {height}x{width} is not a multiple of {multiple}, which windows of'
        f' {self.window} need; choose an image size that is, or another window'
      )


class Stem(nn.Module):
  """Two 3x3 convolutions with a batch norm and a GELU between them."""

  features: int
  stride: int = 2

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
    """[B, H, W, C] -> [B, ceil(H / stride), ceil(W / stride), features]."""
    conv = functools.partial(
      layers.Conv,
      self.features,
      (3, 3),
      kernel_init=NORMAL,
      bias_init=nn.initializers.zeros,
    )
    x = conv(strides=self.stride, use_bias=False, name='conv_1')(x)
    x = BatchNorm(use_running_average=not train, name='norm')(x)
    return conv(name='conv_2')(_gelu(x))


class Layer(nn.Module):
  """A mobile block, attention within windows and attention across them."""

  features: int
  window: int
  stride: int = 1
  stochastic_depth: float = 0.0
  mbconv_factor: str = 'shortcut'

  @nn.compact
  def __call__(
    self,
    x: jax.Array,
    mbconv_skip: Factor = 1.0,
    attention_skip: Factor = 1.0,
    mlp_skip: Factor = 1.0,
    *,
    train: bool = False,
  ) -> jax.Array:
    """[B, h, w, c] -> [B, h / stride, w / stride, features].

    Each skip connection counts as often as is given.
    """
    rate = self.stochastic_depth
    mbconv = MBConv(self.features, self.stride, rate, self.mbconv_factor, name='mbconv')
    x = mbconv(x, mbconv_skip, train=train)
    for kind in ('window', 'grid'):
      attention = PartitionAttention(self.window, kind == 'grid', rate, name=kind)
      x = attention(x, attention_skip, mlp_skip, train=train)
    return x


class MBConv(nn.Module):
  """Pre-norm mobile block, four times as wide inside as its output.

  Where the sides or the channels change, the shortcut is an average pool and a 1x1
  convolution.
  """

  features: int
  stride: int = 1
  stochastic_depth: float = 0.0
  factor: str = 'shortcut'

  @nn.compact
  def __call__(
    self, x: jax.Array, skip: Factor = 1.0, *, train: bool = False
  ) -> jax.Array:
    """[B, h, w, c] -> [B, ceil(h / stride), ceil(w / stride), features]."""
    drop = mobile.StochasticDepth(self.stochastic_depth, name='stochastic_depth')

    def shortcut():
      if self.stride == 1 and x.shape[-1] == self.features:
        return x
      pooled = pooling.average_pool(x, 3, 2, padding=1) if self.stride == 2 else x
      return Dense(self.features, name='shortcut')(pooled)

    if self.factor == 'branch':  # the shortcut stays, so that a branch may be dropped
      return skips.add(
        shortcut(), lambda: drop(self._branch(x, train=train), train=train), skip
      )
    branch = drop(self._branch(x, train=train), skip, train=train)
    return skips.add(branch, shortcut, skip)

  def _branch(self, x: jax.Array, *, train: bool) -> jax.Array:
    norm = functools.partial(BatchNorm, use_running_average=not train)
    wide = 4 * self.features
    x = norm(name='norm')(x)
    x = Dense(wide, use_bias=False, name='expand')(x)
    x = _gelu(norm(name='expand_norm')(x))
    x = depthwise.Depthwise(
      (3, 3), use_bias=False, strides=self.stride, kernel_init=NORMAL, name='depthwise'
    )(x)
    x = _gelu(norm(name='depthwise_norm')(x))
    squeezed = max(1, self.features // 4)
    x = mobile.SqueezeExcite(squeezed, NORMAL, name='excitation')(x)
    return Dense(self.features, name='project')(x)


class PartitionAttention(nn.Module):
  """Attention among the pixels of a group, then an MLP of 4x the features, pre-norm.

  A group is a window of neighbours. In a grid it is the pixels at one place of all
  cells, where the cells are such that there are as many of them as a window has pixels.
  """

  window: int
  is_grid: bool
  stochastic_depth: float = 0.0

  @nn.compact
  def __call__(
    self,
    x: jax.Array,
    attention_skip: Factor = 1.0,
    mlp_skip: Factor = 1.0,
    *,
    train: bool = False,
  ) -> jax.Array:
    """[B, h, w, C], same shape out; each skip counts as often as is given."""

    def add(branch, x, skip, name):
      drop = mobile.StochasticDepth(self.stochastic_depth, name=name)
      return skips.add(drop(branch, skip, train=train), lambda: x, skip)

    grouped = windows.partition(LayerNorm(name='norm_1')(x), self.window, self.is_grid)
    y = windows.Attention(self.window, name='attention')(grouped)
    y = windows.join(y, self.window, self.is_grid, x.shape)
    x = add(y, x, attention_skip, 'attention_depth')
    y = Dense(4 * x.shape[-1], name='mlp_1')(LayerNorm(name='norm_2')(x))
    y = Dense(x.shape[-1], name='mlp_2')(_gelu(y))
    return add(y, x, mlp_skip, 'mlp_depth')


class Embedding(nn.Module):
  """Layer norm, fully connected layer, tanh."""

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """[B, C], same shape out."""
    return jnp.tanh(Dense(x.shape[-1], name='dense')(LayerNorm(name='norm')(x)))


def _gelu(x: jax.Array) -> jax.Array:
  return nn.gelu(x, approximate=False)
