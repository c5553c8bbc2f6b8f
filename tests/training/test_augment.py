"""Flip and jitter."""

import jax
import numpy as np

from gpz_jax.training.augment import augment

IMAGES = jax.random.uniform(jax.random.key(0), (64, 4, 4, 3))


def test_flip_mirrors_about_half_of_the_images_and_no_pixel_else():
  found = np.asarray(augment(jax.random.key(1), IMAGES, flip=True))
  same = (found == IMAGES).all(axis=(1, 2, 3))
  mirrored = (found == IMAGES[:, :, ::-1]).all(axis=(1, 2, 3))
  assert (same ^ mirrored).all()
  assert 16 < mirrored.sum() < 48  # 64 fair coins: 4 sigma either way


def test_jitter_stays_in_range_and_differs_between_images():
  found = np.asarray(augment(jax.random.key(1), IMAGES, jitter=0.2))
  assert found.min() >= 0
  assert found.max() <= 1
  change = np.abs(found - IMAGES).mean(axis=(1, 2, 3))
  assert (change > 0).all()
  assert change.std() > 0
  assert change.mean() < 0.3


def test_grey_images_can_be_jittered():
  found = augment(jax.random.key(1), IMAGES[..., :1], jitter=0.2)
  assert found.shape == (64, 4, 4, 1)
  assert (found.min(), found.max()) == (0, 1)  # some leave the range and are clipped


def test_nothing_asked_nothing_done():
  assert augment(jax.random.key(1), IMAGES) is IMAGES
