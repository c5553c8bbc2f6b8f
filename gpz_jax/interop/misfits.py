"""Weights that do not fit a model: whose they are, and what to change."""

import collections
import math
import re
from typing import Any

from gpz_jax.interop import names_torchvision
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
  classifier: str = '',
) -> list[str]:
  """What to change so that weights which do not fit a model would.

  Args:
    model_name: Name of the model.
    model: The module.
    state_dict: Name -> array, without a prefix of all names.
    image_shape: (H, W, C).
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
  classes = found[-1 if is_ours else 0] if found else model.num_classes
  if classes != model.num_classes:
    cures.append(
      f'the weights have {classes} classes and the data has {model.num_classes}:'
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
