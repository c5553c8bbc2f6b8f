"""Flip and jitter."""

import colorsys
import itertools
import pathlib

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gpz_jax.data import images
from gpz_jax.data.sources import prepared
from gpz_jax.training import augment as augmentation
from gpz_jax.training.augment import augment

IMAGES = jax.random.uniform(jax.random.key(0), (64, 4, 4, 3))


def test_flip_mirrors_about_half_of_the_images_and_no_pixel_else():
  found = np.asarray(augment(jax.random.key(1), IMAGES, flip=True))
  same = (found == IMAGES).all(axis=(1, 2, 3))
  mirrored = (found == IMAGES[:, :, ::-1]).all(axis=(1, 2, 3))
  assert (same ^ mirrored).all()
  assert 16 < mirrored.sum() < 48  # 64 fair coins: 4 sigma either way


@pytest.mark.ci
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


# By hand: the grey of (1, 0.5, 0) is 0.2989 + 0.2935 = 0.5924; that of black is 0, so
# that the mean of both is 0.2962.
PAIR = np.array([[[1, 0.5, 0], [0, 0, 0]]], np.float32)


@pytest.mark.parametrize(
  ('change', 'amount', 'expected'),
  [
    (augmentation.adjust_brightness, 0.8, [[0.8, 0.4, 0], [0, 0, 0]]),
    (augmentation.adjust_brightness, 1.2, [[1, 0.6, 0], [0, 0, 0]]),
    (
      augmentation.adjust_contrast,
      0.8,
      [[0.85924, 0.45924, 0.05924], [0.05924, 0.05924, 0.05924]],
    ),
    (
      augmentation.adjust_saturation,
      0.8,
      [[0.91848, 0.51848, 0.11848], [0, 0, 0]],
    ),
    (augmentation.adjust_hue, 1 / 3, [[0, 1, 0.5], [0, 0, 0]]),
    (augmentation.adjust_hue, -1 / 12, [[1, 0, 0], [0, 0, 0]]),
  ],
)
def test_each_change_by_hand(change, amount, expected):
  np.testing.assert_allclose(change(PAIR, amount)[0], expected, atol=1e-6)


def test_contrast_of_a_grey_image_is_about_its_mean():
  grey = jax.numpy.array([[[0.2], [0.6]]])  # by hand: mean 0.4
  found = augmentation.adjust_contrast(grey, 1.5)
  np.testing.assert_allclose(found, [[[0.1], [0.7]]], atol=1e-6)


def test_hue_agrees_with_the_standard_library():
  found = augmentation.adjust_hue(IMAGES[0], 0.17)
  for old, new in zip(
    np.asarray(IMAGES[0]).reshape(-1, 3),
    np.asarray(found).reshape(-1, 3),
    strict=True,
  ):
    hue, saturation, value = colorsys.rgb_to_hsv(*old)
    expected = colorsys.hsv_to_rgb((hue + 0.17) % 1, saturation, value)
    np.testing.assert_allclose(new, expected, atol=1e-5)


def like_torchvision(image: np.ndarray, factors, order) -> np.ndarray:
  """ColorJitter's formulas on [H, W, 3] in numpy, in a given order."""
  for which in order:
    grey = image @ np.array([0.2989, 0.587, 0.114])
    if which == 3:
      hsv = [colorsys.rgb_to_hsv(*pixel) for pixel in image.reshape(-1, 3)]
      turned = [
        colorsys.hsv_to_rgb((hue + factors[3] - 1) % 1, saturation, value)
        for hue, saturation, value in hsv
      ]
      image = np.array(turned).reshape(image.shape)
    else:
      other = (0, grey.mean(), grey[..., None])[which]
      image = factors[which] * image + (1 - factors[which]) * other
    image = image.clip(0, 1)
  return image


def test_each_image_is_jittered_like_torchvision_in_an_order_of_its_own():
  key = jax.random.key(3)
  found = np.asarray(augment(key, IMAGES, jitter=0.2))
  orders = list(itertools.permutations(range(4)))
  seen = set()
  for image_key, old, new in zip(
    jax.random.split(key, 64), np.asarray(IMAGES), found, strict=True
  ):
    factor_key = jax.random.split(jax.random.split(image_key)[1])[1]
    factors = np.asarray(
      jax.random.uniform(factor_key, (4,), minval=0.8, maxval=1.2), np.float64
    )
    errors = [
      np.abs(like_torchvision(old.astype(float), factors, order) - new).max()
      for order in orders
    ]
    assert min(errors) < 1e-5
    seen.add(int(np.argmin(errors)))
  assert len(seen) > 12  # 64 draws of 24 orders: 22 are expected, 2 sigma is 2


@chex.assert_max_traces(n=1)
def jittered(key, batch):
  return augment(key, batch, jitter=0.2)


