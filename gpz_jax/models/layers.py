"""The layers that targets and decoders are made of.

A module that can be a split owns its convolution, norm and activation, so that its
output is exactly what would be sent.
"""

import functools
from collections.abc import Callable

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp

from gpz_jax.models import convolutions, upsampling

# torch's default for weights: uniform in +-1/sqrt(fan_in).
torch_default = nn.initializers.variance_scaling(1 / 3, 'fan_in', 'uniform')
Conv = functools.partial(
  nn.Conv,
  padding=1,
  kernel_init=nn.initializers.he_normal(),
  conv_general_dilated=convolutions.conv_general_dilated,
)
# The two count the other way round: linen's momentum 0.9 is torch's 0.1.
BatchNorm = functools.partial(nn.BatchNorm, momentum=0.9, epsilon=1e-5)

CIFAR10_MEAN = (0.4914, 0.4822, 0.4465)
CIFAR10_STD = (0.2023, 0.1994, 0.2010)


def standardize(image: jax.Array) -> jax.Array:
  """Normalises images the way every built-in target expects them.

  Args:
    image: [..., H, W, C] in [0, 1]; C is 1 or 3.

  Returns:
    The same shape: colour by CIFAR-10's mean and deviation, whatever the data set, and
    grey by 0.5 and 0.5, as the paper's released code does.
  """
  colour = image.shape[-1] == 3
  mean = jnp.asarray(CIFAR10_MEAN if colour else (0.5,), image.dtype)
  std = jnp.asarray(CIFAR10_STD if colour else (0.5,), image.dtype)
  broadcast = (1,) * (image.ndim - 1) + (-1,)
  return (image - mean.reshape(broadcast)) / std.reshape(broadcast)


class ConvBlock(nn.Module):
  """3x3 convolution, batch norm, optional 2x2 max-pool, ReLU."""

  features: int
  pool: bool = False

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
    """[B, h, w, c] -> [B, h, w, features], halved in height and width by the pool."""
    x = Conv(self.features, (3, 3))(x)
    x = BatchNorm(use_running_average=not train)(x)
    if self.pool:
      x = max_pool(x)
    return nn.relu(x)


class DenseBlock(nn.Module):
  """Fully connected layer, ReLU, dropout; flattens what it is given."""

  features: int
  dropout: float = 0.0

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
    """[B, ...] -> [B, features]."""
    x = nn.Dense(self.features, kernel_init=torch_default)(x.reshape(len(x), -1))
    return nn.Dropout(self.dropout, deterministic=not train)(nn.relu(x))


def max_pool(x: jax.Array) -> jax.Array:
  """Halves height and width by the maximum of each 2x2 window: [B, h, w, c].

  Maxima of slices, because the gradient of a windowed reduction (a scatter) is slow
  inside compiled loops on CPU and non-deterministic on GPU, and that of `x.max(axis)`
  divides by a count of ties that is 0 where XLA recomputes x with other rounding.
  An odd last row or column is dropped, as torch drops it.
  """
  chex.assert_rank(x, 4, custom_message='x must be [B, h, w, c]')
  batch, height, width, channels = x.shape
  x = x[:, : height // 2 * 2, : width // 2 * 2]
  x = x.reshape(batch, height // 2, 2, width // 2, 2, channels)
  x = jnp.maximum(x[:, :, 0], x[:, :, 1])
  return jnp.maximum(x[:, :, :, 0], x[:, :, :, 1])


class PReLU(nn.Module):
  """max(x, 0) + slope * min(x, 0), as torch starts it: one slope or one per channel."""

  per_channel: bool = False

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """Any shape, channels last."""
    shape = x.shape[-1:] if self.per_channel else ()
    slope = self.param('slope', nn.initializers.constant(0.25), shape)
    return jnp.where(x >= 0, x, slope.reshape((1,) * (x.ndim - 1) + (-1,)) * x)


class UpsampleConv(nn.Module):
  """Transposed convolution k4 s2 p1; parameters indexed as torch's."""

  features: int
  use_bias: bool = True

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """[B, h, w, c] -> [B, 2h, 2w, features]."""
    # torch counts the fan-in of a transposed kernel over its output channels
    init = nn.initializers.variance_scaling(
      1 / 3, 'fan_in', 'uniform', in_axis=-1, out_axis=-2
    )
    kernel = self.param('kernel', init, (4, 4, x.shape[-1], self.features))
    x = upsampling.upsample_convolve(x, kernel)
    if not self.use_bias:
      return x
    bias = self.param('bias', nn.initializers.zeros, (self.features,))
    return x + bias.reshape(1, 1, 1, -1)


class Upsample(nn.Module):
  """Transposed convolution k4 s2 p1, batch norm, activation.

  Source: docs/paper.md#decoders.
  """

  features: int
  activation: Callable[[], Callable[[jax.Array], jax.Array]]

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
    """[B, h, w, c] -> [B, 2h, 2w, features]."""
    x = UpsampleConv(self.features, name='conv')(x)
    x = BatchNorm(use_running_average=not train, name='norm')(x)
    return self.activation()(x)
