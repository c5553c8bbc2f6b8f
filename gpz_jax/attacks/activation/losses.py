"""What decoders minimise: a loss for each image, by name or of the user's own.

A loss takes images and reconstructions, [B, H, W, C] float32 in [0, 1], and returns
[B]. Whatever the loss, the epoch is chosen by the squared error on held-out images, so
that decoders of different losses are comparable.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from gpz_jax import metrics, own
from gpz_jax.types import InputError, check_known, first_line

Loss = Callable[[jax.Array, jax.Array], jax.Array]


def l1(images: jax.Array, reconstructions: jax.Array) -> jax.Array:
  """The mean absolute error of each image: [B, H, W, C] twice -> [B]."""
  return jnp.abs(images - reconstructions).mean(axis=(1, 2, 3))


def ssim(images: jax.Array, reconstructions: jax.Array) -> jax.Array:
  """One less the structural similarity of each image: [B, H, W, C] twice -> [B]."""
  return 1 - metrics.ssim(images, reconstructions)


LOSSES: dict[str, Loss] = {'mse': metrics.mse, 'l1': l1, 'ssim': ssim}


def check(name: str) -> None:
  """Refuses a name that is neither known nor of the form package.module:function.

  Nothing is imported.

  Raises:
    InputError: naming the losses there are.
  """
  if ':' not in name:
    check_known('loss', name, LOSSES)


def make(loss: str | Loss, image_shape: tuple[int, int, int]) -> Loss:
  """The loss of some name, after it was tried on shapes.

  Args:
    loss: One of LOSSES, package.module:function, or the function itself.
    image_shape: (H, W, C).

  Raises:
    InputError: The name is unknown, the function cannot be imported, or it does not
      return one number for each image.
  """
  name = loss if isinstance(loss, str) else getattr(loss, '__name__', repr(loss))
  function: Any = loss
  if isinstance(loss, str):
    check(loss)
    function = own.load(f"loss '{name}'", name) if ':' in name else LOSSES[name]
  images = jax.ShapeDtypeStruct((2, *image_shape), jnp.float32)
  try:
    found = jax.eval_shape(function, images, images)
  except Exception as error:
    raise InputError(
      f"loss '{name}' cannot be called on images and reconstructions [B, H, W, C]"
      f' ({first_line(error)})'
    ) from error
  if getattr(found, 'shape', None) != (2,):
    raise InputError(
      f"loss '{name}' returns {getattr(found, 'shape', type(found).__name__)} for two"
      ' images; return one number for each, [B]'
    )
  return function
