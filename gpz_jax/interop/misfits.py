"""Weights that do not fit a model: whose they are, and what to change."""

import collections
import math
import re
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from gpz_jax.interop import names, names_torchvision
from gpz_jax.interop.inference import (
  FUSED_STEM,
  OPTIONS,
  ImageShape,
  StateDict,
  find_clues,
  read_shape,
  vgg_cells,
  vgg_kernels,
)
from gpz_jax.models import densenet, repvgg, resnet, vgg


def suggest_cures(
  model_name: str,
  model: Any,
  state_dict: StateDict,
  image_shape: ImageShape,
  num_classes: int,
  classifier: str = '',
) -> list[str]:
  """What to change so that weights which do not fit a model would.

  Args:
    model_name: Name of the model.
    model: The module.
    state_dict: Name -> array, without a prefix of all names.
    image_shape: (H, W, C).
    num_classes: K, which a model of the user's own need not tell.
    classifier: torch's name of the last layer's weight, such as 'fc.weight'; '' if the
      model has no layer of that kind.
  """
  cures = []
  told = name_model(state_dict)
  if told and told != model_name:
    cures.append(f'these are weights of {told}: give --model={told}')
  is_fused = FUSED_STEM in state_dict
  if isinstance(model, repvgg.RepVGG) and model.fused != is_fused:
    form = 'the form for inference' if is_fused else 'a RepVGG as it was trained'
    cures.append(f'these are weights of {form}: give {OPTIONS}fused={is_fused}')
  for option, values, evidence, _ in find_clues(model, state_dict, image_shape):
    if values and getattr(model, option) not in values:
      cures.append(f'{evidence}: give {OPTIONS}{option}={values[0]}')
    elif option == 'head' and not values:
      cures.extend(_cure_image_size(vgg_cells(state_dict)))
  found = read_shape(state_dict, classifier, rank=2)
  is_ours = classifier.startswith('params/')  # linen has the classes last
  classes = found[-1 if is_ours else 0] if found else num_classes
  if classes != num_classes:
    cures.append(
      f'the weights have {classes} classes and the data has {num_classes}:'
      ' replace the last layer by --new_head (new_head=True in Python) and train it, or'
      ' give the --dataset of the weights'
    )
  return cures


def _cure_image_size(cells: int | None) -> list[str]:
  side = math.isqrt(cells or 0)
  if not side or side * side != cells:
    return []
  return [
    f'the first fully connected layer takes a map of {side}x{side}: give'
    f' --image_size={32 * side}'
  ]


def name_model(state_dict: StateDict) -> str | None:
  """The built-in model whose blocks a torchvision net has; None where none has them.

  Args:
    state_dict: Name -> array, without a prefix of all names.
  """
  if told := names_torchvision.name_model(state_dict):
    return told
  stages = _count_blocks(state_dict, r'layer([1-4])\.\d+\.conv1\.weight')
  layer = r'features\.denseblock([1-4])\.denselayer\d+\.conv\.?1\.weight'
  dense = _count_blocks(state_dict, layer)
  block = r'stage([1-4])\.\d+\.rbr_(?:dense\.conv|reparam)\.weight'
  branched = _count_blocks(state_dict, block)
  kernels = 3 if 'layer1.0.conv3.weight' in state_dict else 2
  convolutions = len(vgg_kernels(state_dict))
  known = {
    **{
      f'resnet{depth}': stages == resnet.STAGES[depth]
      and kernels == len(resnet.KERNELS[depth])
      for depth in resnet.STAGES
    },
    **{f'densenet{depth}': dense == found for depth, found in densenet.BLOCKS.items()},
    **{f'repvgg_{kind}': branched == found for kind, found in repvgg.STAGES.items()},
    **{f'vgg{depth}': convolutions == sum(vgg.STAGES[depth]) for depth in vgg.STAGES},
  }
  return next((name for name, fits in known.items() if fits), None)


def _count_blocks(state_dict: StateDict, pattern: str) -> tuple[int, ...]:
  """How many blocks each of four stages has.

  Args:
    state_dict: Name -> array.
    pattern: Matches a name of each block; its group is the stage.
  """
  found = (re.fullmatch(pattern, name) for name in state_dict)
  blocks = collections.Counter(int(match[1]) for match in found if match)
  return tuple(blocks[stage] for stage in range(1, 5))


def find_problems(
  table: Collection[names.Entry],
  shapes: Mapping[str, tuple[int, ...]],
  state_dict: Mapping[str, np.ndarray],
) -> list[str]:
  """What keeps arrays from fitting a table, a phrase for each kind, with examples.

  Args:
    table: Their name, ours, and the layout of every array that is wanted.
    shapes: Our name -> our shape.
    state_dict: Their name -> array, in their layout.

  Returns:
    Nothing where they fit; else phrases such as `2 missing (a, b)`.
  """
  expected = {
    entry.torch: entry.layout.torch_shape(shapes[entry.linen]) for entry in table
  }
  present = [entry for entry in table if entry.torch in state_dict]
  unexpected = [name for name in state_dict if name not in expected]
  found = {
    'missing': [name for name in expected if name not in state_dict],
    'unexpected': unexpected,
    'of wrong shape': [
      f'{name} is {state_dict[name].shape}, expected {expected[name]}'
      for name, *_ in present
      if state_dict[name].shape != expected[name]
    ],
    'not of finite real numbers': [
      name for name, *_ in present if not _is_finite(state_dict[name])
    ],
    'of whole numbers, as in a quantised file; multiply them by their scale': [
      name for name, linen, _ in present if _is_quantised(state_dict[name], linen)
    ],
    'of negative variances': [
      name for name, linen, _ in present if _is_negative(state_dict[name], linen)
    ],
  }
  problems = [
    f'{len(entries)} {kind} ({_examples(entries)})'
    for kind, entries in found.items()
    if entries
  ]
  if unexpected and len(state_dict) > 1 and (prefix := shared_prefix(state_dict)):
    problems.insert(0, f"all {len(state_dict)} names begin with '{prefix[:60]}'")
  return problems


def _examples(entries: list[str]) -> str:
  shown = [entry[:120] for entry in entries[:3]]
  return ', '.join(shown + ['...'] * (len(entries) > 3))


def _is_negative(array: np.ndarray, linen: str) -> bool:
  """Whether an array is a running variance and has a value below zero."""
  is_variance = linen.startswith('batch_stats/') and linen.endswith('/var')
  return is_variance and array.dtype.kind in 'fi' and bool((array < 0).any())


def _is_quantised(array: np.ndarray, linen: str) -> bool:
  """Whether parameters are whole numbers, whose scale is kept elsewhere."""
  return linen.startswith('params/') and array.dtype.kind in 'iub'


def _is_finite(array: np.ndarray) -> bool:
  if array.dtype.kind not in 'fiub':
    return False
  with np.errstate(over='ignore'):  # what float32 cannot hold is found below
    return bool(np.isfinite(array.astype(np.float32)).all())


def shared_prefix(names_: Collection[str]) -> str:
  """The first component that all names share, with its dot; '' where there is none."""
  prefixes = {''.join(name.partition('.')[:2]) for name in names_}
  prefix = prefixes.pop() if len(prefixes) == 1 else ''
  return prefix if prefix.endswith('.') else ''
