"""What is intercepted, where it is kept, and what is made of it there."""

import numpy as np

from gpz_jax.attacks.activation import interception


def test_every_chunk_outside_the_device_is_converted(monkeypatch):
  monkeypatch.setattr(interception, 'CHUNK', 3)
  activations = np.arange(2 * 7 * 4, dtype=np.float32).reshape(2, 7, 4)
  found = interception.convert(activations, lambda batch: 2 * batch[:, :2])
  assert isinstance(found, np.ndarray)
  np.testing.assert_array_equal(found, 2 * activations[:, :, :2])
