"""The transposed convolution of decoders, kernel 4, stride 2, padding 1, in many ways.

y[2m + i - 1] = sum of x[m] w[i] over the four taps i and all m. Beside the ways of
`convolutions`, which work on its sub-pixel form, there are:

  lax        a convolution of the dilated input, as JAX does it
  subpixel   the sub-pixel form with the gradients JAX derives
  phases     one 2x2 convolution for each of the four output phases: nothing is cropped,
             which matters on small maps
  scatter    one product to all sixteen taps, interleaved and summed
  winograd   36 products where the others take 64, see `winograd`
"""

import chex
import jax
import jax.numpy as jnp
from jax import lax

from gpz_jax.models import choices, convolutions, winograd
from gpz_jax.models.winograd import interleave


def upsample_convolve(x: jax.Array, w: jax.Array) -> jax.Array:
  """Doubles height and width, computed as chosen for the shape.

  Args:
    x: [B, h, w, C].
    w: [4, 4, C, C'], indexed as in torch's ConvTranspose2d (linen's is flipped).

  Returns:
    [B, 2h, 2w, C'].
  """
  return upsample(x, w, choices.choose('upsample', x.shape, w.shape))


def upsample(x: jax.Array, w: jax.Array, implementation: str) -> jax.Array:
  """`upsample_convolve`, computed as one of `choices.UPSAMPLE` says."""
  chex.assert_rank(x, 4, custom_message='x must be [B, h, w, C]')
  expected = (4, 4, x.shape[-1], None)
  chex.assert_shape(w, expected, custom_message="w must be [4, 4, C, C'], with x's C")
  if implementation == 'lax':
    return _dilated(x, w)
  if implementation == 'phases':
    return _phases(x, w)
  if implementation == 'scatter':
    return _scatter(x, w)
  if implementation == 'winograd':
    return winograd.upsample(x, w)
  return _subpixel(x, w, implementation.replace('subpixel', 'lax'))


def _dilated(x: jax.Array, w: jax.Array) -> jax.Array:
  # The kernel is turned round, because a transposed convolution spreads each input by
  # its taps, while a convolution gathers with them.
  return lax.conv_general_dilated(
    x,
    w[::-1, ::-1],
    (1, 1),
    ((2, 2), (2, 2)),
    lhs_dilation=(2, 2),
    dimension_numbers=('NHWC', 'HWIO', 'NHWC'),
  )


def _subpixel(x: jax.Array, w: jax.Array, implementation: str) -> jax.Array:
  """A 2x2 convolution to 4 C' channels whose output phases are interleaved.

  y[2m + p] = sum over a in {0, 1} of x[m - a] w[2a + p], then one row is cropped from
  each border: no zero is multiplied but those of the padding.
  """
  batch, height, width, c_in = x.shape
  c_out = w.shape[3]
  # [a, p, a, p, C, C'] -> taps in reading order, output phases beside the channels
  phases = w.reshape(2, 2, 2, 2, c_in, c_out)[::-1, :, ::-1]
  kernel = phases.transpose(0, 2, 4, 1, 3, 5).reshape(2, 2, c_in, 4 * c_out)
  y = convolutions.convolve(x, kernel, ((1, 1), (1, 1)), implementation)
  y = y.reshape(batch, height + 1, width + 1, 2, 2, c_out)
  # After the crop row 2i is phase 1 of window i, row 2i + 1 is phase 0 of window i + 1.
  y = interleave([y[:, :-1, :, 1], y[:, 1:, :, 0]], axis=1)
  return interleave([y[:, :, :-1, 1], y[:, :, 1:, 0]], axis=2)


def _phases(x: jax.Array, w: jax.Array) -> jax.Array:
  """Even outputs see x[m - 1], x[m] by taps 3, 1; odd ones x[m], x[m + 1] by 2, 0."""
  sides = (((3, 1), (1, 0)), ((2, 0), (0, 1)))

  def phase(row, column):
    (taps_h, pad_h), (taps_w, pad_w) = sides[row], sides[column]
    kernel = w[jnp.array(taps_h)][:, jnp.array(taps_w)]
    return convolutions.convolve(x, kernel, (pad_h, pad_w), 'taps')

  rows = [interleave([phase(row, 0), phase(row, 1)], axis=2) for row in (0, 1)]
  return interleave(rows, axis=1)


@jax.custom_vjp
def _scatter(x: jax.Array, w: jax.Array) -> jax.Array:
  """All sixteen taps of every input in one product, summed where they fall."""
  batch, height, width, c_in = x.shape
  z = x.reshape(-1, c_in) @ w.transpose(2, 0, 1, 3).reshape(c_in, -1)
  z = z.reshape(batch, height, width, 4, 4, -1)
  y = _overlap(*(z[:, :, :, i] for i in range(4)), axis=1)  # [B, 2h, w, 4, C']
  return _overlap(*(y[:, :, :, j] for j in range(4)), axis=2)


def _overlap(
  tap_0: jax.Array, tap_1: jax.Array, tap_2: jax.Array, tap_3: jax.Array, *, axis: int
) -> jax.Array:
  """Sums the four taps of one axis where they fall."""

  def move(z, before, after):
    pads = [(before, after, 0) if a == axis else (0, 0, 0) for a in range(z.ndim)]
    return lax.pad(z, jnp.zeros((), z.dtype), pads)

  # y[2m + i - 1] takes tap i of x[m]: even places take taps 1 and 3, odd ones 2 and 0.
  even = tap_1 + move(tap_3, 1, -1)
  odd = tap_2 + move(tap_0, -1, 1)
  return interleave([even, odd], axis)


def _scatter_forward(x, w):
  return _scatter(x, w), (x, w)


def _scatter_backward(residuals, dy):
  x, w = residuals
  c_in, c_out = w.shape[2:]
  dy = jnp.pad(dy, ((0, 0), (1, 1), (1, 1), (0, 0)))
  height, width = 2 * x.shape[1], 2 * x.shape[2]
  windows = jnp.concatenate(
    [dy[:, i : i + height : 2, j : j + width : 2] for i in range(4) for j in range(4)],
    axis=-1,
  ).reshape(-1, 16 * c_out)
  dx = windows @ w.transpose(0, 1, 3, 2).reshape(-1, c_in)
  dw = x.reshape(-1, c_in).T @ windows
  return dx.reshape(x.shape), dw.reshape(c_in, 4, 4, c_out).transpose(1, 2, 0, 3)


_scatter.defvjp(_scatter_forward, _scatter_backward)
