"""What of an intercepted activation, or of the prediction, a decoder is given.

Each input is a pure function applied once, when the attacker's data are collected; the
decoder's architecture then follows the shape of its result.

Source: docs/paper.md#decoder-inputs.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from gpz_jax.types import InputError, check_known

Read = Callable[[jax.Array], jax.Array]
LOG_FLOOR, LOG_SHIFT = -1000.0, 50.0  # Yang et al. 2019
POWER = 1 / 12  # Zhang 2023


def activation(x: jax.Array) -> jax.Array:
  """The activation [B, ...] as it was sent."""
  return x


def prediction(logits: jax.Array) -> jax.Array:
  """Softmax of the logits [B, K]."""
  return jax.nn.softmax(logits)


def prediction_log(logits: jax.Array) -> jax.Array:
  """Logarithm of the prediction, shifted to be non-negative: logits [B, K] -> [B, K].

  Taken from the logits, so that no probability underflows.

  Source: Yang et al., Neural network inversion in adversarial setting, CCS 2019.
  """
  scores = jnp.maximum(jax.nn.log_softmax(logits), LOG_FLOOR) + LOG_SHIFT
  return scores - jnp.minimum(scores.min(axis=-1, keepdims=True), 0)


def prediction_power(logits: jax.Array) -> jax.Array:
  """The prediction to the power 1/12, which lifts the small scores: [B, K]."""
  return jnp.exp(POWER * jax.nn.log_softmax(logits))


def cls(tokens: jax.Array) -> jax.Array:
  """The class token: [B, 1 + T, D] -> [B, D]."""
  return tokens[:, 0]


def patch(tokens: jax.Array) -> jax.Array:
  """The patch tokens as one vector, as the paper takes them: [B, 1 + T, D] -> [B, TD].

  Costly: the first layer of its decoder has 8,192 weights per number.
  """
  return tokens[:, 1:].reshape(len(tokens), -1)


def patch_grid(tokens: jax.Array) -> jax.Array:
  """The patch tokens where they lie in the image: [B, 1 + s^2, D] -> [B, s, s, D]."""
  batch, length, features = tokens.shape
  side = round((length - 1) ** 0.5)
  if side < 1 or side**2 != length - 1:
    raise InputError(
      f'{length} tokens are not a class token and a square of patches; use square'
      " images, or input 'cls'"
    )
  return tokens[:, 1:].reshape(batch, side, side, features)


def cls_patch(tokens: jax.Array) -> jax.Array:
  """The patch grid with the class token beside each patch: -> [B, s, s, 2D]."""
  grid = patch_grid(tokens)
  beside = jnp.broadcast_to(tokens[:, :1, None], grid.shape)
  return jnp.concatenate([grid, beside], axis=-1)


PREDICTIONS: dict[str, Read] = {  # read the logits, whatever the split
  'prediction': prediction,
  'prediction_log': prediction_log,
  'prediction_power': prediction_power,
}
TOKENS: dict[str, Read] = {  # read an activation [tokens, features]
  'cls': cls,
  'patch': patch,
  'patch_grid': patch_grid,
  'cls_patch': cls_patch,
}
INPUTS: dict[str, Read] = {'activation': activation, **PREDICTIONS, **TOKENS}


def make(name: str) -> Read:
  """The input called `name`: a function of a batch.

  Raises:
    InputError: unknown name.
  """
  check_known('input', name, INPUTS)
  return INPUTS[name]


def shape(name: str, source_shape: tuple[int, ...]) -> tuple[int, ...]:
  """What the decoder is given, without the batch.

  Args:
    name: one of INPUTS.
    source_shape: of the activation, or (K,) for the inputs in PREDICTIONS.

  Raises:
    InputError: unknown name, or an input that cannot be read from this shape.
  """
  read = make(name)
  rank = {**dict.fromkeys(PREDICTIONS, 1), **dict.fromkeys(TOKENS, 2)}.get(name)
  if rank is not None and len(source_shape) != rank:
    wanted = 'logits (K,)' if rank == 1 else 'an activation (tokens, features)'
    raise InputError(
      f"input '{name}' reads {wanted}, not {source_shape}; use input 'activation'"
    )
  source = jax.ShapeDtypeStruct((1, *source_shape), jnp.float32)
  return jax.eval_shape(read, source).shape[1:]
