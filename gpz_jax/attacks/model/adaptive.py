"""The attacker who averages a gradient over many views of an image.

A target's gradient at one image is noisy, the more so where a defence made it so. The
attacker takes the mean over views of the image, before it is pulled back through the
generator. `taa` crops, mirrors and turns the views; `paa` adds noise to them.

Source: docs/paper.md#averaged-gradients.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp
from jax import lax

from gpz_jax.attacks.model import views as views_lib
from gpz_jax.attacks.model.views import Range
from gpz_jax.types import InputError, check_known

Kind = Literal['none', 'taa', 'paa']
KINDS = ('none', 'taa', 'paa')
_OBJECTIVE = 2**32 - 1  # folded into the objective's key; small ones are of images
# (what is differentiated, key) -> losses [B] and anything else that is averaged too
Objective = Callable[[Any, jax.Array], tuple[jax.Array, Any]]


@dataclasses.dataclass(frozen=True)
class Adaptive:
  """How an image-space gradient is averaged.

  Attributes:
    kind: `taa`, `paa` or `none`.
    views: How many views are averaged, K.
    scale: The least and the largest share of the area that a view keeps.
    ratio: The least and the largest width over height.
    degrees: The most that a view is turned either way.
    flips: Whether every other view is mirrored.
    sigma: The deviation of the noise of `paa`, as a share of the range of pixels.
  """

  kind: Kind = 'none'
  views: int = 20
  scale: Range = (0.8, 1.0)
  ratio: Range = (0.9, 1.1)
  degrees: float = 5.0
  flips: bool = True
  sigma: float = 0.05

  def __post_init__(self):
    check_known('adaptive', self.kind, KINDS)
    if not 1 <= self.views < 2**16:
      raise InputError(f'views={self.views} must be at least 1 and below 65536')

  def see(self, key: jax.Array, images: jax.Array) -> jax.Array:
    """One view of each image [B, H, W, C], drawn anew for every key and image."""
    keys = views_lib.sample_keys(key, len(images))
    if self.kind == 'paa':
      draw = jax.vmap(lambda key, image: jax.random.normal(key, image.shape))
      return images + self.sigma * draw(keys, images)
    if self.kind == 'none':
      return images
    split = _split_each(keys, 3)
    crop_key, turn_key, flip_key = split[:, 0], split[:, 1], split[:, 2]
    images = views_lib.random_resized_crop(crop_key, images, self.scale, self.ratio)
    if self.degrees:
      images = turn(turn_key, images, self.degrees)
    return views_lib.random_flip(flip_key, images) if self.flips else images

  def gradient(
    self, objective: Objective, at: tuple[jax.Array, Any], key: jax.Array
  ) -> tuple[tuple[jax.Array, Any], tuple[jax.Array, Any]]:
    """The losses of images and the gradient of their sum.

    Args:
      objective: Takes (images, others) and a key to losses [B] and more. Each image's
        loss must depend on no other image.
      at: Images [B, H, W, C] of which views are taken, and a pytree of what else the
        gradient is wanted for.
      key: The key of the step.

    Returns:
      What `objective` gives and the gradient, both averaged over views.
    """

    def total_loss(at, key):
      images, others = at
      seen = self.see(key, images)
      # Without views the objective gets the key itself.
      key = key if self.kind == 'none' else jax.random.fold_in(key, _OBJECTIVE)
      losses, more = objective((seen, others), key)
      return losses.sum(), (losses, more)

    def one(key):
      (_, found), gradient = jax.value_and_grad(total_loss, has_aux=True)(at, key)
      return found, gradient

    if self.kind == 'none':
      return one(key)

    # One view after the other, so that memory does not grow with their number.
    def add(i, total):
      return jax.tree.map(jnp.add, total, one(jax.random.fold_in(key, i)))

    shapes = jax.eval_shape(one, key)
    zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
    total = lax.fori_loop(0, self.views, add, zeros)
    return jax.tree.map(lambda leaf: leaf / self.views, total)


def turn(keys: jax.Array, images: jax.Array, degrees: float) -> jax.Array:
  """Turns each image about its centre by a random angle; black comes in.

  Args:
    keys: A key for each image, [B].
    images: [B, H, W, C].
    degrees: The most that an image is turned, either way.

  Returns:
    [B, H, W, C], interpolated bilinearly.
  """

  def one(key, image):
    angle = jnp.deg2rad(jax.random.uniform(key, (), minval=-degrees, maxval=degrees))
    return _turned(image, angle)

  return jax.vmap(one)(keys, images)


def _turned(image: jax.Array, angle: jax.Array) -> jax.Array:
  """The image [H, W, C] turned by an angle in radians."""
  height, width, _ = image.shape
  rows, columns = jnp.meshgrid(
    jnp.arange(height) - (height - 1) / 2,
    jnp.arange(width) - (width - 1) / 2,
    indexing='ij',
  )
  cosine, sine = jnp.cos(angle), jnp.sin(angle)
  at = (
    cosine * rows + sine * columns + (height - 1) / 2,
    cosine * columns - sine * rows + (width - 1) / 2,
  )
  sample = jax.vmap(
    lambda channel: jax.scipy.ndimage.map_coordinates(channel, list(at), order=1),
    in_axes=-1,
    out_axes=-1,
  )
  return sample(image)


def _split_each(keys: jax.Array, count: int) -> jax.Array:
  """Keys [B] -> [B, count]."""
  return jax.vmap(lambda key: jax.random.split(key, count))(keys)
