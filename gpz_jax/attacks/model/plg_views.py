"""The random views of PLG-MI: cropped, jittered, mirrored and turned a little."""

import jax
import jax.numpy as jnp
from jax.scipy import ndimage

from gpz_jax.attacks.model import views
from gpz_jax.training import augment as training_augment

CROP = (0.8, 1.0)  # share of the area
JITTER = 0.2  # of brightness and contrast
DEGREES = 5.0


def augment(keys: jax.Array, images: jax.Array) -> jax.Array:
  """A random view of each image [B, H, W, C] in [0, 1], by keys [B].

  Source: docs/paper.md#further-attacks.
  """
  crop, flip, turn, jitter = (
    jax.vmap(lambda key, i=i: jax.random.fold_in(key, i))(keys) for i in range(4)
  )
  images = views.random_resized_crop(crop, images, CROP)
  images = jax.vmap(_jitter)(jitter, images)
  images = views.random_flip(flip, images)
  angles = jax.vmap(
    lambda key: jax.random.uniform(key, (), minval=-DEGREES, maxval=DEGREES)
  )(turn)
  return jax.vmap(rotate)(images, angles)


def rotate(image: jax.Array, degrees: jax.Array | float) -> jax.Array:
  """Turns an image [H, W, C] about its centre, bilinearly; zeros come in."""
  height, width, _ = image.shape
  rows, columns = jnp.meshgrid(
    jnp.arange(height) - (height - 1) / 2,
    jnp.arange(width) - (width - 1) / 2,
    indexing='ij',
  )
  angle = jnp.deg2rad(degrees)
  cos, sin = jnp.cos(angle), jnp.sin(angle)
  places = [
    cos * rows - sin * columns + (height - 1) / 2,
    sin * rows + cos * columns + (width - 1) / 2,
  ]
  return jax.vmap(
    lambda channel: ndimage.map_coordinates(channel, places, order=1),
    in_axes=-1,
    out_axes=-1,
  )(image)


def _jitter(key: jax.Array, image: jax.Array) -> jax.Array:
  """Changes brightness, then contrast, of an image [H, W, C]."""
  factors = jax.random.uniform(key, (2,), minval=1 - JITTER, maxval=1 + JITTER)
  image = training_augment.adjust_brightness(image, factors[0])
  return training_augment.adjust_contrast(image, factors[1])
