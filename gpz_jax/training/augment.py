"""Augmentation of target training images; attacks never augment."""

import chex
import dm_pix
import jax
import jax.numpy as jnp


def augment(
  key: jax.Array, images: jax.Array, *, flip: bool = False, jitter: float = 0.0
) -> jax.Array:
  """Flips images horizontally and jitters their colours, at random for each image.

  Args:
    key: The random key of this batch.
    images: [B, H, W, C] in [0, 1].
    flip: Whether to mirror each image with probability 1/2.
    jitter: The amplitude of brightness, contrast, saturation and hue; the last two
      change colour images only. The released code of the paper uses 0.2.

  Returns:
    [B, H, W, C] in [0, 1].
  """

  chex.assert_rank(images, 4, custom_message='images [B, H, W, C]')

  def one(key, image):
    keys = jax.random.split(key, 5)
    if flip:
      image = dm_pix.random_flip_left_right(keys[0], image)
    if jitter:
      low, high = 1 - jitter, 1 + jitter
      image = dm_pix.random_brightness(keys[1], image, jitter)
      image = dm_pix.random_contrast(keys[2], image, lower=low, upper=high)
      if images.shape[-1] == 3:
        image = jnp.clip(image, 0, 1)  # hue and saturation are defined on colours
        image = dm_pix.random_saturation(keys[3], image, lower=low, upper=high)
        image = dm_pix.random_hue(keys[4], image, jitter)
    return jnp.clip(image, 0, 1)

  if not flip and not jitter:
    return images
  return jax.vmap(one)(jax.random.split(key, len(images)), images)
