"""What is intercepted, where it is kept, and what is made of it there."""

import jax.numpy as jnp
import numpy as np
import pytest

from gpz_jax.attacks.activation import interception


def test_every_chunk_outside_the_device_is_converted(monkeypatch):
  monkeypatch.setattr(interception, 'CHUNK', 3)
  activations = np.arange(2 * 7 * 4, dtype=np.float32).reshape(2, 7, 4)
  found = interception.convert(activations, lambda batch: 2 * batch[:, :2])
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
