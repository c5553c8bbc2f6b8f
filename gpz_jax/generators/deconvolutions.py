"""The transposed convolution of GMI's generator, kernel 5, stride 2, as a dense one.

With padding 2 and output padding 1 it doubles both sides:
y[2m + i - 2] = sum over m and i of x[m] w[i]. An even output sees x[m - 1], x[m] and
x[m + 1] by the taps 4, 2 and 0, and an odd one sees x[m] and x[m + 1] by 3 and 1. So
there are four dense convolutions, of 3x3, 3x2, 2x3 and 2x2 taps. Or a 3x3 convolution
to four times the channels gives all outputs, if a zero tap makes the kernel 6x6: that
is 36 products instead of 25, in one piece. Their gradients are fast inside compiled
loops, see `models.convolutions`.
"""

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp

from gpz_jax.models import choices, convolutions
from gpz_jax.models.winograd import interleave

NARROW = 16  # with fewer channels than these, one piece was faster than four


def deconvolve(x: jax.Array, w: jax.Array) -> jax.Array:
  """Doubles height and width by a transposed convolution of kernel 5 and stride 2.

  Args:
    x: [B, h, w, C].
    w: [5, 5, C, C'], indexed as in torch's ConvTranspose2d with padding 2 and output
      padding 1.

  Returns:
    [B, 2h, 2w, C'].
  """
  chex.assert_rank(x, 4, custom_message='x must be [B, h, w, C]')
  expected = (5, 5, x.shape[-1], None)
  chex.assert_shape(w, expected, custom_message="w must be [5, 5, C, C'], with x's C")
  choice = choices.choose('deconv', x.shape, w.shape)
  # Elsewhere fewer and larger convolutions are taken to be better.
  if choice == 'canonical' and w.shape[3] >= NARROW:
    return _by_phases(x, w, choice)
  return _in_one_piece(x, w, choice)


def _by_phases(x: jax.Array, w: jax.Array, choice: str) -> jax.Array:
  sides = ((slice(None, None, -2), (1, 1)), (slice(3, None, -2), (0, 1)))

  def phase(row, column):
    (rows, vertical), (columns, horizontal) = sides[row], sides[column]
    return convolutions.convolve(x, w[rows, columns], (vertical, horizontal), choice)

  rows = [interleave([phase(row, 0), phase(row, 1)], axis=2) for row in (0, 1)]
  return interleave(rows, axis=1)


def _in_one_piece(x: jax.Array, w: jax.Array, choice: str) -> jax.Array:
  batch, height, width, c_in = x.shape
  c_out = w.shape[3]
  w = jnp.pad(w, ((0, 1), (0, 1), (0, 0), (0, 0)))
  # [tap, phase, tap, phase, C, C'] -> taps in reading order, phases beside the channels
  w = w.reshape(3, 2, 3, 2, c_in, c_out)[::-1, :, ::-1]
  kernel = w.transpose(0, 2, 4, 1, 3, 5).reshape(3, 3, c_in, 4 * c_out)
  y = convolutions.convolve(x, kernel, ((1, 1), (1, 1)), choice)
  y = y.reshape(batch, height, width, 2, 2, c_out).transpose(0, 1, 3, 2, 4, 5)
  return y.reshape(batch, 2 * height, 2 * width, c_out)


class Deconv(nn.Module):
  """`deconvolve` with a learned kernel, which is drawn as DCGAN draws it.

  Attributes:
    features: Number of channels of the output.
    use_bias: Whether a bias is added.
  """

  features: int
  use_bias: bool = True

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """[B, h, w, c] -> [B, 2h, 2w, features]."""
    init = nn.initializers.normal(0.02)
    kernel = self.param('kernel', init, (5, 5, x.shape[-1], self.features))
    y = deconvolve(x, kernel)
    if not self.use_bias:
      return y
    bias = self.param('bias', nn.initializers.zeros, (self.features,))
    return y + bias.reshape(1, 1, 1, -1)
