"""Decoders: activation in, image out; the architecture follows the activation's shape.

Spec 3.1 (vectors, Yang et al. 2019) and 3.2 (feature maps, the released code of the
golden partition zone). Called as `decoder(activation, *, train=False)`.
"""

import math
from collections.abc import Callable
from typing import Literal

import flax.linen as nn
import jax

from gpz_jax.models import layers
from gpz_jax.types import InputError

Act = Literal['code', 'tanh', 'prelu']
ACTS: tuple[Act, ...] = ('code', 'tanh', 'prelu')
MIN_WIDTH = 32
HALVINGS = 3  # further upsamplings keep the channels


def activation_of(act: Act, stage: int) -> Callable[[], Callable]:
  """The activation after upsampling `stage` (0 = the first), per spec D5.

  `code` is what the released code does: Tanh after the first, PReLU after the others.
  """
  tanh = act == 'tanh' or (act == 'code' and stage == 0)
  return (lambda: nn.tanh) if tanh else layers.PReLU


class FeatureDecoder(nn.Module):
  """Feature map [B, h, w, c] -> image [B, H, W, C] in [0, 1] by `ups` upsamplings.

  Channels halve three times at most and never fall below 32, so that an attack on a
  narrow target does not fail for want of width; for the paper's activations
  (c >= 64) the floor changes nothing. An activation already as large as the image
  gets a convolution in place of the upsampling.
  """

  ups: int
  channels: int  # of the image
  act: Act = 'code'

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
    width = x.shape[-1]
    for stage in range(self.ups):
      if stage < HALVINGS:
        width = max(width // 2, MIN_WIDTH)
      up = layers.Upsample(width, activation_of(self.act, stage), name=f'up_{stage}')
      x = up(x, train=train)
    if not self.ups:
      x = layers.Conv(max(width // 2, MIN_WIDTH), (3, 3), name='conv_0')(x)
      x = layers.BatchNorm(use_running_average=not train, name='norm_0')(x)
      x = activation_of(self.act, 0)()(x)
    out = layers.Conv(
      self.channels,
      (3, 3),
      use_bias=False,
      kernel_init=layers.torch_default,
      name='out',
    )
    return nn.sigmoid(out(x))


class VectorDecoder(nn.Module):
  """Vector [B, n] -> image [B, 4 * 2**ups, ..., C]: Yang et al.'s decoder.

  64 x 64 images take 512, 256, 128, 64 channels; each halving of the size drops the
  widest layer.
  """

  ups: int
  channels: int
  act: Act = 'tanh'
  base: int = 64  # channels before the image

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
    width = self.base * 2 ** (self.ups - 1)
    # A transposed convolution k4 s1 on 1x1 is a fully connected layer, one bias a
    # channel.
    x = nn.Dense(
      16 * width, use_bias=False, kernel_init=layers.torch_default, name='project'
    )(x)
    x = x.reshape(-1, 4, 4, width)
    x = x + self.param('bias', nn.initializers.zeros, (width,)).reshape(1, 1, 1, -1)
    x = layers.BatchNorm(use_running_average=not train, name='norm')(x)
    x = activation_of(self.act, 0)()(x)
    for stage in range(1, self.ups):
      width //= 2
      up = layers.Upsample(width, activation_of(self.act, stage), name=f'up_{stage}')
      x = up(x, train=train)
    return nn.sigmoid(layers.UpsampleConv(self.channels, name='out')(x))


def make(
  activation_shape: tuple[int, ...],
  image_shape: tuple[int, int, int],
  *,
  act: Act | None = None,
) -> nn.Module:
  """The decoder for an activation.

  Args:
    activation_shape: (h, w, c) or (n,), without the batch.
    image_shape: (H, W, C).
    act: activations; `code` for maps and `tanh` for vectors if None.

  Raises:
    InputError: no number of doublings leads from the activation to the image.
  """
  height, width, channels = image_shape
  if len(activation_shape) == 1:
    ups = math.log2(height / 4)
    if height != width or ups != int(ups) or ups < 1:
      raise InputError(
        f'image size {height}x{width} cannot be decoded from a vector; use a square'
        ' image_size of 8, 16, 32, 64, ...'
      )
    return VectorDecoder(int(ups), channels, act or 'tanh')
  if len(activation_shape) != 3:
    raise InputError(
      f'activation of shape {activation_shape} has no decoder; (h, w, c) and (n,) do'
    )
  ups = math.log2(height / activation_shape[0])
  if ups != int(ups) or ups < 0 or width != activation_shape[1] * 2**ups:
    raise InputError(
      f'an activation of {activation_shape[0]}x{activation_shape[1]} does not double up'
      f' to an image of {height}x{width}; use image_size 32 or 64'
    )
  return FeatureDecoder(int(ups), channels, act or 'code')