def test_lanes_are_jittered_alike_by_one_program():
  keys = jax.random.split(jax.random.key(5), 2)
  lanes = IMAGES.reshape(2, 32, 4, 4, 3)
  batched = jax.jit(jax.vmap(jittered))
  found = [batched(keys, lanes) for _ in range(2)]
  alone = [augment(keys[i], lanes[i], jitter=0.2) for i in range(2)]
  chex.assert_trees_all_equal(*found)
  chex.assert_trees_all_close(found[0], np.stack(alone), atol=1e-6)


@pytest.mark.parametrize(
  ('name', 'expected'),
  # The mean change by torchvision's formulas, over 1,000 test images.
  [('cifar10', 0.061), ('mnist', 0.017)],
)
def test_mean_change_of_real_images(name, expected, real_data_dir):
  folder = prepared.version_folder(pathlib.Path(real_data_dir), name)
  assert folder is not None
  source = prepared.open_source(name, folder)
  first = list(itertools.islice(source.read('test'), 1000))
  pixels = images.decode(first, 1000, channels=source.channels, size=None).image
  before = jax.numpy.asarray(pixels, np.float32) / 255
  after = augment(jax.random.key(0), before, jitter=0.2)
  change = float(np.abs(np.asarray(after) - before).mean())
  print(f'{name}: {change:.4f}')
  assert abs(change - expected) < 0.1 * expected


def test_shifted_images_are_cut_out_of_padded_ones():
  found = np.asarray(augment(jax.random.key(2), IMAGES, shift=2))
  padded = np.pad(np.asarray(IMAGES), ((0, 0), (2, 2), (2, 2), (0, 0)))
  height, width = IMAGES.shape[1:3]
  places = set()
  for image, source in zip(found, padded, strict=True):
    fits = [
      (i, j)
      for i in range(5)
      for j in range(5)
      if np.array_equal(image, source[i : i + height, j : j + width])
    ]
    assert len(fits) == 1
    places.update(fits)
  assert len(places) > 1


def test_a_crop_enlarges_a_part_of_the_image():
  ramp = jnp.broadcast_to(jnp.linspace(0, 1, 32)[:, None, None], (64, 32, 32, 3))
  found = np.asarray(augment(jax.random.key(3), ramp, least_crop=0.5))[:, :, 0, 0]
  slope = np.diff(found[:, 4:-4], axis=1).mean(1) * 31  # 1 in the whole image
  assert slope.min() >= np.sqrt(0.5) - 0.01
  assert slope.max() <= 1.01
  assert slope.std() > 0.05
  assert found[:, 4:-4].min() >= 0
  assert found[:, 0].std() > 0.02  # the crop begins anywhere


def test_each_part_of_the_jitter_has_its_own_amplitude():
  grey = jnp.full((4, 4, 4, 3), 0.5)  # contrast, saturation and hue leave it alone
  still = augment(jax.random.key(0), grey, jitter=(0.0, 0.2, 0.2, 0.2))
  np.testing.assert_allclose(still, grey, atol=1e-4)  # luma sums to 0.9999
  brighter = augment(jax.random.key(0), grey, jitter=(0.2, 0.0, 0.0, 0.0))
  assert np.ptp(np.asarray(brighter)[:, 0, 0, 0]) > 0.01
  same = augment(jax.random.key(1), IMAGES, jitter=(0.2, 0.2, 0.2, 0.2))
  np.testing.assert_array_equal(same, augment(jax.random.key(1), IMAGES, jitter=0.2))


@pytest.mark.parametrize('sides', [{'least_crop': 0.5}, {'shift': 4}])
@pytest.mark.parametrize('other', ['brightness', 'mirror'])
def test_the_place_of_an_image_says_nothing_of_its_colours_and_its_flip(sides, other):
  """The crop's place once hung on the factor of brightness: they correlated at 1."""
  side = 16
  ramp = jnp.linspace(0.2, 0.6, side)
  flat = jnp.full((side, side), 0.4)
  image = jnp.stack([ramp[:, None] + 0 * flat, ramp[None] + 0 * flat, flat], axis=-1)
  found = np.asarray(
    augment(
      jax.random.key(3),
      jnp.broadcast_to(image, (600, side, side, 3)),
      flip=other == 'mirror',
      jitter=(0.2, 0.0, 0.0, 0.0) if other == 'brightness' else 0.0,
      **sides,
    )
  )[:, 4:-4, 4:-4]  # where no zeros came in
  brightness = found[..., 2].mean((1, 2))
  place = found[..., 0].mean((1, 2)) / brightness
  mirror = found[:, 0, 0, 1] < found[:, 0, -1, 1]
  assert place.std() > 0.01
  drawn = brightness if other == 'brightness' else mirror
  assert drawn.std() > 0
  # 600 independent pairs: 4 sigma
  assert abs(np.corrcoef(place, drawn)[0, 1]) < 4 / np.sqrt(600)
