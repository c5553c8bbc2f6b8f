"""What is known of each built-in model: a new family adds lines here and a module.

A model of the user's own ('package.module:factory') has the defaults of `ModelInfo`.
"""

import dataclasses
import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import flax.linen as nn

from gpz_jax import own, vocabulary
from gpz_jax.models.cnn import CNN
from gpz_jax.models.densenet import DenseNet
from gpz_jax.models.efficientnet import EfficientNet
from gpz_jax.models.inception import Inception
from gpz_jax.models.ir import IR
from gpz_jax.models.maxvit import MaxViT
from gpz_jax.models.repvgg import RepVGG
from gpz_jax.models.resnet import ResNet
from gpz_jax.models.vgg import VGG
from gpz_jax.models.vit import ViT
from gpz_jax.models.vit_b import VisionTransformer
from gpz_jax.types import InputError, check_known


@dataclasses.dataclass(frozen=True)
class ImageForm:
  """The images that a model takes.

  Attributes:
    least_side: Smallest height and width, in pixels.
    multiple_of: Number that height and width are multiples of, or the name of the
      model's option that holds this number.
    cells: How many times this number height and width are multiples of. It may depend
      on the model's stem: the name of the stem and the number of times.
    channels: Numbers of channels that the model takes; None accepts any number.
  """

  least_side: int = 1
  multiple_of: int | str = 1
  cells: int | Mapping[str, int] = 1
  channels: tuple[int, ...] | None = None


@dataclasses.dataclass(frozen=True)
class ModelInfo:
  """What is known of a model beside its name.

  Attributes:
    factory: Makes the module from num_classes and options; None for a user's own
      model, which is imported when it is made.
    family: Name of the recipe that its targets train by, a key of
      `training.recipe.TARGET_RECIPES`.
    paper_splits: Splits that the paper attacks (docs/paper.md#experiments); empty for
      a model that is not in the paper.
    image: Images that the model takes.
  """

  factory: Callable[..., nn.Module] | None = None
  family: str = vocabulary.OWN_MODEL
  paper_splits: tuple[str, ...] = ()
  image: ImageForm = ImageForm()


# `layers.standardize` normalises colour and grey images, and no others.
_COLOUR_OR_GREY = (3, 1)
# Four pools halve the sides of CNN, five those of VGG: at least one pixel must remain.
_CNN_IMAGE = ImageForm(least_side=16, channels=_COLOUR_OR_GREY)
_VGG_IMAGE = ImageForm(least_side=32, channels=_COLOUR_OR_GREY)
# Strided convolutions round up, so that one pixel stays one pixel.
_ANY_SIDE = ImageForm(channels=_COLOUR_OR_GREY)
_VIT_IMAGE = ImageForm(multiple_of='patch', channels=_COLOUR_OR_GREY)
# Four stages halve the sides of MaxViT, and so does the larger stem.
_MAXVIT_CELLS = {'imagenet': 32, 'small': 16}
_MAXVIT_IMAGE = ImageForm(
  multiple_of='window', cells=_MAXVIT_CELLS, channels=_COLOUR_OR_GREY
)
_INCEPTION_IMAGE = ImageForm(least_side=75, channels=_COLOUR_OR_GREY)


def _vgg(
  depth: Literal[11, 13, 16, 19], paper_splits: tuple[str, ...] = ()
) -> ModelInfo:
  factory = functools.partial(VGG, depth=depth)
  return ModelInfo(factory, 'vgg', paper_splits, _VGG_IMAGE)


def _ir(depth: Literal[50, 100, 152], paper_splits: tuple[str, ...] = ()) -> ModelInfo:
  return ModelInfo(functools.partial(IR, depth=depth), 'ir', paper_splits, _ANY_SIDE)


def _resnet(depth: Literal[18, 34, 50, 101, 152]) -> ModelInfo:
  return ModelInfo(functools.partial(ResNet, depth=depth), 'ir', image=_ANY_SIDE)


def _densenet(depth: Literal[121, 161, 169, 201]) -> ModelInfo:
  return ModelInfo(functools.partial(DenseNet, depth=depth), image=_ANY_SIDE)


def _repvgg(variant: Literal['a0', 'b0']) -> ModelInfo:
  return ModelInfo(functools.partial(RepVGG, variant=variant), image=_ANY_SIDE)


def _vit(depth: int, paper_splits: tuple[str, ...] = ()) -> ModelInfo:
  return ModelInfo(functools.partial(ViT, depth=depth), 'vit', paper_splits, _VIT_IMAGE)


