"""Our convolutions against lax's."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from gpz_jax.models import choices, convolutions

pytestmark = pytest.mark.usefixtures('optimized')


def normal(seed, *shape):
  return jax.random.normal(jax.random.key(seed), shape)


@pytest.mark.parametrize('implementation', choices.DENSE)
@pytest.mark.parametrize('kernel', [1, 3, 5])
def test_values_and_gradients_equal_lax(kernel, implementation):
  x, w = normal(0, 2, 6, 5, 3), normal(1, kernel, kernel, 3, 4)
  pad = [(kernel // 2, kernel // 2)] * 2
  weight = normal(2, 2, 6, 5, 4)

  def ours(x, w):
    with choices.using(implementation):
      y = convolutions.conv_general_dilated(x, w, (1, 1), pad)
    return jnp.sum(y * weight)

  def reference(x, w):
    numbers = ('NHWC', 'HWIO', 'NHWC')
    y = lax.conv_general_dilated(x, w, (1, 1), pad, dimension_numbers=numbers)
    return jnp.sum(y * weight)

  values, grads = jax.value_and_grad(ours, (0, 1))(x, w)
  expected, expected_grads = jax.value_and_grad(reference, (0, 1))(x, w)
  np.testing.assert_allclose(values, expected, rtol=1e-5)
  for found, wanted in zip(grads, expected_grads, strict=True):
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)


def test_a_wrong_shape_names_the_argument():
  x, w = jnp.zeros((1, 4, 4, 2)), jnp.zeros((3, 3, 2, 5))
  with pytest.raises(AssertionError, match=r'x must be \[B, h, w, C\]'):
    convolutions.convolve(x[0], w, ((1, 1), (1, 1)), 'taps')
  with pytest.raises(AssertionError, match='w must be'):
    convolutions.convolve(x[..., :1], w, ((1, 1), (1, 1)), 'taps')
