"""What torchvision's names and shapes tell of the net that weights belong to.

They tell the model, the stem of a ResNet or DenseNet but for its pool, and batch norm
and head of a VGG. They do not tell the stem of a RepVGG, nor how images were
normalised: that is assumed, and said.
"""

import dataclasses
import functools
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from gpz_jax.interop import names_torchvision
from gpz_jax.models import densenet, efficientnet, maxvit, repvgg, resnet, vgg
from gpz_jax.types import InputError

StateDict = Mapping[str, np.ndarray]
ImageShape = tuple[int, int, int]
# By the kernel of the first convolution; a pool leaves no trace in weights
_STEMS: dict[tuple[int, ...], tuple[str, ...]] = {
  (7, 7): ('imagenet',),
  (3, 3): ('small', 'small_pool'),
}
FUSED_STEM = 'stage0.rbr_reparam.weight'  # of a RepVGG
_CELLS = 7 * 7  # of the map that torchvision's VGG pools to
OPTIONS = '--model_options='


class Clue(NamedTuple):
  """What weights tell of one option of the model."""

  option: str  # 'stem'
  values: tuple[str, ...]  # those that fit; the first is assumed
  evidence: str  # 'conv1.weight is (64, 3, 7, 7)'
  differ: bool = True  # whether the values that fit mean different functions


@dataclasses.dataclass(frozen=True)
class Inferred:
  """What weights say of their model beyond what was given.

  Attributes:
    options: Options of the model that are not its defaults, such as 'stem': 'imagenet'.
    notes: A line for each option that was told or assumed.
  """

  options: Mapping[str, str] = dataclasses.field(default_factory=dict)
  notes: tuple[str, ...] = ()


def infer(
  model: Any,
  state_dict: StateDict,
  given: Mapping[str, Any],
  image_shape: ImageShape,
) -> Inferred:
  """The options that weights tell, or leave to be assumed.

  Args:
    model: The built-in model, made with the options that are given.
    state_dict: Name -> array, without a prefix of all names.
    given: The options that are given; they are never overruled.
    image_shape: (H, W, C).

  Raises:
    InputError: An option that is given contradicts the weights.
  """
  clues = [clue for clue in find_clues(model, state_dict, image_shape) if clue.values]
  told, notes = {}, []
  for clue in clues:
    if clue.option in given:
      _check(clue, str(given[clue.option]))
    elif len(clue.values) == 1 or clue.differ:
      told[clue.option] = clue.values[0]
      notes.append(_describe(clue))
  if 'normalization' not in given and hasattr(model, 'normalization'):
    assumed: str = model.normalization
    if image_shape[2] == 3 and _is_for_imagenet(clues):
      assumed = 'imagenet'
    elif image_shape[2] == 3 and names_torchvision.name_model(state_dict):
      assumed = names_torchvision.name_normalization(model) or assumed
    told['normalization'] = assumed
    is_theirs = assumed != model.normalization
    notes.append(_describe_normalization(assumed, is_theirs))
  changed = {
    option: value
    for option, value in told.items()
    if value != getattr(model, option)  # nothing was given, so that this is the default
  }
  return Inferred(changed, tuple(notes))


def _check(clue: Clue, given: str) -> None:
  if given not in clue.values:
    fitting = ' or '.join(f'{clue.option}={value}' for value in clue.values)
    raise InputError(
      f'{OPTIONS}{clue.option}={given} contradicts the weights: {clue.evidence}, which'
      f' is {fitting}; give that, or leave {clue.option} out'
    )


def _describe(clue: Clue) -> str:
  option, (first, *others) = clue.option, clue.values
  if not others:
    return f'the weights tell {option}={first} ({clue.evidence})'
  changes = ' or '.join(f'{OPTIONS}{option}={value}' for value in others)
  return (
    f'the weights do not tell {option}={first} from {", ".join(others)}'
    f' ({clue.evidence}): {first} is assumed; {changes} changes it'
  )


def _is_for_imagenet(clues: list[Clue]) -> bool:
  """Whether a net has the form in which torchvision trains on ImageNet."""
  values = {clue.option: clue.values for clue in clues}
  return 'imagenet' in values.get('stem', ()) or 'torchvision' in values.get('head', ())


