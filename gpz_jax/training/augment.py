"""Augmentation of target training images; attacks never augment."""

import dm_pix
import jax
import jax.numpy as jnp


def augment(
  key: jax.Array, images: jax.Array, *, flip: bool = False, jitter: float = 0.0
) -> jax.Array:
  """Random horizontal flip and colour jitter, drawn for each image.

  Args:
    key: of this batch.
    images: [B, H, W, C] in [0, 1].
    flip: mirror with probability 1/2.
    jitter: amplitude of brightness, contrast, saturation and hue (the last two on
      colour images only); the released code of the paper uses 0.2.

  Returns:
    [B, H, W, C] in [0, 1].
  """

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
