"""Depthwise convolutions: those of mobile blocks and the wide ones of attention blocks.

XLA has an operation for them, but on CPU it is slow inside a compiled loop. Here they
are sums of shifted products.
"""

import functools
import math

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from gpz_jax.models import layers


def _taps(x: jax.Array, kernel_shape: tuple[int, ...], dilation: int):
  """Pads x [B, h, w, C] and returns a function that gives the window of tap (i, j).

  A window has the size of x. It starts at the tap (i, j) of a kernel that is centred on
  the first pixel.
  """
  pads = [(dilation * (size - 1) // 2,) * 2 for size in kernel_shape[:2]]
  padded = jnp.pad(x, ((0, 0), *pads, (0, 0)))
  height, width = x.shape[1:3]

  def tap(i, j):
    rows = lax.dynamic_slice_in_dim(padded, i * dilation, height, axis=1)
    return rows[:, :, j * dilation : j * dilation + width]

  return tap


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def depthwise(x: jax.Array, w: jax.Array, dilation: int = 1) -> jax.Array:
  """Convolves each channel with its own kernel and keeps the size.

  It sums shifted products over the taps of the kernel. This is exact. Inside a compiled
  loop it is 52 to 132 times faster than XLA's grouped convolution on CPU (forward and
  backward, 5x5 and 7x7).

  Args:
    x: [B, h, w, C].
    w: The kernels [kh, kw, C], whose height and width are odd.
    dilation: Distance between taps, in pixels.

  Returns:
    [B, h, w, C].

  Raises:
    AssertionError: An array does not have the shape that is said above.
  """
  chex.assert_rank(x, 4, custom_message='x [B, h, w, C]')
  expected = (None, None, x.shape[-1])
  chex.assert_shape(w, expected, custom_message='w [kh, kw, C] of x [B, h, w, C]')
  tap = _taps(x, w.shape, dilation)
  y = jnp.zeros_like(x)
  for i in range(w.shape[0]):
    for j in range(w.shape[1]):
      y = y + tap(i, j) * w[i, j].reshape(1, 1, 1, -1)
  return y


def _depthwise_forward(x, w, dilation):
  return depthwise(x, w, dilation), (x, w)


def _depthwise_backward(dilation, residuals, dy):
  x, w = residuals
  tap = _taps(x, w.shape, dilation)

  # The rows are a compiled loop, which takes a third of the time to compile.
  def row(i):
    return jnp.stack(
      [jnp.sum(tap(i, j) * dy, axis=(0, 1, 2)) for j in range(w.shape[1])]
    )

  # The gradient of x is the convolution of dy with the flipped kernel.
  return depthwise(dy, w[::-1, ::-1], dilation), lax.map(row, jnp.arange(w.shape[0]))


depthwise.defvjp(_depthwise_forward, _depthwise_backward)


def strided_depthwise(x: jax.Array, w: jax.Array, strides: int) -> jax.Array:
  """Convolves each channel with its own kernel and divides the sides by the stride.

  Args:
    x: [B, h, w, C].
    w: The kernels [kh, kw, C], whose height and width are odd.
    strides: Step between outputs, in pixels, on both axes.

  Returns:
    [B, ceil(h / strides), ceil(w / strides), C].

  Raises:
    AssertionError: An array does not have the shape that is said above.
  """
  chex.assert_rank(x, 4, custom_message='x [B, h, w, C]')
  expected = (None, None, x.shape[-1])
  chex.assert_shape(w, expected, custom_message='w [kh, kw, C] of x [B, h, w, C]')
  batch, height, width, channels = x.shape
  rows, columns = -(-height // strides), -(-width // strides)
  pads = [((size - 1) // 2,) * 2 for size in w.shape[:2]]
  x = jnp.pad(x, ((0, 0), *pads, (0, 0)))
  y = jnp.zeros((batch, rows, columns, channels), x.dtype)
  for i in range(w.shape[0]):
    for j in range(w.shape[1]):
      stop = (i + strides * (rows - 1) + 1, j + strides * (columns - 1) + 1)
      tap = x[:, i : stop[0] : strides, j : stop[1] : strides]
      y = y + tap * w[i, j].reshape(1, 1, 1, -1)
  return y


class Depthwise(nn.Module):
  """A depthwise convolution; without a stride it keeps the size.

  A dilation goes with no stride.
  """

  kernel: tuple[int, int]
  dilation: int = 1
  use_bias: bool = True
  strides: int = 1
  kernel_init: nn.initializers.Initializer | None = None

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """[B, h, w, C] -> [B, ceil(h / strides), ceil(w / strides), C]."""
    features = x.shape[-1]
    shape = (*self.kernel, features)
    init = layers.torch_uniform(math.prod(self.kernel))  # one channel's taps
    kernel = self.param('kernel', self.kernel_init or init, shape)
    if self.strides > 1:
      x = strided_depthwise(x, kernel, self.strides)
    else:
      x = depthwise(x, kernel, self.dilation)
    if not self.use_bias:
      return x
    bias = self.param('bias', init, (features,))
    return x + bias.reshape(1, 1, 1, -1)
