"""The layers that targets and decoders are made of.

A module that can be a split owns its convolution, norm and activation, so that its
output is exactly what would be sent.
"""

import functools
import math
from collections.abc import Callable

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.linen.dtypes import promote_dtype

from gpz_jax.models import convolutions, upsampling
from gpz_jax.models.normalization import statistics

# The two count the other way round: linen's momentum 0.9 is torch's 0.1.
BatchNorm = functools.partial(nn.BatchNorm, momentum=0.9, epsilon=1e-5)
# torchvision's kaiming_normal_(mode='fan_out', nonlinearity='relu')
HE = nn.initializers.variance_scaling(2, 'fan_out', 'normal')


def torch_uniform(fan_in: int) -> nn.initializers.Initializer:
  """Makes torch's default initialiser, which its weights and its biases share.

  Args:
    fan_in: Number of inputs that torch counts for one output of the layer.

  Returns:
    A function of (key, shape, dtype), uniform between -1/sqrt(fan_in) and its opposite.

  Source: docs/paper.md#initial-values.
  """
  bound = 1 / math.sqrt(fan_in)

  def init(key, shape, dtype=jnp.float32):
    return jax.random.uniform(key, shape, dtype, -bound, bound)

  return init


class Dense(nn.Module):
  """Fully connected layer with torch's initial values.

  linen draws a bias from the bias's shape alone, which does not tell the fan-in.
  """

  features: int
  use_bias: bool = True

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """[..., c] -> [..., features]."""
    init = torch_uniform(x.shape[-1])
    x = x @ self.param('kernel', init, (x.shape[-1], self.features))
    return _add_bias(self, init, x) if self.use_bias else x


class Conv(nn.Module):
  """Convolution with torch's initial values.

  Attributes:
    features: Number of channels of the output.
    kernel_size: Height and width of the kernel.
    strides: Step between outputs, in pixels, on both axes.
    padding: Number of zeros at each side, or (above and below, left and right).
    use_bias: Whether a bias is added.
    transposed: Whether torch's layer is a transposed convolution of stride 1. It is the
      same function with the kernel flipped, but torch counts its fan-in over the output
      channels.
    kernel_init: Initialiser of the kernel, if it is not torch's default.
    bias_init: Initialiser of the bias, if it is not torch's default.
  """

  features: int
  kernel_size: tuple[int, int]
  strides: int = 1
  padding: int | tuple[int, int] = 1
  use_bias: bool = True
  transposed: bool = False
  kernel_init: nn.initializers.Initializer | None = None
  bias_init: nn.initializers.Initializer | None = None

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """[B, h, w, c] -> [B, h', w', features]."""
    channels = self.features if self.transposed else x.shape[-1]
    init = torch_uniform(math.prod(self.kernel_size) * channels)
    shape = (*self.kernel_size, x.shape[-1], self.features)
    kernel = self.param('kernel', self.kernel_init or init, shape)
    x, kernel = promote_dtype(x, kernel, dtype=None)
    rows, columns = (
      (self.padding,) * 2 if isinstance(self.padding, int) else self.padding
    )
    x = convolutions.conv_general_dilated(
      x,
      kernel,
      window_strides=(self.strides, self.strides),
      padding=((rows, rows), (columns, columns)),
      dimension_numbers=('NHWC', 'HWIO', 'NHWC'),
    )
    return _add_bias(self, self.bias_init or init, x) if self.use_bias else x


def _add_bias(
  layer: nn.Module, init: nn.initializers.Initializer, x: jax.Array
) -> jax.Array:
  bias = layer.param('bias', init, x.shape[-1:])
  return x + bias.reshape((1,) * (x.ndim - 1) + (-1,))


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
  """3x3 convolution, batch norm, optional 2x2 max-pool, ReLU.

  Without batch norm, the kernel starts as that of torchvision's VGG does: by torch's
  default the signal would die in a deep stack.
  """

  features: int
  pool: bool = False
  batch_norm: bool = True

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
    """[B, h, w, c] -> [B, h, w, features], halved in height and width by the pool."""
    x = Conv(self.features, (3, 3), kernel_init=None if self.batch_norm else HE)(x)
    if self.batch_norm:
      x = BatchNorm(use_running_average=not train)(x)
    if self.pool:
      x = max_pool(x)
    return nn.relu(x)


class DenseBlock(nn.Module):
  """Fully connected layer, ReLU, dropout; flattens what it is given."""

  features: int
  dropout: float = 0.0
  relu: bool = True

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
    """[B, ...] -> [B, features]."""
    x = Dense(self.features)(x.reshape(len(x), -1))
    x = nn.relu(x) if self.relu else x
    return nn.Dropout(self.dropout, deterministic=not train)(x)


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
    init = torch_uniform(4 * 4 * self.features)
    kernel = self.param('kernel', init, (4, 4, x.shape[-1], self.features))
    x = upsampling.upsample_convolve(x, kernel)
    return _add_bias(self, init, x) if self.use_bias else x


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
