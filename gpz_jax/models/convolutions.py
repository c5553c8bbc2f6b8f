"""Convolutions that train fast: several ways to compute the same values.

XLA:CPU hands a convolution to its fast library only when its dimension numbers are
already NHWC/HWIO. Outside loops a layout pass sees to that; inside `scan` and `map`,
where all our training happens, it does not, and the weight gradient JAX derives is
never in that form: it runs 20 to 90 times slower. On every backend `vmap` over kernels
makes a grouped convolution, which libraries run badly, where a matrix product becomes
a batched one, which they run well. So a convolution can be computed as:

  lax        as JAX does it, with the gradients it derives
  canonical  convolutions throughout, each in the form the CPU runs fast
  taps       convolution; gradients as one product, or one for each kernel tap
  gemm       one product with the gathered windows of the input (im2col)
  scatter    one product to all taps, shifted and summed (col2im); the gradients gather
             the output's windows, which is little where the output is narrow

Which one is fastest depends on the shape and the device: see `choices`.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
from jax import lax

from gpz_jax.models import choices

_NUMBERS = ('NHWC', 'HWIO', 'NHWC')
Padding = tuple[tuple[int, int], tuple[int, int]]
_NO_PADDING: Padding = ((0, 0), (0, 0))


# The pieces below take x [B, h, w, C] and w [kh, kw, C, C'], and dy [B, h', w', C'] in
# gradients. An implementation picks one for each of the three parts of a step.


def _native(x: jax.Array, w: jax.Array, padding: Padding) -> jax.Array:
  return lax.conv_general_dilated(x, w, (1, 1), padding, dimension_numbers=_NUMBERS)


def _rows(x: jax.Array) -> jax.Array:
  """All but the last axis as rows, for a product over channels."""
  return x.reshape(-1, x.shape[-1])


def _windows(x: jax.Array, kernel: tuple[int, ...], padding: Padding) -> jax.Array:
  """[B, h, w, C] -> [B, h', w', kh kw C], the inputs of each output."""
  x = jnp.pad(x, ((0, 0), *padding, (0, 0)))
  height, width = x.shape[1] - kernel[0] + 1, x.shape[2] - kernel[1] + 1
  shifted = [
    x[:, i : i + height, j : j + width]
    for i in range(kernel[0])
    for j in range(kernel[1])
  ]
  return shifted[0] if len(shifted) == 1 else jnp.concatenate(shifted, axis=-1)


def _gather(x: jax.Array, w: jax.Array, padding: Padding) -> jax.Array:
  """The convolution as one product with the gathered windows."""
  windows = _windows(x, w.shape[:2], padding)
  return (_rows(windows) @ _rows(w)).reshape(*windows.shape[:3], -1)


def _scatter(x: jax.Array, w: jax.Array, padding: Padding) -> jax.Array:
  """The convolution as one product to all taps, which are then shifted and summed."""
  kernel_h, kernel_w, c_in, c_out = w.shape
  z = _rows(x) @ w.transpose(2, 0, 1, 3).reshape(c_in, -1)
  z = z.reshape(*x.shape[:3], kernel_h * kernel_w, c_out)
  z = jnp.pad(z, ((0, 0), *padding, (0, 0), (0, 0)))
  height, width = z.shape[1] - kernel_h + 1, z.shape[2] - kernel_w + 1
  taps = [
    z[:, i : i + height, j : j + width, i * kernel_w + j]
    for i in range(kernel_h)
    for j in range(kernel_w)
  ]
  return functools.reduce(jnp.add, taps)


def _full(kernel: tuple[int, ...], padding: Padding) -> Padding:
  """The padding of the input gradient, a convolution of dy with the flipped kernel."""
  (top, bottom), (left, right) = padding
  y, x = kernel[0] - 1, kernel[1] - 1
  return (y - top, y - bottom), (x - left, x - right)


def _kernel_shape(x: jax.Array, dy: jax.Array, padding: Padding) -> tuple[int, int]:
  (top, bottom), (left, right) = padding
  return (
    x.shape[1] + top + bottom - dy.shape[1] + 1,
    x.shape[2] + left + right - dy.shape[2] + 1,
  )


def _by_convolution(x: jax.Array, dy: jax.Array, padding: Padding) -> jax.Array:
  """Channels play the batch: [C, H, W, B] * [h, w, B, C'] -> [C, kh, kw, C']."""
  dw = _native(x.transpose(3, 1, 2, 0), dy.transpose(1, 2, 0, 3), padding)
  return dw.transpose(1, 2, 0, 3)


def _by_taps(x: jax.Array, dy: jax.Array, padding: Padding) -> jax.Array:
  """One product for each kernel tap: dw[i, j] = shifted(x)^T dy."""
  kernel_h, kernel_w = _kernel_shape(x, dy, padding)
  x = jnp.pad(x, ((0, 0), *padding, (0, 0)))
  h, w = dy.shape[1:3]

  def tap(i, j):
    return _rows(x[:, i : i + h, j : j + w]).T @ _rows(dy)

  return jnp.stack(
    [jnp.stack([tap(i, j) for j in range(kernel_w)]) for i in range(kernel_h)]
  )


def _by_input_windows(x: jax.Array, dy: jax.Array, padding: Padding) -> jax.Array:
  """windows(x)^T dy, one product."""
  kernel = _kernel_shape(x, dy, padding)
  dw = _rows(_windows(x, kernel, padding)).T @ _rows(dy)
  return dw.reshape(*kernel, x.shape[-1], dy.shape[-1])


def _by_output_windows(x: jax.Array, dy: jax.Array, padding: Padding) -> jax.Array:
  """x^T windows(dy), one product; its taps come out backwards."""
  kernel = _kernel_shape(x, dy, padding)
  dw = _rows(x).T @ _rows(_windows(dy, kernel, _full(kernel, padding)))
  dw = dw.reshape(x.shape[-1], *kernel, dy.shape[-1])
  return dw[:, ::-1, ::-1].transpose(1, 2, 0, 3)


class Implementation(NamedTuple):
  """How the three parts of a training step's convolution are computed."""

  forward: Callable[[jax.Array, jax.Array, Padding], jax.Array]
  input_gradient: Callable[[jax.Array, jax.Array, Padding], jax.Array]
  kernel_gradient: Callable[[jax.Array, jax.Array, Padding], jax.Array]


