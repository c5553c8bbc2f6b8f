"""Which parameters a defence freezes, by their names in params."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from gpz_jax.defences.protocol import Defence
from gpz_jax.models import calls, nnx_models
from gpz_jax.types import InputError, hint


def find_groups(
  defence: Defence, model: nn.Module, image_shape: tuple[int, int, int]
) -> tuple[tuple[str, ...], ...]:
  """The parameters of each group of `list_frozen`; each is in one group alone.

  Raises:
    InputError: A group names what the model does not have, or nothing would be frozen.
  """
  named = defence.list_frozen(model, image_shape)
  params, seen = list(list_sizes(model, image_shape)), set()
  names = [name for group in named for name in group]
  are_modules = not set(names) <= set(params)
  places = _list_places(model, image_shape) if are_modules else {}
  groups: list[tuple[str, ...]] = [() for _ in named]
  for i, name in ((i, name) for i, group in enumerate(named) for name in group):
    within = f'{places.get(name, name)}/'
    found = {param for param in params if f'{param}/'.startswith(within)}
    if not found and name not in places:
      raise InputError(
        f"defence '{defence.text}' freezes '{name}', which is no module and no"
        f' parameter of the model{hint(name, places)}'
      )
    groups[i] += tuple(sorted(found - seen))
    seen |= found
  count = int(defence.count_frozen()) if named else 0
  if count and not any(groups[:count]):
    raise InputError(
      f"defence '{defence.text}' freezes no parameter: the first {count} of its"
      f' {len(groups)} groups have none; let it freeze more of them'
    )
  return tuple(groups)


def list_sizes(model: nn.Module, image_shape: tuple[int, int, int]) -> dict[str, int]:
  """The parameters of a model by their path, such as 'conv_1/Conv_0/kernel'."""
  image = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
  variables = jax.eval_shape(lambda x: calls.init(model, jax.random.key(0), x), image)
  leaves = jax.tree_util.tree_leaves_with_path(variables['params'])
  return {spell(path): leaf.size for path, leaf in leaves}


def spell(path: tuple[Any, ...]) -> str:
  """The name of a leaf of params, such as 'conv_1/Conv_0/kernel'."""
  return jax.tree_util.keystr(path, simple=True, separator='/')


def list_children(
  model: nn.Module, image_shape: tuple[int, int, int]
) -> tuple[str, ...]:
  """The direct children of a model, in the order in which they are left."""
  modules = _list_modules(model, image_shape)
  return tuple(path[0] for path in modules if len(path) == 1)


def _list_places(model: nn.Module, image_shape: tuple[int, int, int]) -> dict[str, str]:
  """The modules of a model, and where among the variables those of each lie.

  The two differ for an NNX module in a list: 'units_0' and 'units/0'.
  """
  modules = _list_modules(model, image_shape)
  return {'/'.join(path): '/'.join(place) for path, place in modules.items() if path}


def _list_modules(
  model: nn.Module, image_shape: tuple[int, int, int]
) -> dict[tuple[str, ...], tuple[str, ...]]:
  found: dict[tuple[str, ...], tuple[str, ...]] = {}

  def note(call, args, kwargs, context):
    result = call(*args, **kwargs)
    found.setdefault(context.module.path, nnx_models.find_place(context.module))
    return result

  image = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
  with nn.intercept_methods(note):
    jax.eval_shape(lambda x: calls.init(model, jax.random.key(0), x), image)
  return found