def _describe_normalization(assumed: str, is_torchvisions: bool) -> str:
  why = ', as for weights of torchvision' if is_torchvisions else ''
  return (
    'the weights do not tell how their images were normalised:'
    f' {assumed} is assumed{why}; {OPTIONS}normalization=... changes it'
    ' (cifar10, imagenet, half, none or MEAN/STD)'
  )


def find_clues(
  model: Any, state_dict: StateDict, image_shape: ImageShape
) -> list[Clue]:
  """What weights tell of the options of a model; nothing where no table is of them."""
  finders: dict[type, Callable[[StateDict, ImageShape], Iterator[Clue]]] = {
    vgg.VGG: _vgg_clues,
    resnet.ResNet: functools.partial(_stem_clues, 'conv1.weight'),
    repvgg.RepVGG: _repvgg_clues,
    densenet.DenseNet: functools.partial(_stem_clues, 'features.conv0.weight'),
    efficientnet.EfficientNet: functools.partial(_stride_clues, 'features.0.0.weight'),
    maxvit.MaxViT: functools.partial(_stride_clues, 'stem.0.0.weight'),
  }
  finder = finders.get(type(model))
  return list(finder(state_dict, image_shape)) if finder else []


def _stem_clues(
  name: str, state_dict: StateDict, image_shape: ImageShape
) -> Iterator[Clue]:
  del image_shape
  shape = read_shape(state_dict, name, rank=4)
  if shape:
    yield Clue('stem', _STEMS.get(shape[2:], ()), f'{name} is {shape}')


def _repvgg_clues(state_dict: StateDict, image_shape: ImageShape) -> Iterator[Clue]:
  del image_shape
  for name in ('stage0.rbr_dense.conv.weight', FUSED_STEM):
    if shape := read_shape(state_dict, name, rank=4):
      yield Clue('stem', ('imagenet', 'small'), f'{name} is {shape}')


def _stride_clues(
  name: str, state_dict: StateDict, image_shape: ImageShape
) -> Iterator[Clue]:
  del image_shape
  shape = read_shape(state_dict, name, rank=4)
  if shape:  # a stride leaves no trace in weights
    yield Clue('stem', ('imagenet', 'small'), f'{name} is {shape}')


def _vgg_clues(state_dict: StateDict, image_shape: ImageShape) -> Iterator[Clue]:
  kernels = vgg_kernels(state_dict)
  if not kernels:
    return
  norms = [
    name for name in state_dict if re.fullmatch(r'features\.\d+\.running_mean', name)
  ]
  if norms:
    yield Clue('norm', ('batch',), f"batch norm begins at '{norms[0]}'")
  else:
    yield Clue('norm', ('none',), 'features have no running_mean')
  cells = vgg_cells(state_dict)
  if cells:
    fitting = {
      'compact': (image_shape[0] // 32) * (image_shape[1] // 32),
      'torchvision': _CELLS,
    }
    values = tuple(head for head, count in fitting.items() if count == cells)
    evidence = f'classifier.0.weight is {state_dict["classifier.0.weight"].shape}'
    yield Clue(
      'head', values, evidence, differ=False
    )  # pooling 7x7 to 7x7 does nothing


def vgg_kernels(state_dict: StateDict) -> list[tuple[int, ...]]:
  """The shapes of the convolutions' kernels, in their order in the net."""
  found = {
    int(match[1]): array.shape
    for name, array in state_dict.items()
    if (match := re.fullmatch(r'features\.(\d{1,4})\.weight', name)) and array.ndim == 4
  }
  return [found[index] for index in sorted(found)]


def vgg_cells(state_dict: StateDict) -> int | None:
  """Number of cells of the map that a VGG's first fully connected layer takes."""
  shape = read_shape(state_dict, 'classifier.0.weight', rank=2)
  kernels = vgg_kernels(state_dict)
  if not shape or not kernels or not kernels[-1][0] or shape[1] % kernels[-1][0]:
    return None
  return shape[1] // kernels[-1][0]


def read_shape(
  state_dict: StateDict, name: str, *, rank: int
) -> tuple[int, ...] | None:
  """The shape of the array of that name and rank; None if there is none."""
  array = state_dict.get(name)
  return array.shape if array is not None and array.ndim == rank else None
