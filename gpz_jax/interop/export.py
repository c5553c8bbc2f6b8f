"""Our targets into PyTorch weights: the other direction of `interop.torch`."""

import pathlib
from collections.abc import Collection, Mapping
from typing import Any, cast

import flax.linen as nn
import jax
import numpy as np
import safetensors.numpy
from flax import traverse_util

from gpz_jax import models
from gpz_jax.interop import layouts, names
from gpz_jax.interop.torch import variable_shapes, without_removed_skips
from gpz_jax.types import InputError


def export_state_dict(
  model: str | nn.Module,
  variables: Any,
  *,
  image_shape: tuple[int, int, int] = (64, 64, 3),
  **options: Any,
) -> dict[str, np.ndarray]:
  """The torch state dict of a target.

  Args:
    model: The module, or a name that `models.make` knows.
    variables: {'params', 'batch_stats'} of one target, without an axis of lanes.
    image_shape: (H, W, C) the model is used at.
    **options: The model's own fields where `model` is a name, such as `head`.

  Returns:
    Name -> array in torch's layout; linen's names and layouts for a model that has no
    table in `interop.names`. torch's counters `num_batches_tracked` are left out, which
    torch fills in.

  Raises:
    InputError: The variables are not those of the model, or torch has no name for some.
  """
  flat = cast(
    dict[str, jax.Array], traverse_util.flatten_dict(dict(variables), sep='/')
  )
  if isinstance(model, str):
    classes = flat['params/logits/kernel'].shape[-1]
    model = models.make(model, num_classes=classes, **options)
  if type(model) in names.TABLES:
    table = list(names.TABLES[type(model)](model, image_shape))
    table, _ = without_removed_skips(model, table, flat, {})
  else:
    table = [names.Entry(name, name, layouts.same) for name in flat]
  _check(variable_shapes(model, image_shape), flat, {entry.linen for entry in table})
  return {
    entry.torch: entry.layout.to_torch(np.asarray(flat[entry.linen])) for entry in table
  }


def export_weights(
  model: str | nn.Module,
  variables: Any,
  path: str | pathlib.Path,
  *,
  image_shape: tuple[int, int, int] = (64, 64, 3),
  **options: Any,
) -> None:
  """Writes a target as safetensors under torch's names, see `export_state_dict`.

  torch reads it by `net.load_state_dict(safetensors.torch.load_file(path))`, and
  `import_weights` reads it back.

  Args:
    model: The module, or a name that `models.make` knows.
    variables: {'params', 'batch_stats'} of one target, without an axis of lanes.
    path: The file, which ends in .safetensors.
    image_shape: (H, W, C) the model is used at.
    **options: The model's own fields where `model` is a name, such as `head`.

  Raises:
    InputError: The variables do not fit, or the file has another ending.
  """
  if pathlib.Path(path).suffix != '.safetensors':
    raise InputError(f"weights '{path}' are written as .safetensors; end the name so")
  arrays = export_state_dict(model, variables, image_shape=image_shape, **options)
  safetensors.numpy.save_file(
    {name: np.ascontiguousarray(array) for name, array in arrays.items()}, path
  )


def _check(
  wanted: Mapping[str, jax.ShapeDtypeStruct],
  found: Mapping[str, jax.Array],
  named: Collection[str],
) -> None:
  """Refuses variables that are not those of a model or that no table names.

  Raises:
    InputError: A variable is missing, has another shape or has no name in torch.
  """
  problems = {
    'are missing': [name for name in wanted if name not in found],
    'have no name in torch': [name for name in found if name not in named],
    'have another shape': [
      f'{name} is {found[name].shape}, expected {wanted[name].shape}'
      for name in wanted
      if name in found and found[name].shape != wanted[name].shape
    ],
  }
  for problem, entries in problems.items():
    if entries:
      raise InputError(
        f'{len(entries)} variables {problem} ({_examples(entries)}); give those of one'
        ' target, with the model, its options and the image_shape that they belong to'
      )


def _examples(found: list[str]) -> str:
  return ', '.join(found[:3] + ['...'] * (len(found) > 3))
