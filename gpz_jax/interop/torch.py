"""PyTorch weights into our targets: read without running code, checked name by name.

    variables = import_weights(
      'vgg19', load_state_dict('vgg19.safetensors'), num_classes=10
    )

The weights must belong to the function that the model computes: its option
`normalization`, and the pool of its `stem`, are not seen in names and shapes.
`infer_options` finds the options that are.
"""

import re
from collections.abc import Collection, Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util

from gpz_jax import models
from gpz_jax.interop import heads, inference, layouts, misfits, names, names_torchvision
from gpz_jax.interop.files import load_state_dict
from gpz_jax.interop.inference import Inferred
from gpz_jax.models import calls
from gpz_jax.types import InputError

__all__ = ['Inferred', 'import_weights', 'infer_options', 'load_state_dict']

# torchvision renames these when it loads its published DenseNets, and so do we.
_OLD_DENSENET = re.compile(r'(\.denselayer\d+\.(?:norm|conv))\.(?=[12]\.)')

Variables = dict[str, Any]

# The released IR-152 wraps its backbone and carries a second head it never calls.
BACKBONE, UNUSED_HEAD = 'feature.', 'feature.output_layer.'


def infer_options(
  model_name: str,
  state_dict: Mapping[str, np.ndarray],
  *,
  num_classes: int,
  image_shape: tuple[int, int, int] = (64, 64, 3),
  **options: Any,
) -> Inferred:
  """The options of a model that weights tell, and those that must be assumed.

  Args:
    model_name: A name that `models.make` knows; nothing is inferred for a model of the
      user's own.
    state_dict: Name -> array, as for `import_weights`.
    num_classes: K.
    image_shape: (H, W, C) the model is to be used at.
    **options: The options that are given; they are never overruled.

  Returns:
    The options to add to those given, and a line for whoever watches about each.

  Raises:
    InputError: An option is not known, or contradicts the weights.
  """
  if models.info(model_name).factory is None:
    return Inferred()
  model = models.make(model_name, num_classes=num_classes, **options)
  if type(model) in names.TABLES and not _are_ours(state_dict):
    table = names.TABLES[type(model)](model, image_shape)
    state_dict = _fitting_names(state_dict, [entry.torch for entry in table])
  return inference.infer(model, state_dict, options, image_shape)


def import_weights(
  model_name: str,
  state_dict: Mapping[str, np.ndarray],
  *,
  num_classes: int,
  image_shape: tuple[int, int, int] = (64, 64, 3),
  new_head: bool = False,
  omits_new_head: bool = False,
  **options: Any,
) -> Variables:
  """The variables of a target from a torch state dict.

  Args:
    model_name: A name that `models.make` knows; torch names are known for those with a
      table in `interop.names`.
    state_dict: Name -> array, in torch's layout; `interop.names` says which names are
      expected. For any model linen's own will do: 'params/block_1/conv/kernel', ...
      `num_batches_tracked`, SWA's `n_averaged`, a prefix of all names and what the
      released IR-152 puts around its backbone are ignored.
    num_classes: K.
    image_shape: (H, W, C) the model is to be used at.
    new_head: Whether a last layer of another number of classes is replaced by a fresh
      one, as the model initialises it. One of as many classes is kept.
    omits_new_head: Whether such a layer is left out of the variables instead, for a
      training that draws one for each lane.
    **options: the model's own fields, such as `head`.

  Returns:
    The collections `model.init` gives, floats in float32: {'params', 'batch_stats'}, or
    {'params'} for a model without batch norm. Collections of the model's own are read
    from the state dict as well: they may be drawn at random, so that a fresh one would
    be another function.

  Raises:
    InputError: There is no table for the model; names are missing or unexpected; or
      arrays have the wrong shape, no finite numbers or negative variances.
  """
  model = models.make(model_name, num_classes=num_classes, **options)
  wanted = variable_shapes(model, image_shape)
  shapes = {name: leaf.shape for name, leaf in wanted.items()}
  collections = {name.partition('/')[0] + '/' for name in shapes} | {'batch_stats/'}
  if all(name.startswith(tuple(collections)) for name in state_dict):
    table = [names.Entry(name, name, layouts.same) for name in shapes]
  elif type(model) in names.TABLES:
    table = list(names.TABLES[type(model)](model, image_shape))
  else:
    raise InputError(
      f"model '{model_name}' has no table of torch names (every built-in model but cnn"
      " has one); name its weights as linen does: 'params/block_1/conv/kernel', ..."
    )
  state_dict = _fitting_names(state_dict, [entry.torch for entry in table])
  table, state_dict = without_removed_skips(model, table, shapes, state_dict)
  given = state_dict
  if new_head:
    state_dict = heads.replace(model, table, shapes, state_dict, image_shape)
  if problems := misfits.find_problems(table, shapes, state_dict):
    last = _name_last(model, table, shapes, image_shape)
    problems += misfits.suggest_cures(
      model_name, model, state_dict, image_shape, num_classes, last
    )
    raise InputError(
      f"weights do not fit '{model_name}' (check classes, image size and options): "
      + '; '.join(problems)
    )
  flat = {}
  for entry in table:
    if omits_new_head and state_dict[entry.torch] is not given[entry.torch]:
      continue
    array = entry.layout.to_linen(state_dict[entry.torch], shapes[entry.linen])
    dtype = wanted[entry.linen].dtype  # a constant may be an index or a mask
    is_float = jnp.issubdtype(dtype, jnp.floating)
    flat[entry.linen] = jnp.asarray(array, jnp.float32 if is_float else dtype)
  return traverse_util.unflatten_dict(flat, sep='/')