_BY_HAND = {
  'canonical': Implementation(_native, _native, _by_convolution),
  'taps': Implementation(_native, _scatter, _by_taps),
  'gemm': Implementation(_gather, _scatter, _by_input_windows),
  'scatter': Implementation(_scatter, _gather, _by_output_windows),
}


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _by_hand(x, w, padding, name):
  return _BY_HAND[name].forward(x, w, padding)


def _by_hand_forward(x, w, padding, name):
  return _by_hand(x, w, padding, name), (x, w)


def _by_hand_backward(padding, name, residuals, dy):
  x, w = residuals
  # The gradient of a convolution by its input is a convolution with the kernel turned
  # round and its channels exchanged.
  flipped = jnp.swapaxes(w[::-1, ::-1], 2, 3)
  ways = _BY_HAND[name]
  return (
    ways.input_gradient(dy, flipped, _full(w.shape[:2], padding)),
    ways.kernel_gradient(x, dy, padding),
  )


_by_hand.defvjp(_by_hand_forward, _by_hand_backward)


def convolve(
  x: jax.Array, w: jax.Array, padding: Padding, implementation: str
) -> jax.Array:
  """A stride-1 convolution, computed as the name says.

  Args:
    x: [B, h, w, C].
    w: [kh, kw, C, C'].
    padding: zeros before and after each axis, fewer than the kernel is long.
    implementation: one of `choices.DENSE`.

  Returns:
    [B, h', w', C'].
  """
  chex.assert_rank(x, 4, custom_message='x must be [B, h, w, C]')
  expected = (None, None, x.shape[-1], None)
  chex.assert_shape(w, expected, custom_message="w must be [kh, kw, C, C'], with x's C")
  if implementation == 'lax':
    return _native(x, w, padding)
  return _by_hand(x, w, padding, implementation)


def _strided(x: jax.Array, w: jax.Array, stride: int, padding: Padding) -> jax.Array:
  """A strided convolution as a sum of dense ones, one for each phase of the stride.

  y[m] = sum over p < s of (x[p::s] * w[p::s])[m]. Each tap is multiplied once, as in
  the strided form, and no gradient is dilated.
  """
  x = jnp.pad(x, ((0, 0), *padding, (0, 0)))
  kernel_h, kernel_w = w.shape[:2]
  height = (x.shape[1] - kernel_h) // stride + 1
  width = (x.shape[2] - kernel_w) // stride + 1

  def phase(i, j):
    taps = w[i::stride, j::stride]
    cells = x[:, i::stride, j::stride]
    cells = cells[:, : height + taps.shape[0] - 1, : width + taps.shape[1] - 1]
    choice = choices.choose('dense', cells.shape, taps.shape)
    return convolve(cells, taps, _NO_PADDING, choice)

  rows, columns = range(min(stride, kernel_h)), range(min(stride, kernel_w))
  return functools.reduce(jnp.add, [phase(i, j) for i in rows for j in columns])


def conv_general_dilated(
  lhs: jax.Array,
  rhs: jax.Array,
  window_strides: Sequence[int],
  padding: Sequence[tuple[int, int]] | str,
  lhs_dilation: Sequence[int] | None = None,
  rhs_dilation: Sequence[int] | None = None,
  dimension_numbers: Any = None,
  feature_group_count: int = 1,
  precision: Any = None,
) -> jax.Array:
  """`lax.conv_general_dilated`, computed as chosen for its shape.

  It has the same arguments and the same values, so that it also fits linen's hook
  `nn.Conv(..., conv_general_dilated=...)`. Grouped and dilated convolutions go to lax
  as they are.
  """
  plain = (
    len(set(window_strides)) == 1
    and feature_group_count == 1
    and set(lhs_dilation or (1,)) == {1}
    and set(rhs_dilation or (1,)) == {1}
  )
  if plain and not isinstance(padding, str):
    (top, bottom), (left, right) = padding
    pads = ((top, bottom), (left, right))
    choice = choices.choose('dense', lhs.shape, rhs.shape)
    if window_strides[0] > 1 and choice != 'lax':
      return _strided(lhs, rhs, window_strides[0], pads)
    # More padding than the kernel reaches would make the gradient's padding negative.
    inside = max(top, bottom) < rhs.shape[0] and max(left, right) < rhs.shape[1]
    if window_strides[0] == 1 and inside:
      return convolve(lhs, rhs, pads, choice)
  return lax.conv_general_dilated(
    lhs,
    rhs,
    window_strides,
    padding,
    lhs_dilation,
    rhs_dilation,
    dimension_numbers,
    feature_group_count,
    precision=precision,
  )
