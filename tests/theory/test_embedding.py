"""t-SNE of activations."""

import numpy as np
import pytest

from gpz_jax.theory import embedding
from gpz_jax.types import InputError


def test_clusters_that_are_apart_stay_apart():
  rng = np.random.default_rng(0)
  labels = np.repeat([0, 1, 2], 20)
  centres = 50 * np.eye(3, 48)[labels]
  points = embedding.embed((centres + rng.normal(size=(60, 48))).reshape(60, 4, 4, 3))
  assert points.shape == (60, 2)
  assert points.dtype == np.float32
  means = np.stack([points[labels == k].mean(axis=0) for k in range(3)])
  nearest = np.argmin(np.linalg.norm(points[:, None] - means, axis=-1), axis=1)
  np.testing.assert_array_equal(nearest, labels)


def test_constant_activations_and_few_examples_have_an_embedding():
  assert not embedding.embed(np.ones((5, 7))).any()
  assert np.isfinite(embedding.embed(np.eye(5, 3))).all()


@pytest.mark.parametrize(
  ('activations', 'message'),
  [(np.ones((3, 2)), 'at least 4'), (np.full((5, 2), np.nan), 'not finite')],
)
def test_what_cannot_be_embedded_is_refused(activations, message):
  with pytest.raises(InputError, match=message):
    embedding.embed(activations)
