"""The modules of decoders, which turn activations into images.

Source: docs/paper.md#decoders. The decoder of vectors follows Yang et al. 2019. Those
of feature maps and the reversed IR-152 follow the paper's released code.
"""

import functools
from collections.abc import Callable
from typing import Literal

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp

from gpz_jax.attacks.activation import attention as attention_lib
from gpz_jax.attacks.activation import enhance as enhance_lib
from gpz_jax.attacks.activation import inputs
from gpz_jax.models import layers

Act = Literal['code', 'tanh', 'prelu']
ACTS: tuple[Act, ...] = ('code', 'tanh', 'prelu')
MIN_WIDTH = 32
HALVINGS = 3  # after so many, further upsamplings keep the number of channels

MAP, VECTOR = 'activation [B, h, w, c]', 'vector [B, n]'  # in messages

# The released code's last layer is a transposed convolution of stride 1.
OutConv = functools.partial(
  layers.Conv, kernel_size=(3, 3), transposed=True, name='out'
)


def activation_of(act: Act, stage: int) -> Callable[[], Callable]:
  """The activation function after an upsampling, as a factory.

  Args:
    act: Kind of activation functions. As in the released code, `code` has Tanh after
      the first upsampling and PReLU after the others.
    stage: Number of the upsampling, from 0.

  Source: docs/paper.md#decoders.
  """
  tanh = act == 'tanh' or (act == 'code' and stage == 0)
  return (lambda: nn.tanh) if tanh else layers.PReLU


