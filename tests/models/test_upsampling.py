"""The transposed convolution in all its forms, against torch's and in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import test_util

from gpz_jax.models import choices, upsampling


def normal(seed, *shape):
  return jax.random.normal(jax.random.key(seed), shape)


def torch_transposed(x, w):
  torch = pytest.importorskip('torch')
  y = torch.nn.functional.conv_transpose2d(
    torch.tensor(np.array(x)).permute(0, 3, 1, 2),
    torch.tensor(np.array(w)).permute(2, 3, 0, 1),
    stride=2,
    padding=1,
  )
  return y.permute(0, 2, 3, 1).numpy()


@pytest.mark.parametrize('implementation', choices.UPSAMPLE)
@pytest.mark.parametrize('size', [(1, 1), (4, 4), (5, 3)])
def test_values_equal_torch(size, implementation):
  x, w = normal(0, 2, *size, 3), normal(1, 4, 4, 3, 2)
  found = upsampling.upsample(x, w, implementation)
  np.testing.assert_allclose(found, torch_transposed(x, w), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('implementation', choices.UPSAMPLE)
def test_gradients_equal_those_jax_derives_of_the_dilated_form(implementation):
  x, w, dy = normal(0, 2, 3, 5, 4), normal(1, 4, 4, 4, 2), normal(2, 2, 6, 10, 2)

  def gradients(name):
    _, pull = jax.vjp(lambda x, w: upsampling.upsample(x, w, name), x, w)
    return pull(dy)

  for found, expected in zip(gradients(implementation), gradients('lax'), strict=True):
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_gradients_match_finite_differences():
  x, w = normal(0, 1, 3, 3, 2), normal(1, 4, 4, 2, 2)

  def loss(x, w):
    return jnp.sum(jnp.sin(upsampling.upsample_convolve(x, w)))

  test_util.check_grads(loss, (x, w), order=1, modes=['rev'], rtol=1e-2)
