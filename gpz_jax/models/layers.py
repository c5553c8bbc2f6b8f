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
from gpz_jax.models.normalization import statistics

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


def standardize(image: jax.Array, normalization: str = 'cifar10') -> jax.Array:
  """Subtracts the mean from images and divides them by the deviation.

  Args:
    image: [..., H, W, C] in [0, 1]; C is 1 or 3.
    normalization: Name or numbers of mean and deviation, see
      `normalization.statistics`. The default takes colour by CIFAR-10's mean and
      deviation, whatever the data set, and grey by 0.5 and 0.5, as the paper's
      released code does.

  Returns:
    The same shape.

  Raises:
    InputError: The normalisation is not known, or does not fit the channels.
  """
  means, stds = statistics(normalization, image.shape[-1])
  if normalization == 'none':
    return image
  mean, std = jnp.asarray(means, image.dtype), jnp.asarray(stds, image.dtype)
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


def overlapping_max_pool(x: jax.Array) -> jax.Array:
  """Halves the sides, rounded up, by torchvision's 3x3 max-pool: [B, h, w, c].

  It takes maxima of slices, for the reasons that `max_pool` has.
  """
  chex.assert_rank(x, 4, custom_message='x must be [B, h, w, c]')
  for axis in (1, 2):
    length = x.shape[axis]
    widths = [(1, 1) if i == axis else (0, 0) for i in range(4)]
    padded = jnp.pad(x, widths, constant_values=-jnp.inf)
    stop = 2 * -(-length // 2)  # one past the last start of a window
    shifted = [jax.lax.slice_in_dim(padded, i, i + stop - 1, 2, axis) for i in range(3)]
    x = functools.reduce(jnp.maximum, shifted)
  return x


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