def _numbered(stem: str, numbers: Sequence[int]) -> tuple[str, ...]:
  return tuple(f'{stem}_{n}' for n in numbers)


MODELS: dict[str, ModelInfo] = {
  'cnn': ModelInfo(CNN, 'ir', image=_CNN_IMAGE),
  'vgg11': _vgg(11),
  'vgg13': _vgg(13),
  'vgg16': _vgg(16),
  'vgg19': _vgg(19, _numbered('feat', (13, 17, 26, 30, 39, 43, 52))),
  'ir50': _ir(50),
  'ir100': _ir(100),
  'ir152': _ir(152, _numbered('unit', (3, 8, 25, 40, 48, 49, 50, 51))),
  'resnet18': _resnet(18),
  'resnet34': _resnet(34),
  'resnet50': _resnet(50),
  'resnet101': _resnet(101),
  'resnet152': _resnet(152),
  'densenet121': _densenet(121),
  'densenet161': _densenet(161),
  'densenet169': _densenet(169),
  'densenet201': _densenet(201),
  'repvgg_a0': _repvgg('a0'),
  'repvgg_b0': _repvgg('b0'),
  'vit6': _vit(6, _numbered('block', range(1, 7))),
  'vit_b_16': ModelInfo(VisionTransformer, 'vit', image=_VIT_IMAGE),
  'efficientnet_b0': ModelInfo(EfficientNet, image=_ANY_SIDE),
  'maxvit_t': ModelInfo(MaxViT, image=_MAXVIT_IMAGE),
  'inception_v3': ModelInfo(Inception, image=_INCEPTION_IMAGE),
}


def info(name: str) -> ModelInfo:
  """What is known of a model; imports nothing.

  Args:
    name: One of MODELS, or 'package.module:factory', which has the defaults.

  Raises:
    InputError: The name is not known.
  """
  if ':' in name:
    return ModelInfo()
  if '.' in name:  # no built-in model has a dot
    raise InputError(
      f"model '{name}' is not known; a model of your own is package.module:factory"
      f'{own.suggest(name)}'
    )
  check_known('model', name, MODELS)
  return MODELS[name]


def paper_models() -> list[str]:
  """The models whose splits the paper attacks."""
  return [name for name, known in MODELS.items() if known.paper_splits]


def check_image(
  name: str, image_shape: tuple[int, int, int], options: Mapping[str, Any] | None = None
) -> None:
  """Checks that a model takes images of a shape.

  Args:
    name: One of MODELS, or 'package.module:factory', which takes any image.
    image_shape: (H, W, C).
    options: The model's own options, as for `make`.

  Raises:
    InputError: The name is not known, or the images are too small, have sides that the
      model cannot divide, or have a number of channels that it does not take.
  """
  known = info(name)
  form = known.image
  height, width, channels = image_shape
  got = f'got {height}x{width}x{channels}'
  if min(height, width) < form.least_side:
    raise InputError(
      f"model '{name}' needs images of at least {form.least_side}x{form.least_side}"
      f' pixels, {got}; set image_size to {form.least_side} or more'
    )
  multiple = form.multiple_of
  if isinstance(multiple, str):
    multiple = _option(known, multiple, options or {})
  cells = form.cells
  if not isinstance(cells, int):
    cells = cells.get((options or {}).get('stem', 'imagenet'), 1)
  multiple *= cells
  if height % multiple or width % multiple:
    sides = [-(-side // multiple) * multiple for side in (height, width)]
    size = sides[0] if sides[0] == sides[1] else f'{sides[0]}x{sides[1]}'
    raise InputError(
      f"model '{name}' needs images whose sides are multiples of {multiple}, {got};"
      f' set image_size to {size}'
    )
  if form.channels and channels not in form.channels:
    allowed = ' or '.join(map(str, form.channels))
    raise InputError(
      f"model '{name}' needs images of {allowed} channels, {got}; convert the images"
      ', or set channels'
    )


def _option(known: ModelInfo, option: str, options: Mapping[str, Any]) -> int:
  """The value of a whole-number option, or the factory's default."""
  assert known.factory is not None  # a user's own model has no option known to us
  default = inspect.signature(known.factory).parameters[option].default
  value = options.get(option, default)
  if not isinstance(value, int) or value < 1:
    raise InputError(f'{option} {value!r} is not a whole number of at least 1')
  return value
