"""StyleGAN2's changes of resolution: they filter by [1, 3, 3, 1] on each axis.

No zeros are put between pixels: the filter is written out for even and odd outputs, as
sums of shifted maps. Those are exact, and fast inside compiled loops, where a
convolution with one filter for each channel is not.

Source: docs/paper.md#stylegan2.
"""

import functools

import chex
import jax
import jax.numpy as jnp
from jax import lax

from gpz_jax.models import choices, convolutions
from gpz_jax.models.winograd import interleave

FILTER = (1, 3, 3, 1)


def upsample(x: jax.Array) -> jax.Array:
  """Doubles the sides and filters.

  Args:
    x: [B, h, w, C].

  Returns:
    [B, 2h, 2w, C]. A constant map keeps its value but for its border, beyond which
    there are zeros.
  """
  chex.assert_rank(x, 4, custom_message='x must be [B, h, w, C]')
  for axis in (1, 2):
    # Zeros between pixels would meet two of the four taps: 3/4 and 1/4 remain.
    even = 0.75 * x + 0.25 * _shift(x, 1, axis)
    odd = 0.75 * x + 0.25 * _shift(x, -1, axis)
    x = interleave([even, odd], axis)
  return x


def downsample(x: jax.Array) -> jax.Array:
  """Filters and halves the sides, which must be even.

  Args:
    x: [B, h, w, C].

  Returns:
    [B, h/2, w/2, C].
  """
  chex.assert_rank(x, 4, custom_message='x must be [B, h, w, C]')
  for axis in (1, 2):
    x = _filter(x, axis, stride=2) / sum(FILTER)
  return x


def upsample_convolve(x: jax.Array, kernel: jax.Array) -> jax.Array:
  """A transposed 3x3 convolution at stride 2, then the filter.

  Args:
    x: [B, h, w, C].
    kernel: [3, 3, C, C'], indexed as in torch's ConvTranspose2d: before the filter it
      is y[2m + i] = sum of x[m] kernel[i].

  Returns:
    [B, 2h, 2w, C'].
  """
  chex.assert_rank(x, 4, custom_message='x must be [B, h, w, C]')
  chex.assert_shape(kernel, (3, 3, x.shape[-1], None))
  choice = choices.choose('dense', x.shape, kernel.shape)
  y = _dilated(x, kernel) if choice == 'lax' else _by_phases(x, kernel)
  for axis in (1, 2):
    # The sum of the filter is 2, to make up for the zeros between pixels.
    y = _filter(y, axis, stride=1) / (sum(FILTER) / 2)
  return y


def _shift(x: jax.Array, by: int, axis: int) -> jax.Array:
  """Moves a map towards the end of an axis; zeros enter."""
  pads = [(by, -by, 0) if a == axis else (0, 0, 0) for a in range(x.ndim)]
  return lax.pad(x, jnp.zeros((), x.dtype), pads)


def _filter(x: jax.Array, axis: int, stride: int) -> jax.Array:
  """The filter on one axis, with a zero before and after; it is one shorter."""
  x = jnp.pad(x, [(1, 1) if a == axis else (0, 0) for a in range(x.ndim)])
  stop = x.shape[axis] - len(FILTER) + 1
  taps = [
    weight * lax.slice_in_dim(x, i, i + stop, stride, axis)
    for i, weight in enumerate(FILTER)
  ]
  return functools.reduce(jnp.add, taps)


def _dilated(x: jax.Array, kernel: jax.Array) -> jax.Array:
  """The transposed convolution by zeros between pixels: [B, 2h+1, 2w+1, C']."""
  return lax.conv_general_dilated(
    x,
    kernel[::-1, ::-1],
    (1, 1),
    ((2, 2), (2, 2)),
    lhs_dilation=(2, 2),
    dimension_numbers=('NHWC', 'HWIO', 'NHWC'),
  )


def _by_phases(x: jax.Array, kernel: jax.Array) -> jax.Array:
  """The transposed convolution by four dense ones: [B, 2h+1, 2w+1, C'].

  y[2m] = x[m] kernel[0] + x[m-1] kernel[2] and y[2m+1] = x[m] kernel[1] on each axis,
  so that no zero is multiplied but those of the padding, and no gradient is dilated.
  """
  # Taps 2 and 0 of the padded map, or tap 1.
  sides = ((slice(None, None, -2), (1, 1)), (slice(1, 2), (0, 0)))

  def phase(row, column):
    (rows, above), (columns, before) = sides[row], sides[column]
    taps = kernel[rows, columns]
    choice = choices.choose('dense', x.shape, taps.shape)
    return convolutions.convolve(x, taps, (above, before), choice)

  return _weave([_weave([phase(r, 0), phase(r, 1)], axis=2) for r in (0, 1)], axis=1)


def _weave(parts: list[jax.Array], axis: int) -> jax.Array:
  """Interleaves n + 1 even places with n odd ones."""
  even, odd = parts
  odd = jnp.pad(odd, [(0, 1) if a == axis else (0, 0) for a in range(odd.ndim)])
  length = 2 * even.shape[axis] - 1
  return lax.slice_in_dim(interleave([even, odd], axis), 0, length, axis=axis)
