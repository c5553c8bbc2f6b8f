"""A fresh last layer in place of an imported one that has other classes."""

from collections.abc import Mapping, Sequence
from typing import cast

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util

from gpz_jax.interop.names import Entry
from gpz_jax.models import calls

HEAD = 'logits'  # the name of the last layer of every built-in model


def replace(
  model: nn.Module,
  table: Sequence[Entry],
  shapes: Mapping[str, tuple[int, ...]],
  state_dict: Mapping[str, np.ndarray],
  image_shape: tuple[int, int, int],
) -> dict[str, np.ndarray]:
  """A state dict whose last layer is drawn afresh where its classes are others.

  Arrays that differ in more than the number of classes are left as they are.

  Args:
    model: The model that the arrays are for.
    table: Its arrays under both names.
    shapes: linen's name -> shape.
    state_dict: torch's name -> array.
    image_shape: (H, W, C).
  """
  entries = [entry for entry in table if entry.linen.startswith(f'params/{HEAD}/')]
  wanted = {e.torch: e.layout.torch_shape(shapes[e.linen]) for e in entries}
  found = {name: state_dict[name].shape for name in wanted if name in state_dict}
  replaced = dict(state_dict)
  if not found or not all(_differ_in_classes(found[n], wanted[n]) for n in found):
    return replaced
  fresh = _draw(model, image_shape)
  for entry in entries:
    array = np.asarray(fresh[entry.linen.removeprefix(f'params/{HEAD}/')])
    replaced[entry.torch] = entry.layout.to_torch(array)
  return replaced


def _differ_in_classes(found: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
  """Whether two of torch's shapes differ in their first axis, and there alone."""
  return found[:1] != wanted[:1] and found[1:] == wanted[1:]


def _draw(model: nn.Module, image_shape: tuple[int, int, int]) -> dict[str, jax.Array]:
  """'kernel' -> array of the last layer, as the model initialises it."""

  @jax.jit
  def draw(image):  # the compiler drops the initialisers of what is not returned
    return calls.init(model, jax.random.key(0), image)['params'][HEAD]

  head = draw(jnp.zeros((1, *image_shape)))
  return cast(dict[str, jax.Array], traverse_util.flatten_dict(head, sep='/'))
