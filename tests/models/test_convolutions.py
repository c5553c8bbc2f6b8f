"""Our convolutions against lax's and torch's."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from gpz_jax.models import convolutions


def normal(seed, *shape):
  return jax.random.normal(jax.random.key(seed), shape)


@pytest.mark.parametrize('kernel', [1, 3, 5])
def test_values_and_gradients_equal_lax(kernel):
  x, w = normal(0, 2, 6, 5, 3), normal(1, kernel, kernel, 3, 4)
  pad = [(kernel // 2, kernel // 2)] * 2
  weight = normal(2, 2, 6, 5, 4)

  def ours(x, w):
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


def torch_transposed(x, w):
  torch = pytest.importorskip('torch')
  y = torch.nn.functional.conv_transpose2d(
    torch.tensor(np.array(x)).permute(0, 3, 1, 2),
    torch.tensor(np.array(w)).permute(2, 3, 0, 1),
    stride=2,
    padding=1,
  )
  return y.permute(0, 2, 3, 1).numpy()


@pytest.mark.parametrize('size', [(1, 1), (4, 4), (5, 3)])
def test_upsample_convolve_equals_torch(size):
  x, w = normal(0, 2, *size, 3), normal(1, 4, 4, 3, 2)
  found = convolutions.upsample_convolve(x, w)
  np.testing.assert_allclose(found, torch_transposed(x, w), rtol=1e-5, atol=1e-5)


def test_upsample_gradients_match_finite_differences():
  x, w = normal(0, 1, 3, 3, 2), normal(1, 4, 4, 2, 2)

  def loss(x, w):
    return jnp.sum(jnp.sin(convolutions.upsample_convolve(x, w)))

  jax.test_util.check_grads(loss, (x, w), order=1, modes=['rev'], rtol=1e-2)
