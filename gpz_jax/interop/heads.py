"""A fresh last layer in place of an imported one that has other classes."""

from collections.abc import Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util

from gpz_jax.interop.names import Entry
from gpz_jax.models import calls, penultimate
from gpz_jax.types import InputError

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

  Raises:
    InputError: An array does not fit, and no layer can be seen to be the last one.
  """
  replaced = dict(state_dict)
  given = [entry for entry in table if entry.torch in state_dict]
  if all(_fits(entry, shapes, state_dict) for entry in given):
    return replaced
  head = find(model, shapes, image_shape)
  present = [entry for entry in given if entry.linen.startswith(head)]
  differ = [_differs_in_classes(e, shapes[e.linen], state_dict) for e in present]
  if not differ or not all(differ):
    return replaced
  fresh = _draw(model, image_shape, head)
  for entry in table:
    if entry.linen.startswith(head):
      array = np.asarray(fresh[entry.linen.removeprefix(head)])
      replaced[entry.torch] = entry.layout.to_torch(array)
  return replaced


def find(
  model: nn.Module,
  shapes: Mapping[str, tuple[int, ...]],
  image_shape: tuple[int, int, int],
) -> str:
  """What the names of the last layer's arrays begin with, such as 'params/logits/'.

  Args:
    model: The model that the arrays are for.
    shapes: linen's name -> shape.
    image_shape: (H, W, C).

  Raises:
    InputError: No layer can be seen to be the last one.
  """
  if f'params/{HEAD}/kernel' in shapes:
    return f'params/{HEAD}/'
  try:
    return f'params/{penultimate.find_layer(model, image_shape)}/'
  except InputError as error:
    raise InputError(f'--new_head finds no last layer: {error}') from error


def _fits(
  entry: Entry,
  shapes: Mapping[str, tuple[int, ...]],
  state_dict: Mapping[str, np.ndarray],
) -> bool:
  return state_dict[entry.torch].shape == entry.layout.torch_shape(shapes[entry.linen])


def _differs_in_classes(
  entry: Entry, shape: tuple[int, ...], state_dict: Mapping[str, np.ndarray]
) -> bool:
  """Whether an array differs in its axis of classes, and there alone.

  That is torch's first axis, and the last one where arrays are named as linen does.
  """
  found, wanted = state_dict[entry.torch].shape, entry.layout.torch_shape(shape)
  if entry.torch == entry.linen:
    found, wanted = found[::-1], wanted[::-1]
  return found[:1] != wanted[:1] and found[1:] == wanted[1:]


def _draw(
  model: nn.Module, image_shape: tuple[int, int, int], head: str
) -> dict[str, jax.Array]:
  """'kernel' -> array of the last layer, as the model initialises it."""

  @jax.jit
  def draw(image):  # the compiler drops the initialisers of what is not returned
    variables = calls.init(model, jax.random.key(0), image)
    flat: dict[str, Any] = traverse_util.flatten_dict(variables, sep='/')
    return {name: array for name, array in flat.items() if name.startswith(head)}

  fresh = draw(jnp.zeros((1, *image_shape)))
  return {name.removeprefix(head): array for name, array in fresh.items()}
