"""Decoders of the user's own, tried before anything is trained."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from gpz_jax import own
from gpz_jax.types import InputError, first_line

COLLECTIONS = {'params', 'batch_stats'}


@functools.lru_cache(maxsize=64)
def make(
  name: str, activation_shape: tuple[int, ...], image_shape: tuple[int, int, int]
) -> nn.Module:
  """The decoder that a factory of the user's gives for some shapes.

  The factory is called as `factory(activation_shape, image_shape)` and returns a linen
  module, which is called as `decoder(activation, train=False)` and returns images
  [B, H, W, C] in [0, 1].

  Args:
    name: 'package.module:factory'.
    activation_shape: Shape of one activation, without the batch.
    image_shape: (H, W, C).

  Raises:
    InputError: It cannot be imported, made or called, or it returns something else.
  """
  factory = own.load(f"decoder '{name}'", name)
  try:
    decoder = factory(activation_shape, image_shape)
  except Exception as error:
    raise InputError(
      f"decoder '{name}' cannot be made as factory(activation_shape={activation_shape},"
      f' image_shape={image_shape}) ({first_line(error)})'
    ) from error
  if not isinstance(decoder, nn.Module):
    raise InputError(
      f"decoder '{name}' gives a {type(decoder).__name__}; give a flax.linen.Module"
    )
  _try(name, decoder, activation_shape, image_shape)
  return decoder


def _try(name: str, decoder: nn.Module, activation_shape, image_shape) -> None:
  """Calls the decoder on two activations, as it begins."""
  sent = jnp.asarray(np.random.default_rng(0).normal(size=(2, *activation_shape)))
  try:
    hash(decoder)
    made, variables = decoder.init_with_output(
      jax.random.key(0), sent.astype(jnp.float32), train=False
    )
  except Exception as error:
    raise InputError(
      f"decoder '{name}' cannot be called as decoder(activation, train=False) on"
      f' activations {(2, *activation_shape)} ({first_line(error)})'
    ) from error
  if getattr(made, 'shape', None) != (2, *image_shape):
    raise InputError(
      f"decoder '{name}' returns {getattr(made, 'shape', type(made).__name__)} for two"
      f' activations; return images {(2, *image_shape)}'
    )
  if strange := set(variables) - COLLECTIONS:
    raise InputError(
      f"decoder '{name}' has the collection '{min(strange)}'; only params and"
      ' batch_stats are trained'
    )
  low, high = float(jnp.min(made)), float(jnp.max(made))
  if not (low >= 0 and high <= 1):
    raise InputError(
      f"decoder '{name}' returns pixels from {low:g} to {high:g}; return [0, 1], for"
      ' instance by nn.sigmoid at the end'
    )
