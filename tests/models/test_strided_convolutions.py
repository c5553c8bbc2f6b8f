import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from gpz_jax.models import convolutions

NUMBERS = ('NHWC', 'HWIO', 'NHWC')
pytestmark = pytest.mark.usefixtures('optimized')


def _normal(*shape):
  return jnp.asarray(np.random.default_rng(0).normal(size=shape), jnp.float32)


def _both(stride, pad):
  """Our convolution and lax's, as functions of the image and the kernel."""

  def arguments(x, w):
    return x, w, (stride, stride), ((pad, pad), (pad, pad))

  return (
    lambda x, w: convolutions.conv_general_dilated(
      *arguments(x, w), dimension_numbers=NUMBERS
    ),
    lambda x, w: lax.conv_general_dilated(*arguments(x, w), dimension_numbers=NUMBERS),
  )


@pytest.mark.parametrize(
  ('size', 'kernel', 'stride', 'pad'),
  [(8, 3, 2, 1), (9, 3, 2, 1), (8, 1, 2, 0), (7, 1, 2, 0), (11, 5, 3, 2), (8, 1, 1, 0)],
)
def test_values_and_gradients_are_those_of_lax(size, kernel, stride, pad):
  x = _normal(2, size, size + 2, 3)
  w = _normal(kernel, kernel, 3, 4)
  ours, theirs = _both(stride, pad)
  expected, pull = jax.vjp(jax.jit(theirs), x, w)
  y, our_pull = jax.vjp(jax.jit(ours), x, w)
  np.testing.assert_allclose(y, expected, atol=1e-5)
  dy = _normal(*y.shape)
  for gradient, reference in zip(jax.jit(our_pull)(dy), jax.jit(pull)(dy), strict=True):
    np.testing.assert_allclose(gradient, reference, atol=1e-4)


def test_strided_gradient_keeps_the_canonical_form():
  # what the CPU runs fast in loops: NHWC and HWIO, no stride, no dilation
  ours, _ = _both(2, 1)
  x, w = jnp.ones((2, 8, 8, 3)), jnp.ones((3, 3, 3, 4))
  text = str(jax.make_jaxpr(jax.grad(lambda x, w: ours(x, w).sum(), (0, 1)))(x, w))
  assert 'conv_general_dilated' in text
  assert 'window_strides=(2, 2)' not in text
  assert 'dilation=(2, 2)' not in text


@pytest.mark.ci
def test_strided_convolution_under_vmap():
  ours, theirs = _both(2, 1)
  x, w = _normal(2, 2, 8, 8, 3), _normal(2, 3, 3, 3, 4)
  batched = jax.vmap(ours)(x, w)
  for lane in range(2):
    np.testing.assert_allclose(batched[lane], theirs(x[lane], w[lane]), atol=1e-5)
