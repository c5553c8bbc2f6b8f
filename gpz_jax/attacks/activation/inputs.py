"""Inputs of decoders: what is read of an intercepted activation or of the prediction.

Each input is a pure function, which is applied once when the attacker's data are
collected. The decoder's architecture then follows the shape of its result.

Source: docs/paper.md#decoder-inputs.
"""

import functools
from collections.abc import Callable

import chex
import jax
import jax.numpy as jnp

from gpz_jax.types import InputError, check_known

Read = Callable[[jax.Array], jax.Array]
LOG_FLOOR, LOG_SHIFT = -1000.0, 50.0  # Yang et al. 2019
POWER = 1 / 12  # Zhang 2023


def activation(x: jax.Array) -> jax.Array:
  """The activation as it was sent: [B, ...] -> [B, ...]."""
  return x


def prediction(logits: jax.Array) -> jax.Array:
  """The softmax of the logits: [B, K] -> [B, K]."""
  return jax.nn.softmax(logits)


def prediction_log(logits: jax.Array) -> jax.Array:
  """The logarithm of the prediction, shifted to be non-negative: [B, K] -> [B, K].

  It is computed from the logits, so that no probability underflows.

  Source: Yang et al., Neural network inversion in adversarial setting, CCS 2019.
  """
  scores = jnp.maximum(jax.nn.log_softmax(logits), LOG_FLOOR) + LOG_SHIFT
  return scores - jnp.minimum(scores.min(axis=-1, keepdims=True), 0)


def prediction_power(logits: jax.Array) -> jax.Array:
  """The prediction to the power 1/12, which raises small scores: [B, K] -> [B, K]."""
  return jnp.exp(POWER * jax.nn.log_softmax(logits))


def cls(tokens: jax.Array) -> jax.Array:
  """The class token: [B, 1 + T, D] -> [B, D]."""
  chex.assert_rank(tokens, 3, custom_message='tokens [B, 1 + T, D]')
  return tokens[:, 0]


def patch(tokens: jax.Array) -> jax.Array:
  """The patch tokens as one vector, as in the paper: [B, 1 + T, D] -> [B, T D].

  This is costly: the first layer of its decoder has 8,192 weights for each number.
  """
  chex.assert_rank(tokens, 3, custom_message='tokens [B, 1 + T, D]')
  return tokens[:, 1:].reshape(len(tokens), -1)


def patch_grid(tokens: jax.Array, grid: tuple[int, int] | None = None) -> jax.Array:
  """The patch tokens on the grid of the image: [B, 1 + r s, D] -> [B, r, s, D].

  Args:
    tokens: The class token and those of the patches.
    grid: Rows r and columns s of the patches; None for as many of either.
  """
  chex.assert_rank(tokens, 3, custom_message='tokens [B, 1 + T, D]')
  batch, length, features = tokens.shape
  rows, columns = grid or (round((length - 1) ** 0.5),) * 2
  if rows < 1 or rows * columns != length - 1:
    raise InputError(
      f'{length} tokens are not a class token and a square of patches; use square'
      " images, or input 'cls'"
    )
  return tokens[:, 1:].reshape(batch, rows, columns, features)


def grid_of(length: int, image_shape: tuple[int, ...]) -> tuple[int, int] | None:
  """Rows and columns of square patches of an image; None where they are as many.

  Args:
    length: Number of tokens, the class token among them.
    image_shape: (H, W, C).
  """
  height, width = image_shape[:2]
  side = round((height * width / max(length - 1, 1)) ** 0.5)
  if height == width or side < 1 or height % side or width % side:
    return None
  return height // side, width // side


def cls_patch(tokens: jax.Array, grid: tuple[int, int] | None = None) -> jax.Array:
  """The patch grid with the class token: [B, 1 + r s, D] -> [B, r, s, 2D]."""
  grid_tokens = patch_grid(tokens, grid)
  beside = jnp.broadcast_to(tokens[:, :1, None], grid_tokens.shape)
  return jnp.concatenate([grid_tokens, beside], axis=-1)


PREDICTIONS: dict[str, Read] = {  # these read the logits, whatever the split
  'prediction': prediction,
  'prediction_log': prediction_log,
  'prediction_power': prediction_power,
}
TOKENS: dict[str, Read] = {  # these read an activation (tokens, features)
  'cls': cls,
  'patch': patch,
  'patch_grid': patch_grid,
  'cls_patch': cls_patch,
}
GRIDS = {'patch_grid': patch_grid, 'cls_patch': cls_patch}  # these take the grid
INPUTS: dict[str, Read] = {'activation': activation, **PREDICTIONS, **TOKENS}


def make(name: str) -> Read:
  """The input of some name, which is a function of a batch.

  Raises:
    InputError: The name is unknown.
  """
  check_known('input', name, INPUTS)
  return INPUTS[name]


def make_for(
  name: str, source_shape: tuple[int, ...], image_shape: tuple[int, ...]
) -> Read:
  """The input of some name for activations of images of some shape.

  Equal arguments give the same function, so that what is compiled for it is kept.

  Args:
    name: Name of the input, one of INPUTS.
    source_shape: Shape of the activation, or (K,) for the inputs in PREDICTIONS.
    image_shape: (H, W, C).

  Raises:
    InputError: The name is unknown.
  """
  grid = grid_of(source_shape[0], image_shape) if name in GRIDS else None
  return make(name) if grid is None else _on_grid(name, grid)


@functools.cache
def _on_grid(name: str, grid: tuple[int, int]) -> Read:
  return functools.partial(GRIDS[name], grid=grid)


def shape(
  name: str,
  source_shape: tuple[int, ...],
  image_shape: tuple[int, ...] | None = None,
) -> tuple[int, ...]:
  """The shape of what the decoder is given, without the batch.

  Args:
    name: Name of the input, one of INPUTS.
    source_shape: Shape of the activation, or (K,) for the inputs in PREDICTIONS.
    image_shape: (H, W, C), by which patches lie on their grid; None for square images.

  Raises:
    InputError: The name is unknown, or the input cannot be read from this shape.
  """
  read = make(name)
  rank = {**dict.fromkeys(PREDICTIONS, 1), **dict.fromkeys(TOKENS, 2)}.get(name)
  if rank is not None and len(source_shape) != rank:
    wanted = 'logits (K,)' if rank == 1 else 'an activation (tokens, features)'
    raise InputError(
      f"input '{name}' reads {wanted}, not {source_shape}; use input 'activation'"
    )
  if image_shape is not None:
    read = make_for(name, source_shape, image_shape)
  source = jax.ShapeDtypeStruct((1, *source_shape), jnp.float32)
  return jax.eval_shape(read, source).shape[1:]
