"""The features of a classifier before its last layer."""

from typing import Any

import flax.linen as nn
import jax

from gpz_jax.models import calls
from gpz_jax.training.engine import Engine
from gpz_jax.types import InputError


def apply(
  model: nn.Module,
  variables: Any,
  images: jax.Array,
  engine: Engine,
  key: jax.Array | None = None,
) -> tuple[jax.Array, jax.Array]:
  """The logits and what the last layer is given.

  The last layer is the last module to be called whose output has the shape of the
  logits and whose input has not.

  Args:
    model: The classifier.
    variables: Its variables.
    images: [B, H, W, C] float32 in [0, 1].
    engine: How it is computed.
    key: The key of what it draws, see `classifiers.classify`.

  Returns:
    Logits [B, K] and features [B, D], both float32.

  Raises:
    InputError: No module of the model gives its logits.
  """
  found: list[tuple[jax.Array, tuple[int, ...]]] = []

  def note(call, args, kwargs, context):
    result = call(*args, **kwargs)
    is_layer = context.module.path and context.method_name == '__call__'
    if is_layer and args and hasattr(result, 'shape') and hasattr(args[0], 'shape'):
      found.append((args[0], result.shape))
    return result

  def call(rngs):
    found.clear()
    with nn.intercept_methods(note):
      return engine.apply(model, variables, images, train=False, rngs=rngs)

  logits = calls.lend_keys(call, key)
  last = [
    given
    for given, shape in found
    if shape == logits.shape and given.shape != shape and given.ndim == 2
  ]
  if not last:
    raise InputError(
      f'{type(model).__name__} computes its logits by no layer of its own; make its'
      ' last layer a module, or use an attack without features'
    )
  return logits, last[-1].astype(logits.dtype)
