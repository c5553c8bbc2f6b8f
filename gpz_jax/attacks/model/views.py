"""How an image of a generator becomes what a target is given.

It is cut to its centre, resized, and perhaps cropped and mirrored at random. All of it
has a gradient. Random views take a key for each image, so that what a candidate sees
does not depend on which others are beside it.

Source: docs/paper.md#plug-and-play-attacks.
"""

from typing import Literal

import chex
import jax
import jax.numpy as jnp

from gpz_jax.types import InputError

Range = tuple[float, float]
Convention = Literal['per_sample', 'per_batch']
FACES = 800 / 1024  # the share of each side that is the face in StyleGAN's FFHQ
_TRIES = 10  # of torchvision, before it takes the centre


def prepare(
  images: jax.Array,
  image_shape: tuple[int, int, int],
  *,
  crop: float = 1.0,
  antialias: bool = True,
) -> jax.Array:
  """Cuts images to their centre and resizes them bilinearly.

  Args:
    images: [B, h, w, C] as the generator makes them.
    image_shape: (H, W, C) of what the target takes.
    crop: The share of each side that is kept, in (0, 1]: `FACES`, or 1 for all.
    antialias: Whether an image that shrinks is smoothed first.

  Returns:
    [B, H, W, C]; the images themselves where nothing is to be done.

  Raises:
    InputError: The number of channels differs, or `crop` is not a share.
  """
  chex.assert_rank(images, 4, custom_message='images [B, h, w, C]')
  channels = images.shape[-1]
  if channels != image_shape[-1]:
    raise InputError(
      f'the generator makes images of {channels} channels, but the target takes'
      f' {image_shape[-1]}; take a generator with as many'
    )
  images = cut(images, crop)
  if images.shape[1:] == image_shape:
    return images
  shape = (len(images), *image_shape)
  return jax.image.resize(images, shape, 'linear', antialias=antialias)


def cut(images: jax.Array, crop: float) -> jax.Array:
  """The centre of images [B, h, w, C] that holds a share `crop` of each side.

  Raises:
    InputError: `crop` is not a share.
  """
  if not 0 < crop <= 1:
    raise InputError(f'crop={crop:g} is not a share of a side; give one above 0 to 1')
  height, width = images.shape[1:3]
  rows, columns = max(1, round(height * crop)), max(1, round(width * crop))
  top, left = (height - rows) // 2, (width - columns) // 2
  return images[:, top : top + rows, left : left + columns]


def shrink(images: jax.Array, most_side: int | None) -> jax.Array:
  """Images [B, h, w, C] of which no side is longer; as they are where none is."""
  height, width = images.shape[1:3]
  if most_side is None or max(height, width) <= most_side:
    return images
  scale = most_side / max(height, width)
  rows, columns = max(1, round(height * scale)), max(1, round(width * scale))
  shape = (len(images), rows, columns, images.shape[-1])
  return jax.image.resize(images, shape, 'linear', antialias=True)


def sample_keys(
  key: jax.Array, count: int, convention: Convention = 'per_sample'
) -> jax.Array:
  """The keys [B] of the random views of B candidates.

  Args:
    key: The key of the class and the step.
    count: B.
    convention: `per_sample` draws a view for each image. `per_batch` draws one for all,
      as torchvision does with a batch of images.
  """
  if convention == 'per_batch':
    return jnp.broadcast_to(key, (count,))
  return jax.vmap(lambda i: jax.random.fold_in(key, i))(jnp.arange(count))


def random_resized_crop(
  keys: jax.Array,
  images: jax.Array,
  scale: Range,
  ratio: Range = (1.0, 1.0),
  *,
  antialias: bool = True,
) -> jax.Array:
  """Enlarges a random rectangle of each image to the whole.

  The rectangle is drawn as by torchvision's RandomResizedCrop, but is not rounded to
  whole pixels.

  Args:
    keys: A key for each image, [B].
    images: [B, H, W, C].
    scale: The least and the largest share of the area that is kept.
    ratio: The least and the largest width over height.
    antialias: Whether a rectangle that shrinks is smoothed first.

  Returns:
    [B, H, W, C]; the images themselves where nothing can be cropped.
  """
  chex.assert_rank(images, 4, custom_message='images [B, H, W, C]')
  chex.assert_shape(keys, images.shape[:1], custom_message='keys [B]')
  height, width = images.shape[1:3]
  if scale == (1, 1) and ratio == (1, 1) and height == width:
    return images

  def one(key, image):
    corner, size = _rectangle(key, (height, width), scale, ratio)
    zoom = jnp.array([height, width], jnp.float32) / size
    return jax.image.scale_and_translate(
      image, image.shape, (0, 1), zoom, -corner * zoom, 'linear', antialias
    )

  return jax.vmap(one)(keys, images)


def _rectangle(
  key: jax.Array, sides: tuple[int, int], scale: Range, ratio: Range
) -> tuple[jax.Array, jax.Array]:
  """The corner and the size, each [2], of a random rectangle: the first that fits."""
  area_key, ratio_key, place_key = jax.random.split(key, 3)
  height, width = sides
  low, high = (jnp.log(jnp.float32(end)) for end in ratio)
  area = height * width
  areas = area * jax.random.uniform(
    area_key, (_TRIES,), minval=scale[0], maxval=scale[1]
  )
  ratios = jnp.exp(low + (high - low) * jax.random.uniform(ratio_key, (_TRIES,)))
  sizes = jnp.stack([jnp.sqrt(areas / ratios), jnp.sqrt(areas * ratios)], axis=-1)
  whole = jnp.array([height, width], jnp.float32)
  fits = jnp.all(sizes <= whole[None], axis=-1)
  # The rectangle of an allowed ratio that is as large as can be, in the centre.
  shape = min(max(width / height, ratio[0]), ratio[1])
  largest = jnp.array([min(height, width / shape), min(width, height * shape)])
  size = jnp.where(fits.any(), sizes[jnp.argmax(fits)], largest)
  share = jnp.where(fits.any(), jax.random.uniform(place_key, (2,)), 0.5)
  return share * (whole - size), size


def random_flip(keys: jax.Array, images: jax.Array) -> jax.Array:
  """Mirrors each image [B, H, W, C] with probability 1/2, by keys [B]."""
  chex.assert_shape(keys, images.shape[:1], custom_message='keys [B]')
  flips = jax.vmap(jax.random.bernoulli)(keys)
  return jnp.where(flips[:, None, None, None], images[:, :, ::-1], images)


def to_uint8(images: jax.Array) -> jax.Array:
  """Images nearly in [0, 1] as bytes; what is no number is black."""
  return jnp.round(jnp.clip(jnp.nan_to_num(images), 0, 1) * 255).astype(jnp.uint8)
