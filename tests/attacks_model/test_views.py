"""What targets are given of a generator's images."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gpz_jax.attacks.model import views
from gpz_jax.types import InputError


def ramp(count=1, height=8, width=8):
  """Images whose value is the column, and whose second channel is the row."""
  rows, columns = np.meshgrid(np.arange(height), np.arange(width), indexing='ij')
  image = np.stack([columns, rows], axis=-1).astype(np.float32)
  return jnp.asarray(np.repeat(image[None], count, axis=0))


def test_an_image_that_fits_is_not_touched():
  images = ramp()
  assert views.prepare(images, (8, 8, 2)) is images


def test_the_centre_is_cut_out():
  found = views.prepare(ramp(), (4, 4, 2), crop=0.5)
  np.testing.assert_array_equal(found[0, :, :, 0], [[2, 3, 4, 5]] * 4)


def test_antialiasing_averages_what_shrinks():
  stripes = jnp.tile(jnp.array([0.0, 1.0, 1.0, 0.0]), 2)
  images = jnp.broadcast_to(stripes[None, None, :, None], (1, 8, 8, 1))
  smooth = views.prepare(images, (2, 2, 1))
  rough = views.prepare(images, (2, 2, 1), antialias=False)
  # Pillow 13.0.0, resize((2, 2), BILINEAR) of a float image of these stripes
  np.testing.assert_allclose(smooth[0, 0, :, 0], [0.53571427] * 2, rtol=1e-5)
  np.testing.assert_allclose(rough[0, 0, :, 0], [1, 1])  # between columns 1 and 2


def test_a_wrong_number_of_channels_and_a_wrong_share_are_refused():
  with pytest.raises(InputError, match='2 channels'):
    views.prepare(ramp(), (8, 8, 3))
  with pytest.raises(InputError, match=r'crop=1\.5'):
    views.prepare(ramp(), (8, 8, 2), crop=1.5)


def test_random_crops_keep_shares_and_ratios():
  count = 300
  keys = views.sample_keys(jax.random.key(0), count)
  images = ramp(count, 16, 16)
  found = views.random_resized_crop(keys, images, (0.5, 0.9), (0.8, 1.2))
  # In the middle of the picture the slope of a ramp is the share of the side kept.
  wide = np.asarray(found[:, 8, 9, 0] - found[:, 8, 8, 0])
  high = np.asarray(found[:, 9, 8, 1] - found[:, 8, 8, 1])
  area, ratio = wide * high, wide / high
  assert 0.5 <= area.min() < 0.52
  assert 0.88 < area.max() <= 0.9001
  assert 0.7999 <= ratio.min() < 0.83
  assert 1.17 < ratio.max() <= 1.2001
  left = np.asarray(found[:, 8, 8, 0]) - wide * 8.5  # of the rectangle, less half
  assert left.min() >= -0.501
  assert left.max() > 3


def test_the_whole_is_not_touched():
  images = ramp()
  keys = views.sample_keys(jax.random.key(0), 1)
  assert views.random_resized_crop(keys, images, (1, 1)) is images


def test_a_ratio_that_never_fits_takes_the_largest_in_the_centre():
  # A ratio of 4 within a square at full area: width 8, height 2, rows 3 and 4.
  keys = views.sample_keys(jax.random.key(0), 1)
  found = views.random_resized_crop(keys, ramp(), (1, 1), (4, 4))
  np.testing.assert_allclose(found[0, :, 4, 1].mean(), 3.5, atol=1e-3)
  np.testing.assert_allclose(found[0, 4, :, 0], np.arange(8), atol=1e-3)


def test_a_batch_may_share_one_view():
  images = ramp(4)
  one = views.sample_keys(jax.random.key(1), 4, 'per_batch')
  own = views.sample_keys(jax.random.key(1), 4, 'per_sample')
  shared = views.random_resized_crop(one, images, (0.3, 0.9))
  apart = views.random_resized_crop(own, images, (0.3, 0.9))
  assert (shared == shared[:1]).all()
  assert not (apart == apart[:1]).all()
  # The first candidate sees the same, whoever is beside it.
  alone = views.sample_keys(jax.random.key(1), 1)
  np.testing.assert_allclose(
    views.random_resized_crop(alone, images[:1], (0.3, 0.9)), apart[:1], rtol=1e-6
  )


def test_half_of_the_images_are_mirrored():
  keys = views.sample_keys(jax.random.key(0), 400)
  images = ramp(400)
  found = views.random_flip(keys, images)
  is_same = np.asarray((found == images).all(axis=(1, 2, 3)))
  is_mirrored = np.asarray((found == images[:, :, ::-1]).all(axis=(1, 2, 3)))
  assert (is_same ^ is_mirrored).all()
  assert 160 < is_mirrored.sum() < 240


def test_bytes_of_images():
  found = views.to_uint8(jnp.array([-0.2, 0.5, 1.3, jnp.nan]))
  np.testing.assert_array_equal(found, [0, 128, 255, 0])
