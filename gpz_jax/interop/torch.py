"""PyTorch weights into our targets: read without running code, checked name by name.

    variables = import_weights(
      'vgg19', load_state_dict('vgg19.safetensors'), num_classes=10
    )

The weights must have been trained on images normalised as `layers.standardize` does.
"""

# pyright: reportMissingImports=false, reportAttributeAccessIssue=false
# (torch and safetensors are optional: lint must pass without)

import os
import pathlib
import pickle
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util

from gpz_jax import models
from gpz_jax.interop import layouts, names
from gpz_jax.types import InputError

Variables = dict[str, Any]

# Keys under which training scripts put the state dict beside epochs and scores.
WRAPPERS = ('model', 'state_dict')
# The released IR-152 wraps its backbone and carries a second head it never calls.
BACKBONE, UNUSED_HEAD = 'feature.', 'feature.output_layer.'


def load_state_dict(path: str | pathlib.Path) -> dict[str, np.ndarray]:
  """Reads a torch state dict; nothing in the file is ever run.

  Args:
    path: .safetensors, or .pth, .pt or .bin as torch.save writes it: the state dict
      itself, or a dictionary that holds it as 'model' or 'state_dict'.

  Returns:
    Name -> array, in torch's layout; floating-point numbers as float32.

  Raises:
    InputError: no such file, another format, a damaged file, a pickle that holds more
      than tensors and plain values, or nothing installed to read the file with.
  """
  path = pathlib.Path(path)
  if not os.path.isfile(path):
    raise InputError(f"weights '{path}': no such file; give the path of one")
  if path.suffix == '.safetensors':
    return _read_safetensors(path)
  if path.suffix in ('.pth', '.pt', '.bin'):
    return _read_pth(path)
  raise InputError(
    f"weights '{path}': the format '{path.suffix}' is not known; use .safetensors,"
    ' .pth, .pt or .bin'
  )


def import_weights(
  model_name: str,
  state_dict: Mapping[str, np.ndarray],
  *,
  num_classes: int,
  image_shape: tuple[int, int, int] = (64, 64, 3),
  **options: Any,
) -> Variables:
  """The variables of a target from a torch state dict.

  Args:
    model_name: A name that `models.make` knows; torch names are known for VGG, ResNet,
      IR and ViT.
    state_dict: Name -> array, in torch's layout; `interop.names` says which names are
      expected. For any model linen's own will do: 'params/block_1/conv/kernel', ...
      `num_batches_tracked`, DataParallel's prefix 'module.' and what the released
      IR-152 puts around its backbone are ignored.
    num_classes: K.
    image_shape: (H, W, C) the model is to be used at.
    **options: the model's own fields, such as `head`.

  Returns:
    The collections `model.init` gives, float32: {'params', 'batch_stats'}, or
    {'params'} for a model without batch norm.

  Raises:
    InputError: no table for the model; or names that are missing or unexpected and
      arrays of the wrong shape, all of them listed.
  """
  model = models.make(model_name, num_classes=num_classes, **options)
  shapes = _variable_shapes(model, image_shape)
  state_dict = _canonical_names(state_dict)
  if all(name.startswith(('params/', 'batch_stats/')) for name in state_dict):
    table = [names.Entry(name, name, layouts.same) for name in shapes]
  elif type(model) in names.TABLES:
    table = list(names.TABLES[type(model)](model, image_shape))
  else:
    raise InputError(
      f"model '{model_name}' has no table of torch names (a VGG, ResNet, IR or ViT"
      " does); name its weights as linen does: 'params/block_1/conv/kernel', ..."
    )
  if problems := _problems(table, shapes, state_dict):
    raise InputError(
      f"weights do not fit '{model_name}' (check classes, image size and options): "
      + '; '.join(problems)
    )
  flat = {}
  for entry in table:
    array = entry.layout.to_linen(state_dict[entry.torch], shapes[entry.linen])
    flat[entry.linen] = jnp.asarray(array, jnp.float32)
  return traverse_util.unflatten_dict(flat, sep='/')


