"""Inception-v3 (Szegedy et al., 2016) with torchvision's layout and initial values.

It judges reconstructions: as a classifier that knows nothing of the attack, and by its
features, in which Frechet distances are measured. It has no skip connections.

Source: docs/paper.md#transformers-and-efficientnet.

    _, found = partition.capture(model, variables, images, ['features'])  # [B, 2048]
"""

import functools
from typing import Any, Literal, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from gpz_jax.models import layers, normalization, pooling
from gpz_jax.types import InputError

BatchNorm = functools.partial(nn.BatchNorm, momentum=0.9, epsilon=1e-3)
# torch's trunc_normal_ cuts at +-2, twenty deviations away: a plain normal
NORMAL = nn.initializers.normal(0.1)


class Step(NamedTuple):
  """A convolution under torchvision's name; it is padded where it has no stride."""

  name: str
  features: int
  kernel: int | tuple[int, int]
  stride: int = 1


Branch = tuple[Step | tuple[Step, ...], ...]  # a last tuple: steps side by side


class Block(NamedTuple):
  """Branches whose outputs are joined, the last of them behind a pool."""

  branches: tuple[Branch, ...]
  pool: Literal['average', 'max']
  pool_features: int = 0  # of the 1x1 convolution behind the pool; 0 is none

  def steps(self) -> list[Step]:
    """All convolutions of the block."""
    found = [
      step
      for branch in self.branches
      for item in branch
      for step in ((item,) if isinstance(item, Step) else item)
    ]
    if self.pool_features:
      found.append(Step('branch_pool', self.pool_features, 1))
    return found


def _wide(pool_features: int) -> Block:
  branches = (
    (Step('branch1x1', 64, 1),),
    (Step('branch5x5_1', 48, 1), Step('branch5x5_2', 64, 5)),
    (
      Step('branch3x3dbl_1', 64, 1),
      Step('branch3x3dbl_2', 96, 3),
      Step('branch3x3dbl_3', 96, 3),
    ),
  )
  return Block(branches, 'average', pool_features)


def _strips(inside: int) -> Block:
  row, column = (1, 7), (7, 1)
  branches = (
    (Step('branch1x1', 192, 1),),
    (
      Step('branch7x7_1', inside, 1),
      Step('branch7x7_2', inside, row),
      Step('branch7x7_3', 192, column),
    ),
    (
      Step('branch7x7dbl_1', inside, 1),
      Step('branch7x7dbl_2', inside, column),
      Step('branch7x7dbl_3', inside, row),
      Step('branch7x7dbl_4', inside, column),
      Step('branch7x7dbl_5', 192, row),
    ),
  )
  return Block(branches, 'average', 192)


_HALVED = Block(
  (
    (Step('branch3x3', 384, 3, 2),),
    (
      Step('branch3x3dbl_1', 64, 1),
      Step('branch3x3dbl_2', 96, 3),
      Step('branch3x3dbl_3', 96, 3, 2),
    ),
  ),
  'max',
)
_HALVED_AGAIN = Block(
  (
    (Step('branch3x3_1', 192, 1), Step('branch3x3_2', 320, 3, 2)),
    (
      Step('branch7x7x3_1', 192, 1),
      Step('branch7x7x3_2', 192, (1, 7)),
      Step('branch7x7x3_3', 192, (7, 1)),
      Step('branch7x7x3_4', 192, 3, 2),
    ),
  ),
  'max',
)
_FORKED = Block(
  (
    (Step('branch1x1', 320, 1),),
    (
      Step('branch3x3_1', 384, 1),
      (Step('branch3x3_2a', 384, (1, 3)), Step('branch3x3_2b', 384, (3, 1))),
    ),
    (
      Step('branch3x3dbl_1', 448, 1),
      Step('branch3x3dbl_2', 384, 3),
      (Step('branch3x3dbl_3a', 384, (1, 3)), Step('branch3x3dbl_3b', 384, (3, 1))),
    ),
  ),
  'average',
  192,
)
BLOCKS = {
  '5b': _wide(32),
  '5c': _wide(64),
  '5d': _wide(64),
  '6a': _HALVED,
  '6b': _strips(128),
  '6c': _strips(160),
  '6d': _strips(160),
  '6e': _strips(192),
  '7a': _HALVED_AGAIN,
  '7b': _FORKED,
  '7c': _FORKED,
}
AUX_AFTER, AUX_SIDE = '6e', 17  # the auxiliary head's block, and its smallest map


