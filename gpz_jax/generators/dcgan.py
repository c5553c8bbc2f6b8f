"""The generator of GMI, a DCGAN: one dense layer, then transposed convolutions.

Source: docs/paper.md#the-generator-of-gmi.
"""

import dataclasses
import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from gpz_jax.generators.deconvolutions import Deconv
from gpz_jax.generators.protocol import Generator
from gpz_jax.models.layers import BatchNorm
from gpz_jax.types import InputError, check_known

SIZES = (8, 16, 32, 64, 128, 256)
_FIRST = 4  # side of the map that the dense layer makes


class Project(nn.Module):
  """Dense layer to a 4x4 map, batch norm, ReLU.

  Attributes:
    features: Number of channels of the map.
  """

  features: int

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
    """[B, n] -> [B, 4, 4, features]."""
    init = nn.initializers.normal(0.02)
    size = _FIRST * _FIRST * self.features
    x = nn.Dense(size, use_bias=False, kernel_init=init, name='dense')(x)
    x = x.reshape(-1, _FIRST, _FIRST, self.features)
    return nn.relu(BatchNorm(use_running_average=not train, name='norm')(x))


class Up(nn.Module):
  """Transposed convolution, batch norm, ReLU.

  Attributes:
    features: Number of channels of the output.
  """

  features: int

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
    """[B, h, w, c] -> [B, 2h, 2w, features]."""
    x = Deconv(self.features, use_bias=False, name='conv')(x)
    return nn.relu(BatchNorm(use_running_average=not train, name='norm')(x))


class Out(nn.Module):
  """Transposed convolution to the image, sigmoid.

  Attributes:
    features: Number of channels of the image.
  """

  features: int

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
    """[B, h, w, c] -> [B, 2h, 2w, features] in (0, 1)."""
    del train
    return nn.sigmoid(Deconv(self.features, name='conv')(x))


class DCGANNet(nn.Module):
  """The layers of a DCGAN, in order, whole or in part.

  Attributes:
    size: Side of the image, a power of two.
    width: Number of channels before the image. Each layer before that has twice as
      many.
    channels: Number of channels of the image.
  """

  size: int
  width: int
  channels: int

  @property
  def layer_names(self) -> tuple[str, ...]:
    """The layers in forward order."""
    return ('project', *(f'up_{i}' for i in range(self._ups)), 'out')

  @property
  def _ups(self) -> int:
    """The number of doublings before the one that makes the image."""
    return (self.size // _FIRST).bit_length() - 2

  @nn.compact
  def __call__(
    self, x: jax.Array, *, train: bool = False, begin: str = 'project', end: str = ''
  ) -> jax.Array:
    """Computes the layers from `begin` on and stops before `end`.

    Args:
      x: What `begin` is given: latents [B, n] or features [B, h, w, c].
      train: Whether batch norm takes the statistics of the batch.
      begin: The first layer.
      end: The layer to stop before; '' computes the image.

    Returns:
      What `end` is given, or images [B, H, W, C] in (0, 1).
    """
    widths = [self.width * 2**i for i in reversed(range(self._ups + 1))]
    kinds = [Project, *[Up] * self._ups, Out]
    names = self.layer_names
    stop = names.index(end) if end else len(names)
    chosen = list(zip(names, kinds, [*widths, self.channels], strict=True))
    for name, kind, features in chosen[names.index(begin) : stop]:
      x = kind(features, name=name)(x, train=train)
    return x


@dataclasses.dataclass(frozen=True)
class DCGAN(Generator):
  """GMI's generator at any size that is a power of two.

  GMI's own makes 64 x 64 pixels with a width of 64: 512 channels at 4 x 4, then 256,
  128 and 64.

  Attributes:
    size: Side of the image in pixels, one of `SIZES`.
    width: Number of channels before the image.
    channels: Number of channels of the image.
    latent: How many numbers a latent has.
  """

  size: int = 64
  width: int = 64
  channels: int = 3
  latent: int = 100

  def __post_init__(self):
    check_known('size of a DCGAN', str(self.size), map(str, SIZES))
    for name in ('width', 'channels', 'latent'):
      if getattr(self, name) < 1:
        raise InputError(f'{name}={getattr(self, name)} of a DCGAN must be at least 1')

  @functools.cached_property
  def net(self) -> DCGANNet:
    """The layers, for training."""
    return DCGANNet(self.size, self.width, self.channels)

  @property
  def image_shape(self) -> tuple[int, int, int]:
    """(H, W, C) of what it makes."""
    return (self.size, self.size, self.channels)

  @property
  def latent_shape(self) -> tuple[int, ...]:
    """(100,) as in GMI."""
    return (self.latent,)

  def init(self, key: jax.Array) -> Any:
    """Draws the variables of an untrained generator."""
    return self.net.init(key, jnp.zeros((1, self.latent)))

  def sample(self, variables: Any, key: jax.Array, count: int) -> jax.Array:
    """Draws latents [count, latent] from the standard normal distribution."""
    del variables
    return jax.random.normal(key, (count, self.latent))

  def images(self, variables: Any, latents: jax.Array) -> jax.Array:
    """The images [n, H, W, C] in (0, 1) of latents [n, latent]."""
    return self.net.apply(variables, latents)  # pyright: ignore[reportReturnType] no mutable

  def list_layers(self) -> tuple[str, ...]:
    """project, up_0, ..., out."""
    return self.net.layer_names

  def features(self, variables: Any, latents: jax.Array, layer: str) -> jax.Array:
    """The features that `layer` is given: latents for project, else [n, h, w, c]."""
    self._check(layer)
    return self.net.apply(variables, latents, end=layer)  # pyright: ignore[reportReturnType] no mutable

  def images_from(
    self, variables: Any, latents: jax.Array, layer: str, features: Any
  ) -> jax.Array:
    """The images [n, H, W, C] if `layer` is given `features`; latents are not read."""
    del latents
    self._check(layer)
    return self.net.apply(variables, features, begin=layer)  # pyright: ignore[reportReturnType] no mutable

  def features_from(
    self, variables: Any, latents: jax.Array, layer: str, features: Any, wanted: str
  ) -> jax.Array:
    """The features that `wanted` is given if `layer` is given `features`.

    Raises:
      InputError: There are no such layers, or `wanted` comes before `layer`.
    """
    del latents
    for name in (layer, wanted):
      self._check(name)
    names = self.list_layers()
    if names.index(wanted) < names.index(layer):
      raise InputError(f"layer '{wanted}' of a DCGAN comes before '{layer}'")
    if layer == wanted:
      return features
    return self.net.apply(variables, features, begin=layer, end=wanted)  # pyright: ignore[reportReturnType] no mutable

  def _check(self, layer: str) -> None:
    check_known('layer of a DCGAN', layer, self.list_layers())
