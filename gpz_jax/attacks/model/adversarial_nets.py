"""The small nets of generators that are trained against one target.

The generator is a DCGAN, with or without classes. The critics share their trunk, or
have the layers of a critic that was trained before.
"""

import math
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from gpz_jax.generators import Critic
from gpz_jax.generators.dcgan import SIZES, DCGANNet
from gpz_jax.models import layers
from gpz_jax.types import InputError

SMALLEST = 4  # pixels of a side of the first map
LEAK = 0.2


def num_doublings(image_shape: tuple[int, int, int]) -> int:
  """How often the first map of 4x4 is doubled to give an image.

  Raises:
    InputError: The image is no square whose side a DCGAN can make.
  """
  height, width = image_shape[:2]
  if height != width or height not in SIZES:
    sizes = ', '.join(map(str, SIZES))
    raise InputError(
      f'a generator for images of {height}x{width} pixels cannot be trained; resize'
      f' them to a square of one of these sides: {sizes}'
    )
  return round(math.log2(height / SMALLEST))


class ImageMaker(nn.Module):
  """GMI's DCGAN, which is given a learned vector of the class beside the latent.

  Attributes:
    image_shape: (H, W, C) of what it makes.
    width: Channels of the last map before the image; each map before has twice as many.
    num_classes: Number of classes; 0 for a generator without.
    class_dim: Length of the vector of a class.
  """

  image_shape: tuple[int, int, int]
  width: int = 64
  num_classes: int = 0
  class_dim: int = 32

  @nn.compact
  def __call__(
    self, z: jax.Array, labels: jax.Array | None = None, *, train: bool = False
  ) -> jax.Array:
    """Images [B, H, W, C] in (0, 1) of latents [B, D] and labels [B]."""
    if self.num_classes:
      embed = nn.Embed(self.num_classes, self.class_dim, name='classes')
      z = jnp.concatenate([z, embed(labels)], axis=-1)
    size, _, channels = self.image_shape
    return DCGANNet(size, self.width, channels, name='net')(z, train=train)


class Trunk(nn.Module):
  """Strided convolutions to 4x4, with norms over each image: [B, H, W, C] -> [B, D]."""

  width: int = 64

  @nn.compact
  def __call__(self, images: jax.Array) -> jax.Array:
    """The features of images in [0, 1]."""
    x = 2 * images - 1
    _, height, width, channels = images.shape
    for i in range(num_doublings((height, width, channels))):
      features = self.width * min(4, 2**i)
      x = layers.Conv(features, (4, 4), 2, 1, name=f'conv_{i}')(x)
      x = nn.GroupNorm(num_groups=1, name=f'norm_{i}')(x) if i else x
      x = nn.leaky_relu(x, LEAK)
    return x.reshape(len(x), -1)


class ClassCritic(nn.Module):
  """K logits and the features below; what is real has a large log-sum-exp.

  Features of minibatch discrimination are appended: how near each image is to the
  others of its batch.

  Attributes:
    num_classes: K.
    width: Channels of the first map.
    kernels: How many of these features; 0 for none.
    kernel_dim: The dimension in which each of them measures distances.
    base: The critic whose features are taken, as `base` in the variables; None takes
      those of a trunk.
  """

  num_classes: int
  width: int = 64
  kernels: int = 64
  kernel_dim: int = 50
  base: Critic | None = None

  @nn.compact
  def __call__(
    self, images: jax.Array, *, train: bool = False
  ) -> tuple[jax.Array, jax.Array]:
    """Logits [B, K] and features [B, D] of images [B, H, W, C]."""
    del train
    features = _features(self, images)
    if self.kernels:
      init: Any = nn.initializers.normal(1 / math.sqrt(features.shape[-1]))
      shape = (features.shape[-1], self.kernels * self.kernel_dim)
      places = features @ self.param('places', init, shape)
      near = minibatch_nearness(places.reshape(-1, self.kernels, self.kernel_dim))
      features = jnp.concatenate([features, near], axis=-1)
    return nn.Dense(self.num_classes, name='logits')(features), features


class ProjectionCritic(nn.Module):
  """How real an image looks as one of its class: a linear part and a projection.

  Attributes:
    num_classes: K.
    width: Channels of the first map.
    base: As of `ClassCritic`.
  """

  num_classes: int
  width: int = 64
  base: Critic | None = None

  @nn.compact
  def __call__(
    self, images: jax.Array, labels: jax.Array, *, train: bool = False
  ) -> jax.Array:
    """Scores [B] of images [B, H, W, C] with labels [B]."""
    del train
    features = _features(self, images)
    embed = nn.Embed(self.num_classes, features.shape[-1], name='classes')
    projected = jnp.mean(embed(labels) * features, axis=-1)
    return nn.Dense(1, name='score')(features)[:, 0] + projected


def _features(critic: ClassCritic | ProjectionCritic, images: jax.Array) -> jax.Array:
  """The features [B, D] that a critic reads its answer off."""
  if critic.base is not None:
    return critic.base.features(images)
  return Trunk(critic.width, name='trunk')(images)


def minibatch_nearness(places: jax.Array) -> jax.Array:
  """The sum over the other images of exp(-L1 distance): [B, A, D] -> [B, A].

  Source: Salimans et al., Improved techniques for training GANs, NeurIPS 2016.
  """
  distances = jnp.abs(places[:, None] - places[None]).sum(axis=-1)
  return jnp.exp(-distances).sum(axis=1) - 1
