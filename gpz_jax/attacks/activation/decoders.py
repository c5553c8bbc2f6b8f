"""Decoders: activation in, image out; the architecture follows the activation's shape.

A decoder is called as `decoder(activation, *, train=False)`.

Source: docs/paper.md#decoders: of vectors after Yang et al. 2019, of feature maps and
the reversed IR-152 after the paper's released code; docs/paper.md#attention.
"""

import functools
import math
from collections.abc import Callable
from typing import Literal

import flax.linen as nn
import jax

from gpz_jax.attacks.activation import attention as attention_lib
from gpz_jax.attacks.activation import enhance as enhance_lib
from gpz_jax.attacks.activation import inputs
from gpz_jax.models import layers
from gpz_jax.types import InputError, check_known

Act = Literal['code', 'tanh', 'prelu']
ACTS: tuple[Act, ...] = ('code', 'tanh', 'prelu')
Kind = Literal['auto', 'inversion4', 'reversed_ir']
KINDS: tuple[Kind, ...] = ('auto', 'inversion4', 'reversed_ir')
MIN_WIDTH = 32
HALVINGS = 3  # further upsamplings keep the channels

OutConv = functools.partial(
  layers.Conv, kernel_size=(3, 3), kernel_init=layers.torch_default, name='out'
)


def activation_of(act: Act, stage: int) -> Callable[[], Callable]:
  """The activation after upsampling `stage` (0 = the first).

  Source: docs/paper.md#decoders.

  `code` is what the released code does: Tanh after the first, PReLU after the others.
  """
  tanh = act == 'tanh' or (act == 'code' and stage == 0)
  return (lambda: nn.tanh) if tanh else layers.PReLU