class Inception(nn.Module):
  """Splits: conv_1a, conv_2a, conv_2b, conv_3b, conv_4a, mixed_5b ... 7c, features.

  Attributes:
    aux_logits: Whether there is torchvision's auxiliary head, the module `aux`. What
      it gives is captured by name; it is no part of the logits.
    transform_input: Whether images that were normalised as for torchvision's other nets
      are normalised by 0.5 and 0.5 instead, as torchvision's weights expect.
  """

  num_classes: int
  width: float = 1.0
  dropout: float = 0.5
  aux_logits: bool = False
  transform_input: bool = False
  normalization: str = 'cifar10'

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
    """Logits [B, K] of images [B, H, W, C] in [0, 1], whose sides are at least 75.

    Raises:
      InputError: The image is too small for the auxiliary head.
    """
    x = layers.standardize(x, self.normalization)
    x = _from_imagenet(x) if self.transform_input else x
    conv = functools.partial(apply_step, width=self.width, train=train)
    x = conv(x, Step('conv_1a', 32, 3, 2))
    x = conv(x, Step('conv_2a', 32, 3), padding=0)
    x = pooling.max_pool(conv(x, Step('conv_2b', 64, 3)))
    x = conv(x, Step('conv_3b', 80, 1))
    x = pooling.max_pool(conv(x, Step('conv_4a', 192, 3), padding=0))
    for name, block in BLOCKS.items():
      x = Mixed(block, self.width, name=f'mixed_{name}')(x, train=train)
      if name == AUX_AFTER and self.aux_logits:
        Aux(self.num_classes, self.width, name='aux')(x, train=train)
    x = pooling.Features(self.dropout, name='features')(x, train=train)
    return _classifier(x, self.num_classes, NORMAL, 'logits')


class ConvNorm(nn.Module):
  """Convolution, batch norm, ReLU."""

  features: int
  kernel: tuple[int, int]
  stride: int
  padding: tuple[int, int]
  kernel_init: Any = NORMAL

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
    """[B, h, w, c] -> [B, h', w', features]."""
    x = layers.Conv(
      self.features,
      self.kernel,
      strides=self.stride,
      padding=self.padding,
      use_bias=False,
      kernel_init=self.kernel_init,
      name='conv',
    )(x)
    return nn.relu(BatchNorm(use_running_average=not train, name='norm')(x))


class Mixed(nn.Module):
  """Branches side by side, whose channels are joined."""

  block: Block
  width: float = 1.0

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
    """[B, h, w, c] -> [B, h', w', C]; a block of strides halves the sides."""
    conv = functools.partial(apply_step, width=self.width, train=train)
    found = []
    for branch in self.block.branches:
      y = x
      for item in branch:
        if isinstance(item, Step):
          y = conv(y, item)
        else:
          y = jnp.concatenate([conv(y, step) for step in item], axis=-1)
      found.append(y)
    is_max = self.block.pool == 'max'
    y = pooling.max_pool(x) if is_max else pooling.average_pool(x, padding=1)
    if self.block.pool_features:
      y = conv(y, Step('branch_pool', self.block.pool_features, 1))
    return jnp.concatenate([*found, y], axis=-1)


class Aux(nn.Module):
  """torchvision's auxiliary head: a second classifier on an earlier map."""

  num_classes: int
  width: float = 1.0

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
    """[B, h, w, c] -> [B, K]; h and w are at least 17.

    Raises:
      InputError: The map is smaller.
    """
    if min(x.shape[1:3]) < AUX_SIDE:
      raise InputError(
        f'the auxiliary head needs a map of {AUX_SIDE}x{AUX_SIDE}, got'
        f' {x.shape[1]}x{x.shape[2]}; use images of 299x299, or aux_logits=False'
      )
    x = pooling.average_pool(x, 5, 3)
    x = apply_step(x, Step('conv_0', 128, 1), width=self.width, train=train)
    features = max(1, int(768 * self.width))
    init = nn.initializers.normal(0.01)
    conv = ConvNorm(features, (5, 5), 1, (0, 0), init, name='conv_1')
    x = conv(x, train=train).mean(axis=(1, 2))
    return _classifier(x, self.num_classes, nn.initializers.normal(0.001), 'logits')


def apply_step(
  x: jax.Array, step: Step, *, width: float, train: bool, padding: int | None = None
) -> jax.Array:
  """A step of a net of some width, as a module of the module that calls."""
  size = step.kernel
  kernel = (size, size) if isinstance(size, int) else size
  inside = (kernel[0] // 2, kernel[1] // 2) if step.stride == 1 else (0, 0)
  pads = inside if padding is None else (padding, padding)
  features = max(1, int(step.features * width))
  return ConvNorm(features, kernel, step.stride, pads, name=step.name)(x, train=train)


def _classifier(x: jax.Array, num_classes: int, init: Any, name: str) -> jax.Array:
  bias = layers.torch_uniform(x.shape[-1])
  return nn.Dense(num_classes, kernel_init=init, bias_init=bias, name=name)(x)


def _from_imagenet(x: jax.Array) -> jax.Array:
  """Images normalised as for ImageNet, normalised by 0.5 and 0.5: [B, H, W, C]."""
  mean, std = (
    jnp.asarray(numbers, x.dtype).reshape(1, 1, 1, -1)
    for numbers in normalization.statistics('imagenet', x.shape[-1])
  )
  return (x * std + mean - 0.5) / 0.5
