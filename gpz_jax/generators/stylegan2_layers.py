"""StyleGAN2's layers: parameters are drawn from N(0, 1) and scaled where they are used.

Source: docs/paper.md#stylegan2.
"""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from gpz_jax.generators import stylegan2_filters
from gpz_jax.models import convolutions

SLOPE, GAIN = 0.2, math.sqrt(2)  # of the leaky ReLU
_EPSILON = 1e-8


class EqualizedDense(nn.Module):
  """Fully connected layer whose kernel is scaled by 1/sqrt(fan-in) at run time.

  Attributes:
    features: Number of outputs.
    lr_multiplier: Scales kernel and bias at run time; kernels start at 1 over it, so
      that Adam's steps change the function by so much less.
    bias_init: What biases start at.
  """

  features: int
  lr_multiplier: float = 1.0
  bias_init: float = 0.0

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """[B, c] -> [B, features]."""
    normal = nn.initializers.normal(1 / self.lr_multiplier)
    kernel = self.param('kernel', normal, (x.shape[-1], self.features))
    constant = nn.initializers.constant(self.bias_init)
    bias = self.param('bias', constant, (self.features,))
    x = x @ (kernel * (self.lr_multiplier / math.sqrt(x.shape[-1])))
    return x + (self.lr_multiplier * bias).reshape(1, -1)


class ModulatedConv(nn.Module):
  """Convolution whose kernel is scaled, image by image, along its input channels.

  The scaled kernels are never formed. With one kernel for each image, a batch is a
  grouped convolution, which XLA:CPU computes naively and GPU libraries badly. But
  scaling a kernel's input channels is scaling the input, and dividing it by its norm
  for each output channel is dividing the output. So one kernel convolves the whole
  batch, which stays dense under vmap too, and gradients with respect to styles need
  no gradient of a kernel.

  Attributes:
    features: Number of output channels.
    size: Height and width of the kernel, 3 or 1.
    up: Whether height and width are doubled (3x3 only).
    demodulate: Whether each image's kernel is divided by its norm; if not, it is scaled
      by 1/sqrt(fan-in).
  """

  features: int
  size: int = 3
  up: bool = False
  demodulate: bool = True

  @nn.compact
  def __call__(self, x: jax.Array, styles: jax.Array) -> jax.Array:
    """[B, h, w, c] and styles [B, c] -> [B, h', w', features], in the precision of x.

    Styles and norms are computed in float32.
    """
    shape = (self.size, self.size, x.shape[-1], self.features)
    kernel = self.param('kernel', nn.initializers.normal(1), shape)
    if not self.demodulate:
      styles = styles / math.sqrt(math.prod(shape[:3]))
    y = self._convolve(_scale(x, styles), kernel.astype(x.dtype))
    if not self.demodulate:
      return y
    energy = jnp.sum(kernel**2, axis=(0, 1))
    return _scale(y, lax.rsqrt(styles**2 @ energy + _EPSILON))

  def _convolve(self, x: jax.Array, kernel: jax.Array) -> jax.Array:
    if self.up:
      return stylegan2_filters.upsample_convolve(x, kernel)
    if self.size == 1:
      return x @ kernel[0, 0]
    side = self.size // 2
    return convolutions.conv_general_dilated(
      x,
      kernel,
      window_strides=(1, 1),
      padding=((side, side), (side, side)),
      dimension_numbers=('NHWC', 'HWIO', 'NHWC'),
    )


def _scale(x: jax.Array, factors: jax.Array) -> jax.Array:
  """[B, h, w, c] times a factor for each image and channel, [B, c]."""
  return x * factors[:, None, None].astype(x.dtype)


def add_bias(layer: nn.Module, x: jax.Array) -> jax.Array:
  """Adds a parameter `bias` of the layer to x [B, h, w, c]."""
  bias = layer.param('bias', nn.initializers.zeros, x.shape[-1:])
  return x + bias.astype(x.dtype).reshape(1, 1, 1, -1)


def activate(x: jax.Array) -> jax.Array:
  """Leaky ReLU that keeps the variance of what it is given."""
  return GAIN * nn.leaky_relu(x, SLOPE)


def clamp(x: jax.Array, limit: float | None) -> jax.Array:
  """Confines x to [-limit, limit]; None leaves it as it is."""
  return x if limit is None else jnp.clip(x, -limit, limit)
