"""What is intercepted, where it is kept, and what is made of it there."""

import compilations
import flax.linen as nn
import jax.numpy as jnp
import numpy as np
import pytest

from gpz_jax.attacks.activation import interception
from gpz_jax.attacks.activation.cohorts import AttackLane
from gpz_jax.types import Lane, Treatment


def test_every_chunk_outside_the_device_is_converted(monkeypatch):
  monkeypatch.setattr(interception, 'CHUNK', 3)
  activations = np.arange(2 * 7 * 4, dtype=np.float32).reshape(2, 7, 4)

  def read(batch):
    return 2 * batch[:, :2]

  with compilations.counted() as compiled:
    interception.convert(activations + 1, read)  # as of another draw
    found = interception.convert(activations, read)
  assert compiled['jit(_convert)'] == 1  # also for the last chunk, which is filled up
  assert isinstance(found, np.ndarray)
  np.testing.assert_array_equal(found, 2 * activations[:, :, :2])


@pytest.mark.parametrize(('bits', 'levels'), [(8, 256), (4, 16)])
def test_quantising_leaves_so_many_levels_of_each_example(bits, levels):
  rng = np.random.default_rng(0)
  activation = jnp.asarray(rng.normal(size=(3, 40, 40)) * [[[1]], [[10]], [[0.1]]])
  sent = np.asarray(interception.quantize(activation.astype(jnp.float32), bits))
  for one, exact in zip(sent, np.asarray(activation), strict=True):
    assert len(np.unique(one)) <= levels
    step = (exact.max() - exact.min()) / (levels - 1)
    np.testing.assert_allclose(one, exact, atol=0.5001 * step)
    np.testing.assert_allclose([one.min(), one.max()], [exact.min(), exact.max()], 1e-5)


def test_few_bits_of_an_example_that_is_flat_and_sixteen_and_all():
  flat = jnp.full((1, 2, 2), 0.3)
  np.testing.assert_array_equal(interception.quantize(flat, 8), flat)
  rounded = interception.quantize(jnp.asarray([[1.0001, -1e6]]), 16)
  np.testing.assert_array_equal(rounded, [[1.0, -65504.0]])
  np.testing.assert_array_equal(interception.quantize(flat, 32), flat)


class Loud(nn.Module):
  """Sends a hundred thousand for white and its negative for black."""

  @nn.compact
  def __call__(self, x, *, train=False):
    x = nn.Dense(1, use_bias=False, name='first')(2e5 * (x - 0.5))
    return nn.Dense(2, name='logits')(x.mean((1, 2)))


def test_what_float16_cannot_hold_is_no_infinity():
  ones, images = np.ones((1, 1, 1), np.float32), np.zeros((2, 2, 2, 1), np.uint8)
  images[1] = 255
  logits = {'kernel': np.ones((1, 1, 2)), 'bias': np.zeros((1, 2))}
  variables = {'params': {'first': {'kernel': ones}, 'logits': logits}}
  lane = AttackLane(0, Lane('m', 'd', Treatment(), 0), 'first')
  for dtype, sizes in {'float32': [-1e5, 1e5], 'float16': [-65504, 65504]}.items():
    (sent,) = interception.intercept(Loud(), variables, [lane], images, dtype)
    assert sent.dtype == dtype
    np.testing.assert_allclose(sent[:, 0, 0, 0], sizes, rtol=1e-6)