def channels_after(width: int, stage: int) -> int:
  """Channels after upsampling `stage` (0 = the first) of a map with `width` of them.

  They halve three times at most and never fall below 32, so that an attack on a narrow
  target does not fail for want of width; for the paper's activations (c >= 64) the
  floor changes nothing.
  """
  for _ in range(min(stage + 1, HALVINGS)):
    width = max(width // 2, MIN_WIDTH)
  return width


class FeatureDecoder(nn.Module):
  """Feature map [B, h, w, c] -> image [B, H, W, C] in [0, 1] by `ups` upsamplings.

  An activation already as large as the image gets a convolution in place of the
  upsampling.
  """

  ups: int
  channels: int  # of the image
  width: int  # channels the halving starts from: the activation's, before enhancement
  act: Act = 'code'
  attention: str = 'none'
  up_to_image: bool = False  # the last upsampling gives the image (`inversion4`)

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
    """[B, h, w, c] -> [B, h 2**ups, w 2**ups, channels] in [0, 1]."""
    stages = self.ups - self.up_to_image
    plan = attention_lib.plan(self.attention, max(stages, 1))
    for stage in range(stages):
      width = channels_after(self.width, stage)
      up = layers.Upsample(width, activation_of(self.act, stage), name=f'up_{stage}')
      x = attention_lib.apply(plan[stage], stage, up(x, train=train))
    if not self.ups:
      x = layers.Conv(channels_after(self.width, 0), (3, 3), name='conv_0')(x)
      x = layers.BatchNorm(use_running_average=not train, name='norm_0')(x)
      x = attention_lib.apply(plan[0], 0, activation_of(self.act, 0)()(x))
    if self.up_to_image:
      return nn.sigmoid(layers.UpsampleConv(self.channels, name='out')(x))
    return nn.sigmoid(OutConv(self.channels, use_bias=False)(x))


class ReverseUnit(nn.Module):
  """IR-152's residual unit run backwards: doubles the size, or keeps it.

  BN, 3x3 convolution, PReLU, k4 s2 upsampling (or 3x3), BN, plus a learned shortcut. A
  transposed convolution of stride 1 is a convolution with the kernel flipped.
  """

  features: int
  doubles: bool = True

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
    """[B, h, w, c] -> [B, 2h, 2w, features], or [B, h, w, features]."""
    norm = functools.partial(layers.BatchNorm, use_running_average=not train)
    conv = functools.partial(
      layers.Conv, self.features, use_bias=False, kernel_init=layers.torch_default
    )
    up = functools.partial(layers.UpsampleConv, self.features, use_bias=False)
    y = conv((3, 3), name='conv_1')(norm(name='norm_1')(x))
    y = layers.PReLU(per_channel=True, name='prelu')(y)
    y = up(name='conv_2')(y) if self.doubles else conv((3, 3), name='conv_2')(y)
    y = norm(name='norm_2')(y)
    if self.doubles:
      return y + up(name='shortcut_conv')(x)
    x = conv((1, 1), padding=0, name='shortcut_conv')(x)
    return y + norm(name='shortcut_norm')(x)


class ReversedIR(nn.Module):
  """IR-152 run backwards: reverse units up to the image (Table 5, Inversion-IR152)."""

  ups: int
  channels: int
  width: int

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
    """[B, h, w, c] -> [B, h 2**ups, w 2**ups, channels] in [0, 1]."""
    for stage in range(self.ups):
      unit = ReverseUnit(channels_after(self.width, stage), name=f'unit_{stage}')
      x = unit(x, train=train)
    last = ReverseUnit(self.channels, doubles=False, name=f'unit_{self.ups}')
    return nn.sigmoid(OutConv(self.channels)(last(x, train=train)))


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
    """[B, n] -> [B, 4 * 2**ups, 4 * 2**ups, channels] in [0, 1]."""
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


class Enhanced(nn.Module):
  """A decoder behind an enhancement of its input; tokens are put on their grid first.

  Variables: 'decoder', and one entry for each part of the enhancement that has any.
  """

  decoder: nn.Module
  enhance: str = 'none'

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
    """[B, h, w, c], [B, 1 + T, c] or [B, n] -> [B, H, W, C] in [0, 1]."""
    if x.ndim == 3:
      x = inputs.patch_grid(x)
    for part in enhance_lib.parts(self.enhance):
      x = part.make()(x, train=train)
    return self.decoder(x, train=train)


def make(
  activation_shape: tuple[int, ...],
  image_shape: tuple[int, int, int],
  *,
  act: Act | None = None,
  kind: Kind = 'auto',
  attention: str = 'none',
  enhance: str = 'none',
) -> nn.Module:
  """The decoder for an activation.

  Args:
    activation_shape: (h, w, c), (n,) or (1 + T, c) of class token and patches, without
      the batch. See `inputs` for other ways to read tokens.
    image_shape: (H, W, C).
    act: activations; if None `code` for maps and `tanh` for vectors and `inversion4`.
    kind: `auto` follows the shape; the others are for maps.
    attention: blocks after the upsamplings of a map's decoder, see `attention`.
    enhance: of the activation, see `enhance`. An enhancement that normalizes needs
      `enhance.normalization_stats` in the decoder's batch_stats.

  Raises:
    InputError: unknown names, options that do not go together, or no number of
      doublings leads from the activation to the image.
  """
  check_known('decoder', kind, KINDS)
  if act is not None:
    check_known('act', act, ACTS)
  attention_lib.plan(attention, 1)
  tokens = len(activation_shape) == 2
  if tokens:
    activation_shape = inputs.shape('patch_grid', activation_shape)
  enhance_lib.check(enhance, activation_shape)
  decoder = _make_decoder(activation_shape, image_shape, act, kind, attention)
  return Enhanced(decoder, enhance) if tokens or enhance != 'none' else decoder


def _make_decoder(activation_shape, image_shape, act, kind, attention) -> nn.Module:
  if len(activation_shape) == 1:
    if kind != 'auto' or attention != 'none':
      raise InputError(
        f"decoder '{kind}' with attention '{attention}' needs an activation (h, w, c),"
        f" not {activation_shape}; use decoder 'auto' with attention 'none'"
      )
    return VectorDecoder(_vector_ups(image_shape), image_shape[2], act or 'tanh')
  if len(activation_shape) != 3:
    raise InputError(
      f'activation of shape {activation_shape} has no decoder; (h, w, c), (n,) and'
      ' (tokens, c) do'
    )
  ups = _map_ups(activation_shape, image_shape)
  channels, width = image_shape[2], activation_shape[2]
  if kind == 'reversed_ir':
    if attention != 'none' or act is not None:
      raise InputError(
        f"decoder 'reversed_ir' takes neither attention '{attention}' nor act '{act}';"
        " use attention 'none' and the default act"
      )
    return ReversedIR(ups, channels, width)
  if kind == 'auto':
    return FeatureDecoder(ups, channels, width, act or 'code', attention)
  least = 1 if attention == 'none' else 2
  if ups < least:
    raise InputError(
      f"decoder 'inversion4' with attention '{attention}' needs {least} doublings, the"
      f" activation {activation_shape} is {ups} away from the image; use 'auto'"
    )
  return FeatureDecoder(ups, channels, width, act or 'tanh', attention, True)


def _vector_ups(image_shape: tuple[int, int, int]) -> int:
  height, width, _ = image_shape
  ups = math.log2(height / 4)
  if height != width or ups != int(ups) or ups < 1:
    raise InputError(
      f'image size {height}x{width} cannot be decoded from a vector; use a square'
      ' image_size of 8, 16, 32, 64, ...'
    )
  return int(ups)


def _map_ups(
  activation_shape: tuple[int, ...], image_shape: tuple[int, int, int]
) -> int:
  height, width, _ = image_shape
  ups = math.log2(height / activation_shape[0])
  if ups != int(ups) or ups < 0 or width != activation_shape[1] * 2**ups:
    raise InputError(
      f'an activation of {activation_shape[0]}x{activation_shape[1]} does not double up'
      f' to an image of {height}x{width}; use image_size 32 or 64'
    )
  return int(ups)
