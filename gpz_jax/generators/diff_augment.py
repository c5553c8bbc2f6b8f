"""DiffAugment: what critics see is augmented, real or not, and differentiably.

A critic then cannot learn few public images by heart. As the generator's gradient goes
through the augmentation, it need not make augmented images.

Source: Zhao et al. 2020, whose ranges these are.
"""

import jax
import jax.numpy as jnp

from gpz_jax.types import check_known

_SHIFT = 1 / 8  # of the side
_HOLE = 1 / 2  # of the side


def diff_augment(key: jax.Array, images: jax.Array, kinds: str) -> jax.Array:
  """Augments each image in ways of its own.

  Args:
    key: The random key of this batch.
    images: [B, H, W, C] nearly in [0, 1].
    kinds: Names of `KINDS` joined by '+', or 'none'.

  Returns:
    [B, H, W, C]. Colours may leave [0, 1].
  """
  for name in parse(kinds):
    images = KINDS[name](jax.random.fold_in(key, list(KINDS).index(name)), images)
  return images


def parse(kinds: str) -> tuple[str, ...]:
  """The augmentations that a text names.

  Raises:
    InputError: One of them is not known.
  """
  names = () if kinds == 'none' else tuple(kinds.split('+'))
  for name in names:
    check_known('augmentation', name, [*KINDS, 'none'])
  return names


def _colour(key: jax.Array, images: jax.Array) -> jax.Array:
  """Changes brightness by up to 0.25, saturation up to twofold, contrast by half."""
  draws = jax.random.uniform(key, (3, len(images), 1, 1, 1))
  images = images + (draws[0] - 0.5) / 2
  grey = images.mean(-1, keepdims=True)
  images = grey + (images - grey) * (2 * draws[1])
  mean = images.mean((1, 2, 3), keepdims=True)
  return mean + (images - mean) * (draws[2] + 0.5)


def _translation(key: jax.Array, images: jax.Array) -> jax.Array:
  """Moves each image by up to an eighth of its sides; zeros come in.

  It multiplies by 0 and 1, because the gradient of a gather is slow inside loops.
  """

  def mover(key, side):
    most = round(side * _SHIFT)
    moves = jax.random.randint(key, (len(images), 1, 1), -most, most + 1)
    places = jnp.arange(side)
    apart = places[None, :, None] - places[None, None, :]
    return (apart == moves).astype(images.dtype)  # [B, to, from]

  row_key, column_key = jax.random.split(key)
  rows = mover(row_key, images.shape[1])
  columns = mover(column_key, images.shape[2])
  images = jnp.einsum('bih,bhwc->biwc', rows, images)
  return jnp.einsum('bjw,biwc->bijc', columns, images)


def _cutout(key: jax.Array, images: jax.Array) -> jax.Array:
  """Blackens a square of half the side, anywhere and perhaps over the border."""

  def inside(key, side):
    hole = round(side * _HOLE)
    middles = jax.random.randint(key, (len(images), 1), 0, side + 1)
    away = jnp.arange(side)[None] - middles + hole // 2
    return (away >= 0) & (away < hole)

  row_key, column_key = jax.random.split(key)
  rows = inside(row_key, images.shape[1])[:, :, None, None]
  columns = inside(column_key, images.shape[2])[:, None, :, None]
  return images * (1 - (rows & columns).astype(images.dtype))


KINDS = {'colour': _colour, 'translation': _translation, 'cutout': _cutout}
