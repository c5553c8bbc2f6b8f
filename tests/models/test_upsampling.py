"""The transposed convolution in all its forms, against torch's and in float64."""

import functools

import jax
import jax.numpy as jnp
import kinds
import numpy as np
import pytest
from jax import test_util

from gpz_jax.models import choices, upsampling

pytestmark = pytest.mark.usefixtures('optimized')


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
@pytest.mark.parametrize('size', kinds.each([(1, 1), (4, 4), (5, 3)], [(5, 3)]))
def test_values_equal_torch(size, implementation):
  x, w = normal(0, 2, *size, 3), normal(1, 4, 4, 3, 2)
  found = jax.jit(upsampling.upsample, static_argnums=2)(x, w, implementation)
  np.testing.assert_allclose(found, torch_transposed(x, w), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('implementation', choices.UPSAMPLE)
def test_gradients_equal_those_jax_derives_of_the_dilated_form(implementation):
  x, w, dy = normal(0, 2, 3, 5, 4), normal(1, 4, 4, 4, 2), normal(2, 2, 6, 10, 2)

  @functools.partial(jax.jit, static_argnums=0)
  def gradients(name):
    _, pull = jax.vjp(lambda x, w: upsampling.upsample(x, w, name), x, w)
    return pull(dy)

  for found, expected in zip(gradients(implementation), gradients('lax'), strict=True):
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('implementation', choices.UPSAMPLE)
@pytest.mark.parametrize(('dtype', 'most'), [('float32', 1e-4), ('bfloat16', 2e-2)])
def test_results_are_near_those_of_float64(dtype, most, implementation):
  arrays = normal(0, 2, 8, 8, 32), normal(1, 4, 4, 32, 16), normal(2, 2, 16, 16, 16)
  arrays = tuple(a.astype(dtype) for a in arrays)  # rounded the same for both

  @functools.partial(jax.jit, static_argnums=(0, 1))
  def results(name, dtype):
    x, w, dy = (a.astype(dtype) for a in arrays)
    y, pull = jax.vjp(lambda x, w: upsampling.upsample(x, w, name), x, w)
    return y, *pull(dy)

  found = results(implementation, dtype)
  with jax.enable_x64(True):
    expected = results('lax', 'float64')
  for ours, exact in zip(found, expected, strict=True):
    ours, exact = (np.asarray(a, np.float64) for a in (ours, exact))
    error = np.linalg.norm(ours - exact) / np.linalg.norm(exact)
    assert error < most


def test_gradients_match_finite_differences():
  x, w = normal(0, 1, 3, 3, 2), normal(1, 4, 4, 2, 2)

  @jax.jit
  def loss(x, w):
    return jnp.sum(jnp.sin(upsampling.upsample_convolve(x, w)))

  test_util.check_grads(loss, (x, w), order=1, modes=['rev'], rtol=1e-2)


def test_a_wrong_shape_names_the_argument():
  x, w = jnp.zeros((1, 4, 4, 2)), jnp.zeros((4, 4, 2, 5))
  with pytest.raises(AssertionError, match=r'x must be \[B, h, w, C\]'):
    upsampling.upsample(x[0], w, 'taps')
  with pytest.raises(AssertionError, match='w must be'):
    upsampling.upsample(x, w[:3], 'winograd')
