"""StyleGAN2's synthesis network: from a w for each layer to an image.

It is the architecture with skips: each block adds an image of its own resolution to the
one it is handed, which is doubled before.

Source: docs/paper.md#stylegan2.
"""

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from gpz_jax.generators.stylegan2_filters import upsample
from gpz_jax.generators.stylegan2_layers import (
  EqualizedDense,
  ModulatedConv,
  activate,
  add_bias,
  clamp,
)

NOISES = ('const', 'random', 'none')


class Features(NamedTuple):
  """What a block is given by the one before it; a pytree."""

  x: jax.Array  # [B, h, w, c]
  image: jax.Array | None = None  # [B, h, w, C] nearly in [-1, 1]; None before b4


class Layer(nn.Module):
  """Modulated convolution, noise, bias, leaky ReLU.

  Attributes:
    features: Number of output channels.
    index: Number of the layer, which its random noise is drawn by.
    up: Whether height and width are doubled.
    noise: One of `NOISES`.
    conv_clamp: Confines outputs to +- this; None does not.
  """

  features: int
  index: int
  up: bool = False
  noise: str = 'const'
  conv_clamp: float | None = None

  @nn.compact
  def __call__(
    self, x: jax.Array, w: jax.Array, keys: jax.Array | None = None
  ) -> jax.Array:
    """[B, h, w, c], w [B, w_dim] -> [B, h', w', features].

    keys [B] are of the images, for random noise.
    """
    styles = EqualizedDense(x.shape[-1], bias_init=1, name='affine')(w)
    x = ModulatedConv(self.features, up=self.up, name='conv')(x, styles)
    strength = self.param('noise_strength', nn.initializers.zeros, ())
    constant = self.variable('constants', 'noise_const', self._draw_constant, x)
    if self.noise == 'random' and keys is not None:
      x = x + _scaled(strength, self._draw(keys, constant.value), x)
    elif self.noise == 'const':
      x = x + _scaled(strength, constant.value[None], x)
    return clamp(activate(add_bias(self, x)), self.conv_clamp)

  @nn.nowrap
  def _draw_constant(self, x: jax.Array) -> jax.Array:
    return jax.random.normal(self.make_rng('params'), x.shape[1:3])

  @nn.nowrap
  def _draw(self, keys: jax.Array, like: jax.Array) -> jax.Array:
    """Noise [B, h, w], a function of an image's key and of the layer alone."""
    of_layer = jax.vmap(jax.random.fold_in, (0, None))(keys, self.index)
    return jax.vmap(lambda key: jax.random.normal(key, like.shape))(of_layer)


def _scaled(strength: jax.Array, noise: jax.Array, x: jax.Array) -> jax.Array:
  return (strength * noise[..., None]).astype(x.dtype)


class ToRGB(nn.Module):
  """An image from a map, by a modulated 1x1 convolution without demodulation."""

  channels: int
  conv_clamp: float | None = None

  @nn.compact
  def __call__(self, x: jax.Array, w: jax.Array) -> jax.Array:
    """[B, h, w, c] and w [B, w_dim] -> [B, h, w, channels], in float32."""
    styles = EqualizedDense(x.shape[-1], bias_init=1, name='affine')(w)
    conv = ModulatedConv(self.channels, size=1, demodulate=False, name='conv')
    x = clamp(add_bias(self, conv(x, styles)), self.conv_clamp)
    return x.astype(jnp.float32)


class Block(nn.Module):
  """The layers of one resolution: one convolution at 4x4, else two, and an image.

  Attributes:
    features: Number of channels.
    first: Number of its first layer; 0 at 4x4.
    channels: Channels of the image.
    noise: One of `NOISES`.
    conv_clamp: Confines what layers put out to +- this; None does not.
    precision: Number format of its maps.
  """

  features: int
  first: int
  channels: int = 3
  noise: str = 'const'
  conv_clamp: float | None = None
  precision: str = 'float32'

  @nn.compact
  def __call__(
    self, given: Features, ws: jax.Array, keys: jax.Array | None = None
  ) -> Features:
    """What the next block is given; ws [B, num_ws, w_dim] are of all blocks."""
    x, index = given.x.astype(self.precision), self.first
    for name in ('conv0', 'conv1') if index else ('conv1',):
      up = name == 'conv0'
      layer = Layer(self.features, index, up, self.noise, self.conv_clamp, name=name)
      x = layer(x, ws[:, index], keys)
      index += 1
    # The next block's first convolution shares its w with this image.
    rgb = ToRGB(self.channels, self.conv_clamp, name='torgb')(x, ws[:, index])
    return Features(x, rgb if given.image is None else upsample(given.image) + rgb)


class Synthesis(nn.Module):
  """All blocks, from 4x4 to the resolution.

  Attributes:
    widths: Number of channels of each block, from 4x4 on.
    channels: As for `Block`, and so are the others.
  """

  widths: tuple[int, ...]
  channels: int = 3
  noise: str = 'const'
  conv_clamp: float | None = None
  precision: str = 'float32'

  @nn.compact
  def __call__(
    self,
    ws: jax.Array,
    keys: jax.Array | None = None,
    *,
    start: int = 0,
    stop: int | None = None,
    given: Features | None = None,
  ) -> Features:
    """What blocks `start` to `stop` make of what the first of them is given.

    Args:
      ws: [B, num_ws, w_dim].
      keys: [B] of the images, for random noise.
      start: Number of the first block that is computed.
      stop: Number of the first block that is not; None computes all.
      given: What block `start` is given; None is the learned constant of block 0.
    """
    shape = (4, 4, self.widths[0])
    constant = self.param('const', nn.initializers.normal(1), shape)
    if given is None:
      given = Features(jnp.broadcast_to(constant, (len(ws), *shape)))
    options = (self.channels, self.noise, self.conv_clamp, self.precision)
    for i, features in list(enumerate(self.widths))[start:stop]:
      block = Block(features, max(2 * i - 1, 0), *options, name=f'b{4 * 2**i}')
      given = block(given, ws, keys)
    return given