def channels_after(width: int, stage: int, scale: float = 1.0) -> int:
  """The number of channels after an upsampling.

  It is halved three times at most and, before the scale, never falls below 32, so that
  the decoder of a narrow target is wide enough. For the paper's activations (c >= 64)
  this least width changes nothing.

  Args:
    width: Number of channels of the activation.
    stage: Number of the upsampling, from 0.
    scale: What the result is multiplied by; one channel at least is left.
  """
  for _ in range(min(stage + 1, HALVINGS)):
    width = max(width // 2, MIN_WIDTH)
  return max(1, round(width * scale))


def fill_grid(x: jax.Array, ups: int, size: tuple[int, int] | None) -> jax.Array:
  """Repeats the last rows and columns until the map reaches over the image.

  Where a pooling dropped an odd last row, the map is a row too small: its doublings
  would leave a margin of the image without any cell.

  Args:
    x: Activations [B, h, w, c].
    ups: Number of doublings that follow.
    size: (H, W) of the image; None where the doublings lead to it exactly.

  Returns:
    Activations [B, H / 2**ups, W / 2**ups, c], the sides rounded up.
  """
  if size is None:
    return x
  missing = [-(-side // 2**ups) - n for side, n in zip(size, x.shape[1:3], strict=True)]
  return jnp.pad(x, ((0, 0), *((0, n) for n in missing), (0, 0)), mode='edge')


def cut(x: jax.Array, size: tuple[int, int] | None) -> jax.Array:
  """The first H rows and W columns: [B, >= H, >= W, c] -> [B, H, W, c]."""
  return x if size is None else x[:, : size[0], : size[1]]


class FeatureDecoder(nn.Module):
  """Turns a feature map into an image by upsamplings.

  An activation that is already as large as the image gets a convolution instead.

  Attributes:
    ups: Number of upsamplings.
    channels: Number of channels of the image.
    width: Number of channels of the activation before any enhancement, from which the
      halving starts.
    act: Kind of activation functions.
    attention: Blocks after the upsamplings, see `attention`.
    up_to_image: Whether the last upsampling gives the image, as in `inversion4`.
    size: (H, W) of the image where doublings do not lead to it exactly.
    scale: What the channels between activation and image are multiplied by.
  """

  ups: int
  channels: int
  width: int
  act: Act = 'code'
  attention: str = 'none'
  up_to_image: bool = False
  size: tuple[int, int] | None = None
  scale: float = 1.0

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
    """[B, h, w, c] -> [B, h 2**ups, w 2**ups, channels] or of `size`, in [0, 1]."""
    chex.assert_rank(x, 4, custom_message=f'{MAP}, given to {self.name}')
    x = fill_grid(x, self.ups, self.size)
    stages = self.ups - self.up_to_image
    plan = attention_lib.plan(self.attention, max(stages, 1))
    for stage in range(stages):
      width = channels_after(self.width, stage, self.scale)
      up = layers.Upsample(width, activation_of(self.act, stage), name=f'up_{stage}')
      x = attention_lib.apply(plan[stage], stage, up(x, train=train))
    if not self.ups:
      width = channels_after(self.width, 0, self.scale)
      x = layers.Conv(width, (3, 3), name='conv_0')(x)
      x = layers.BatchNorm(use_running_average=not train, name='norm_0')(x)
      x = attention_lib.apply(plan[0], 0, activation_of(self.act, 0)()(x))
    if self.up_to_image:
      x = layers.UpsampleConv(self.channels, name='out')(x)
    else:
      x = OutConv(self.channels, use_bias=False)(x)
    return nn.sigmoid(cut(x, self.size))


class ReverseUnit(nn.Module):
  """IR-152's residual unit run backwards, which doubles the size or keeps it.

  It consists of a norm, a 3x3 convolution, PReLU, an upsampling (or a 3x3 convolution),
  a norm, and a learned shortcut. The released code keeps the size by a transposed
  convolution of stride 1, which is a convolution with the kernel flipped.
  """

  features: int
  doubles: bool = True

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
    """[B, h, w, c] -> [B, 2h, 2w, features], or [B, h, w, features]."""
    norm = functools.partial(layers.BatchNorm, use_running_average=not train)
    conv = functools.partial(
      layers.Conv, self.features, use_bias=False, transposed=True
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
  """IR-152 run backwards, by reverse units up to the image.

  Its attributes are those of `FeatureDecoder`.

  Source: Table 5 of the paper, Inversion-IR152.
  """

  ups: int
  channels: int
  width: int
  size: tuple[int, int] | None = None
  scale: float = 1.0

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
    """[B, h, w, c] -> [B, h 2**ups, w 2**ups, channels] or of `size`, in [0, 1]."""
    chex.assert_rank(x, 4, custom_message=f'{MAP}, given to {self.name}')
    x = fill_grid(x, self.ups, self.size)
    for stage in range(self.ups):
      width = channels_after(self.width, stage, self.scale)
      unit = ReverseUnit(width, name=f'unit_{stage}')
      x = unit(x, train=train)
    last = ReverseUnit(self.channels, doubles=False, name=f'unit_{self.ups}')
    return nn.sigmoid(cut(OutConv(self.channels)(last(x, train=train)), self.size))


class VectorDecoder(nn.Module):
  """Turns a vector into an image, as the decoder of Yang et al. does.

  Images of 64 x 64 pixels take 512, 256, 128 and 64 channels. Each halving of the size
  removes the widest layer.

  Attributes:
    ups: Number of doublings.
    channels: Number of channels of the image.
    act: Kind of activation functions.
    base: Number of channels before the image.
    size: (H, W) of the image; None where it is 4 * 2**ups on either side.
    scale: What the channels between vector and image are multiplied by.
  """

  ups: int
  channels: int
  act: Act = 'tanh'
  base: int = 64
  size: tuple[int, int] | None = None
  scale: float = 1.0

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
    """[B, n] -> [B, 4 * 2**ups, 4 * 2**ups, channels] or of `size`, in [0, 1]."""
    chex.assert_rank(x, 2, custom_message=f'{VECTOR}, given to {self.name}')
    width = max(1, round(self.base * self.scale)) * 2 ** (self.ups - 1)
    sides = self.size or (4 * 2**self.ups,) * 2
    rows, columns = (-(-side // 2**self.ups) for side in sides)
    # A transposed convolution with a 4x4 kernel on a single pixel is a fully connected
    # layer with one bias per channel.
    cells = rows * columns
    init = layers.torch_uniform(cells * width)
    x = nn.Dense(cells * width, use_bias=False, kernel_init=init, name='project')(x)
    x = x.reshape(-1, rows, columns, width)
    x = x + self.param('bias', init, (width,)).reshape(1, 1, 1, -1)
    x = layers.BatchNorm(use_running_average=not train, name='norm')(x)
    x = activation_of(self.act, 0)()(x)
    for stage in range(1, self.ups):
      width //= 2
      up = layers.Upsample(width, activation_of(self.act, stage), name=f'up_{stage}')
      x = up(x, train=train)
    x = layers.UpsampleConv(self.channels, name='out')(x)
    return nn.sigmoid(cut(x, self.size))


class Enhanced(nn.Module):
  """A decoder behind an enhancement of its input. Tokens are put on their grid first.

  Its variables are those of 'decoder' and of each part of the enhancement that has any.

  Attributes:
    decoder: Decoder of maps or vectors.
    enhance: Enhancement of its input.
    grid: (rows, columns) of the patches of tokens; None where they are a square.
  """

  decoder: nn.Module
  enhance: str = 'none'
  grid: tuple[int, int] | None = None

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
    """[B, h, w, c], [B, 1 + T, c] or [B, n] -> [B, H, W, C] in [0, 1]."""
    message = f'{MAP}, tokens [B, 1 + T, c] or {VECTOR}'
    chex.assert_rank(x, {2, 3, 4}, custom_message=message)
    if x.ndim == 3:
      x = inputs.patch_grid(x, self.grid)
    for part in enhance_lib.parts(self.enhance):
      x = part.make()(x, train=train)
    return self.decoder(x, train=train)