def _name_last(
  model: nn.Module,
  table: list[names.Entry],
  shapes: Mapping[str, tuple[int, ...]],
  image_shape: tuple[int, int, int],
) -> str:
  """The name of the last layer's kernel in a state dict; '' where none can be seen."""
  try:
    kernel = f'{heads.find(model, shapes, image_shape)}kernel'
  except InputError:
    return ''
  return next((entry.torch for entry in table if entry.linen == kernel), '')


def without_removed_skips(
  model: nn.Module,
  table: list[names.Entry],
  shapes: Collection[str],
  state_dict: Mapping[str, np.ndarray],
) -> tuple[list[names.Entry], Mapping[str, np.ndarray]]:
  """The table and the arrays without shortcuts that the model does not have.

  Code that removes a skip connection may still hold the parameters of its projection.
  Nor do the arrays hold what torchvision saves beside those of the model's table.
  """
  known = {entry.torch for entry in table}
  state_dict = {
    name: array
    for name, array in state_dict.items()
    if name in known or not names_torchvision.is_unused(model, name)
  }
  if getattr(model, 'skips', None) is None:
    return table, state_dict
  removed = {entry.torch for entry in table if entry.linen not in shapes}
  kept = {name: array for name, array in state_dict.items() if name not in removed}
  return [entry for entry in table if entry.torch not in removed], kept


def _are_ours(state_dict: Mapping[str, np.ndarray]) -> bool:
  """Whether arrays are named as linen names them."""
  return all(name.startswith(('params/', 'batch_stats/')) for name in state_dict)


def _fitting_names(
  state_dict: Mapping[str, np.ndarray], expected: Collection[str]
) -> dict[str, np.ndarray]:
  """The state dict under the names of a table, without what no table needs.

  Wrappers (torch.compile, DataParallel, Lightning, SWA, ...) put a prefix before every
  name. It is taken off if more names fit then.
  """
  kept = {
    name: array
    for name, array in state_dict.items()
    if not name.endswith('num_batches_tracked') and name != 'n_averaged'
  }
  candidates = [_without_backbone(kept)]
  while prefix := misfits.shared_prefix(kept):
    kept = {name.removeprefix(prefix): array for name, array in kept.items()}
    candidates.append(_without_backbone(kept))
  candidates.append({_OLD_DENSENET.sub(r'\1', n): a for n, a in candidates[-1].items()})
  # DataParallel around a part of the net: 'features.module.0.weight'
  parts = {name.replace('.module.', '.', 1): a for name, a in candidates[0].items()}
  if len(parts) == len(candidates[0]):
    candidates.append(parts)
  return max(candidates, key=lambda found: len(found.keys() & set(expected)))


def _without_backbone(state_dict: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
  """Takes off what the released IR-152 puts around its backbone."""
  plain = {}
  for name, array in state_dict.items():
    if name.startswith(UNUSED_HEAD):
      continue
    name = name.removeprefix(BACKBONE)
    if name in plain:
      raise InputError(f"weights hold '{name}' twice, with and without '{BACKBONE}'")
    plain[name] = array
  return plain


def variable_shapes(
  model: nn.Module, image_shape: tuple[int, int, int]
) -> dict[str, jax.ShapeDtypeStruct]:
  """'params/feat_3/Conv_0/kernel' -> shape and dtype, for every variable."""
  image = jnp.zeros((1, *image_shape))
  variables = jax.eval_shape(lambda: calls.init(model, jax.random.key(0), image))
  leaves = jax.tree_util.tree_leaves_with_path(variables)
  return {
    jax.tree_util.keystr(path, simple=True, separator='/'): leaf
    for path, leaf in leaves
  }
