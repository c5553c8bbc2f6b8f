"""The random views of PLG-MI: cropped, jittered, mirrored and turned a little."""

import jax

from gpz_jax.attacks.model import adaptive, views
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
  return adaptive.turn(turn, images, DEGREES)


def _jitter(key: jax.Array, image: jax.Array) -> jax.Array:
  """Changes brightness, then contrast, of an image [H, W, C]."""
  factors = jax.random.uniform(key, (2,), minval=1 - JITTER, maxval=1 + JITTER)
  image = training_augment.adjust_brightness(image, factors[0])
  return training_augment.adjust_contrast(image, factors[1])
