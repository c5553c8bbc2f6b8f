"""Convolutions that stay fast inside compiled loops.

XLA:CPU hands a convolution to its fast library only when its dimension numbers are
already NHWC/HWIO. Outside loops a layout pass sees to that; inside `scan` and `map`,
where all our training happens, it does not, and the weight gradient JAX derives is
never in that form: it runs 20 to 90 times slower. The gradients below are therefore
written as convolutions (or matrix products) that are canonical to begin with.
Other backends have no such trap and take JAX's own gradients.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

_NUMBERS = ('NHWC', 'HWIO', 'NHWC')
Padding = tuple[tuple[int, int], tuple[int, int]]


def _dense(x: jax.Array, w: jax.Array, padding: Padding) -> jax.Array:
  return lax.conv_general_dilated(x, w, (1, 1), padding, dimension_numbers=_NUMBERS)


def _input_gradient(w: jax.Array, dy: jax.Array, padding: Padding) -> jax.Array:
  """The stride-1 convolution of `dy` with the flipped, transposed kernel."""
  (top, bottom), (left, right) = padding
  y, x = w.shape[0] - 1, w.shape[1] - 1
  full = ((y - top, y - bottom), (x - left, x - right))
  return _dense(dy, jnp.swapaxes(w[::-1, ::-1], 2, 3), full)


def _kernel_gradient_by_convolution(x, dy, padding):
  """Channels play the batch: [C, H, W, B] * [h, w, B, C'] -> [C, kh, kw, C']."""
  dw = _dense(x.transpose(3, 1, 2, 0), dy.transpose(1, 2, 0, 3), padding)
  return dw.transpose(1, 2, 0, 3)


def _kernel_gradient_by_taps(x, dy, padding):
  """One matrix product per kernel tap: dw[i, j] = shifted(x)^T dy."""
  x = jnp.pad(x, ((0, 0), *padding, (0, 0)))
  h, w = dy.shape[1:3]
  rows = dy.reshape(-1, dy.shape[-1])

  def tap(i, j):
    return x[:, i : i + h, j : j + w].reshape(-1, x.shape[-1]).T @ rows

  kernel_h, kernel_w = x.shape[1] - h + 1, x.shape[2] - w + 1
  return jnp.stack(
    [jnp.stack([tap(i, j) for j in range(kernel_w)]) for i in range(kernel_h)]
  )


def _with_gradient(kernel_gradient) -> Callable[..., Any]:
  @functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
  def convolve(x, w, padding):
    return _dense(x, w, padding)

  def forward(x, w, padding):
    return _dense(x, w, padding), (x, w)

  def backward(padding, residuals, dy):
    x, w = residuals
    return _input_gradient(w, dy, padding), kernel_gradient(x, dy, padding)

  convolve.defvjp(forward, backward)
  return convolve


_canonical = _with_gradient(_kernel_gradient_by_convolution)
_taps = _with_gradient(_kernel_gradient_by_taps)


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
    return _taps(cells, taps, ((0, 0), (0, 0)))

  rows, columns = range(min(stride, kernel_h)), range(min(stride, kernel_w))
  return functools.reduce(jnp.add, [phase(i, j) for i in rows for j in columns])


def conv_general_dilated(
  lhs: jax.Array,
  rhs: jax.Array,
  window_strides: Sequence[int],
  padding: Sequence[tuple[int, int]] | str,
  lhs_dilation: Sequence[int] | None = None,
  rhs_dilation: Sequence[int] | None = None,
  dimension_numbers=None,
  feature_group_count: int = 1,
  precision=None,
) -> jax.Array:
  """`lax.conv_general_dilated` with a loop-safe gradient where the CPU needs one.

  Made for linen's hook `nn.Conv(..., conv_general_dilated=...)`: same arguments, same
  values. On CPU dense NHWC convolutions, strided ones too, get canonical gradients;
  all others go to lax as they are.
  """
  plain = (
    len(set(window_strides)) == 1
    and feature_group_count == 1
    and set(lhs_dilation or (1,)) == {1}
    and set(rhs_dilation or (1,)) == {1}
    and jax.default_backend() == 'cpu'
  )
  if plain and not isinstance(padding, str):
    (top, bottom), (left, right) = padding
    pads = ((top, bottom), (left, right))
    if window_strides[0] > 1:
      return _strided(lhs, rhs, window_strides[0], pads)
    pointwise = rhs.shape[:2] == (1, 1)
    return (_taps if pointwise else _canonical)(lhs, rhs, pads)
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


def upsample_convolve(x: jax.Array, w: jax.Array) -> jax.Array:
  """The transposed convolution with kernel 4, stride 2, padding 1, in sub-pixel form.

  y[2m + p] = sum over a in {0, 1} of x[m - a] w[2a + p], then one row is cropped from
  each border: a 2x2 stride-1 convolution to 4 C' channels whose output phases are
  interleaved. No zero is multiplied, and no dilated gradient is needed.

  Args:
    x: [B, h, w, C].
    w: [4, 4, C, C'], indexed as in torch's ConvTranspose2d (linen's is flipped).

  Returns:
    [B, 2h, 2w, C'].
  """
  batch, height, width, _ = x.shape
  c_in, c_out = w.shape[2:]
  # [a, p, a, p, C, C'] -> taps in reading order, output phases beside the channels
  phases = w.reshape(2, 2, 2, 2, c_in, c_out)[::-1, :, ::-1]
  kernel = phases.transpose(0, 2, 4, 1, 3, 5).reshape(2, 2, c_in, 4 * c_out)
  convolve = _taps if jax.default_backend() == 'cpu' else _dense
  y = convolve(x, kernel, ((1, 1), (1, 1)))
  y = y.reshape(batch, height + 1, width + 1, 2, 2, c_out)
  # After the crop row 2i is phase 1 of window i, row 2i + 1 is phase 0 of window i + 1.
  y = jnp.stack([y[:, :-1, :, 1], y[:, 1:, :, 0]], axis=2)
  y = jnp.stack([y[:, :, :, :-1, 1], y[:, :, :, 1:, 0]], axis=4)
  return y.reshape(batch, 2 * height, 2 * width, c_out)
