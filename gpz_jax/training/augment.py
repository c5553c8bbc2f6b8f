"""Augmentation of target training images; attacks never augment."""

import chex
import dm_pix
import jax
import jax.numpy as jnp

_LUMA = (0.2989, 0.587, 0.114)  # the grey of torchvision


def augment(
  key: jax.Array, images: jax.Array, *, flip: bool = False, jitter: float = 0.0
) -> jax.Array:
  """Flips images horizontally and jitters their colours, at random for each image.

  Args:
    key: The random key of this batch.
    images: [B, H, W, C] in [0, 1].
    flip: Whether to mirror each image with probability 1/2.
    jitter: The amplitude of brightness, contrast, saturation and hue, in [0, 1); the
      last two change colour images only. The released code of the paper uses 0.2.

  Returns:
    [B, H, W, C] in [0, 1].

  Source: The jitter is that of the released code (docs/paper.md#data).
  """

  chex.assert_rank(images, 4, custom_message='images [B, H, W, C]')

  def one(key, image):
    flip_key, jitter_key = jax.random.split(key)
    if flip:
      image = jnp.asarray(dm_pix.random_flip_left_right(flip_key, image))
    if jitter:
      image = _jitter_colours(jitter_key, image, jitter)
    return jnp.clip(image, 0, 1)

  if not flip and not jitter:
    return images
  return jax.vmap(one)(jax.random.split(key, len(images)), images)


def adjust_brightness(image: jax.Array, factor: jax.Array | float) -> jax.Array:
  """The image [H, W, C] times a factor, in [0, 1]."""
  return _blend(image, 0.0, factor)


def adjust_contrast(image: jax.Array, factor: jax.Array | float) -> jax.Array:
  """Moves an image [H, W, C] away from the mean of its grey image; stays in [0, 1]."""
  return _blend(image, _grey(image).mean(), factor)


def adjust_saturation(image: jax.Array, factor: jax.Array | float) -> jax.Array:
  """Moves an image [H, W, 3] away from its grey image; stays in [0, 1]."""
  return _blend(image, jnp.broadcast_to(_grey(image), image.shape), factor)


def adjust_hue(image: jax.Array, turn: jax.Array | float) -> jax.Array:
  """Turns the hue of an image [H, W, 3] by a share of the full circle."""
  red, green, blue = jnp.moveaxis(image, -1, 0)
  high = image.max(-1)
  chroma = high - image.min(-1)
  divisor = jnp.where(chroma == 0, 1, chroma)
  sixths = jnp.where(
    high == red,
    (green - blue) / divisor,
    jnp.where(high == green, 2 + (blue - red) / divisor, 4 + (red - green) / divisor),
  )
  # From HSV back to each channel, which lies a third of the circle from the next.
  places = [(offset + sixths + 6 * turn) % 6 for offset in (5, 3, 1)]
  place = jnp.stack(places, axis=-1)
  below = jnp.clip(jnp.minimum(place, 4 - place), 0, 1)
  return jnp.clip(high[..., None] - chroma[..., None] * below, 0, 1)


def _jitter_colours(key: jax.Array, image: jax.Array, amplitude: float) -> jax.Array:
  """Changes brightness, contrast, saturation and hue of [H, W, C] in random order."""
  changes = [adjust_brightness, adjust_contrast]
  if image.shape[-1] == 3:
    changes += [adjust_saturation, lambda image, factor: adjust_hue(image, factor - 1)]
  order_key, factor_key = jax.random.split(key)
  factors = jax.random.uniform(
    factor_key, (len(changes),), minval=1 - amplitude, maxval=1 + amplitude
  )
  order = jax.random.permutation(order_key, len(changes))
  for step in range(len(changes)):
    which = order[step]
    image = jax.lax.switch(which, changes, image, factors[which])
  return image


def _grey(image: jax.Array) -> jax.Array:
  """The grey image [H, W, 1] of [H, W, C]."""
  if image.shape[-1] != 3:
    return image
  return (image * jnp.asarray(_LUMA, image.dtype)[None, None]).sum(-1, keepdims=True)


def _blend(
  image: jax.Array, other: jax.Array | float, factor: jax.Array | float
) -> jax.Array:
  """`factor` parts of an image and 1 - factor of another, in [0, 1]."""
  return jnp.clip(factor * image + (1 - factor) * other, 0, 1)