def _read_safetensors(path: pathlib.Path) -> dict[str, np.ndarray]:
  try:
    from safetensors import numpy
  except ImportError:
    raise InputError(
      f"weights '{path}' need safetensors: pip install safetensors"
    ) from None
  try:
    arrays = numpy.load_file(path)
  except Exception as error:  # a damaged file fails in many ways
    raise _unreadable(path, error) from None
  return {
    name: array.astype(np.float32) if array.dtype.kind in 'fV' else array
    for name, array in arrays.items()
  }


def _read_pth(path: pathlib.Path) -> dict[str, np.ndarray]:
  try:
    import torch
  except ImportError:
    raise InputError(
      f"weights '{path}' need torch: pip install torch, or convert to .safetensors"
    ) from None
  # Before 2.6 a crafted file could run code in spite of weights_only (CVE-2025-32434).
  if tuple(map(int, torch.__version__.split('.')[:2])) < (2, 6):
    raise InputError(
      f"weights '{path}' need torch 2.6 or later to be read safely, found"
      f' {torch.__version__}; upgrade torch or convert to .safetensors'
    )
  try:
    content = torch.load(path, map_location='cpu', weights_only=True)
  except pickle.UnpicklingError:
    raise InputError(
      f"weights '{path}' hold more than tensors and were refused, for such a file can"
      ' run code; save model.state_dict() alone'
    ) from None
  except Exception as error:  # likewise
    raise _unreadable(path, error) from None
  for key in WRAPPERS:
    if isinstance(content, dict) and isinstance(content.get(key), dict):
      content = content[key]
  if (
    not isinstance(content, dict)
    or not all(isinstance(name, str) for name in content)
    or not all(map(torch.is_tensor, content.values()))
  ):
    raise InputError(f"weights '{path}' are no state dict; save model.state_dict()")
  try:
    return {
      name: (tensor.float() if tensor.is_floating_point() else tensor).detach().numpy()
      for name, tensor in content.items()
    }
  except Exception as error:  # sparse, quantised, without data, ...
    raise _unreadable(path, error) from None


def _canonical_names(state_dict: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
  """The state dict under the names of the tables, without what no table needs."""
  parallel = all(name.startswith('module.') for name in state_dict)
  canonical = {}
  for name, array in state_dict.items():
    name = name.removeprefix('module.') if parallel else name
    if name.endswith('num_batches_tracked') or name.startswith(UNUSED_HEAD):
      continue
    name = name.removeprefix(BACKBONE)
    if name in canonical:
      raise InputError(f"weights hold '{name}' twice, with and without '{BACKBONE}'")
    canonical[name] = array
  return canonical


def _variable_shapes(
  model: nn.Module, image_shape: tuple[int, int, int]
) -> dict[str, tuple[int, ...]]:
  """'params/feat_3/Conv_0/kernel' -> shape, for every variable of the model."""
  image = jnp.zeros((1, *image_shape))
  variables = jax.eval_shape(lambda: model.init(jax.random.key(0), image, train=False))
  leaves = jax.tree_util.tree_leaves_with_path(variables)
  return {'/'.join(part.key for part in path): leaf.shape for path, leaf in leaves}


def _problems(
  table: list[names.Entry],
  shapes: Mapping[str, tuple[int, ...]],
  state_dict: Mapping[str, np.ndarray],
) -> list[str]:
  """What keeps the state dict from fitting, a phrase for each kind, naming all."""
  expected = {
    entry.torch: entry.layout.torch_shape(shapes[entry.linen]) for entry in table
  }
  found = {
    'missing': [name for name in expected if name not in state_dict],
    'unexpected': [name for name in state_dict if name not in expected],
    'of wrong shape': [
      f'{name} is {state_dict[name].shape}, expected {shape}'
      for name, shape in expected.items()
      if name in state_dict and state_dict[name].shape != shape
    ],
    'not of finite real numbers': [
      name
      for name in expected
      if name in state_dict and not _is_finite(state_dict[name])
    ],
  }
  return [
    f'{len(entries)} {kind} ({", ".join(entries)})'
    for kind, entries in found.items()
    if entries
  ]


def _is_finite(array: np.ndarray) -> bool:
  return array.dtype.kind in 'fiub' and bool(np.isfinite(array).all())


def _unreadable(path: pathlib.Path, error: Exception) -> InputError:
  reason = ' '.join(str(error).split()) or type(error).__name__
  return InputError(
    f"weights '{path}' cannot be read ({reason[:300]}); save model.state_dict() again"
  )
