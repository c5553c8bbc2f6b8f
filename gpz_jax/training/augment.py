"""Augmentation of target training images; attacks never augment."""

import chex
import dm_pix
import jax
import jax.numpy as jnp

from gpz_jax.training.recipe import Jitter

_LUMA = (0.2989, 0.587, 0.114)  # the grey of torchvision


def augment(
  key: jax.Array,
  images: jax.Array,
  *,
  flip: bool = False,
  jitter: Jitter = 0.0,
  shift: int = 0,
  least_crop: float = 1.0,
) -> jax.Array:
  """Moves, crops, flips and jitters images, at random for each image.

  Args:
    key: The random key of this batch.
    images: [B, H, W, C] in [0, 1].
    flip: Whether to mirror each image with probability 1/2.
    jitter: The amplitude of brightness, contrast, saturation and hue, in [0, 1); the
      last two change colour images only. The released code of the first paper uses 0.2.
    shift: The most pixels that an image is moved by in each direction; zeros move in.
    least_crop: The least share of the area that a square crop keeps, in (0, 1]. What is
      kept is resized to the whole image.

  Returns:
    [B, H, W, C] in [0, 1].

  Source: The jitter is that of the released code (docs/paper.md#data). The crop is
  torchvision's RandomResizedCrop with a ratio of 1 (docs/paper.md#recipes).
  """

  chex.assert_rank(images, 4, custom_message='images [B, H, W, C]')

  def one(key, image):
    # Not fold_in(key, 1), which is the key of the jitter. fold_in(key, 0) is that of
    # the flip, but randint takes other bits of it, and recorded runs rest on them.
    flip_key, jitter_key, crop_key = jax.random.split(key, 3)
    if shift:
      image = _shift(jax.random.fold_in(key, 0), image, shift)
    if least_crop < 1:
      image = _crop(crop_key, image, least_crop)
    if flip:
      image = jnp.asarray(dm_pix.random_flip_left_right(flip_key, image))
    if jitter:
      image = _jitter_colours(jitter_key, image, jitter)
    return jnp.clip(image, 0, 1)

  if not (flip or jitter or shift or least_crop < 1):
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


def _shift(key: jax.Array, image: jax.Array, most: int) -> jax.Array:
  """Moves [H, W, C] by up to `most` pixels; zeros come in."""
  padded = jnp.pad(image, ((most, most), (most, most), (0, 0)))
  begin = jax.random.randint(key, (2,), 0, 2 * most + 1)
  return jax.lax.dynamic_slice(padded, (begin[0], begin[1], 0), image.shape)


def _crop(key: jax.Array, image: jax.Array, least: float) -> jax.Array:
  """Enlarges a random crop of [H, W, C] that keeps at least a share of the area."""
  area_key, place_key = jax.random.split(key)
  side = jnp.sqrt(jax.random.uniform(area_key, (), minval=least))  # share of each side
  size = jnp.array(image.shape[:2], jnp.float32)
  corner = jax.random.uniform(place_key, (2,)) * size * (1 - side)
  return jax.image.scale_and_translate(
    image,
    image.shape,
    (0, 1),
    jnp.full(2, 1 / side),
    -corner / side,
    method='linear',
  )


def _jitter_colours(key: jax.Array, image: jax.Array, amplitude: Jitter) -> jax.Array:
  """Changes brightness, contrast, saturation and hue of [H, W, C] in random order."""
  changes = [adjust_brightness, adjust_contrast]
  if image.shape[-1] == 3:
    changes += [adjust_saturation, lambda image, factor: adjust_hue(image, factor - 1)]
  order_key, factor_key = jax.random.split(key)
  each = amplitude if isinstance(amplitude, tuple) else (amplitude,) * 4
  low, high = ([1 + sign * a for a in each[: len(changes)]] for sign in (-1, 1))
  factors = jax.random.uniform(
    factor_key, (len(changes),), minval=jnp.array(low), maxval=jnp.array(high)
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
