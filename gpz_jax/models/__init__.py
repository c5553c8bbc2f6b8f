"""Target models: linen modules called as `module(image, *, train=False)`."""

import difflib
import functools
import inspect
from collections.abc import Callable
from typing import Any

import flax.linen as nn

from gpz_jax.models.cnn import CNN
from gpz_jax.models.ir import IR
from gpz_jax.models.resnet import ResNet
from gpz_jax.models.vgg import VGG
from gpz_jax.models.vit import ViT
from gpz_jax.types import InputError

MODELS: dict[str, Callable[..., nn.Module]] = {
  'cnn': CNN,
  'vgg11': functools.partial(VGG, depth=11),
  'vgg13': functools.partial(VGG, depth=13),
  'vgg16': functools.partial(VGG, depth=16),
  'vgg19': functools.partial(VGG, depth=19),
  'ir50': functools.partial(IR, depth=50),
  'ir100': functools.partial(IR, depth=100),
  'ir152': functools.partial(IR, depth=152),
  'resnet18': functools.partial(ResNet, depth=18),
  'resnet50': functools.partial(ResNet, depth=50),
  'vit6': functools.partial(ViT, depth=6),
}


def make(name: str, *, num_classes: int, **options: Any) -> nn.Module:
  """A target by name.

  Args:
    name: one of MODELS.
    num_classes: K, the number of logits.
    **options: the module's own fields, such as `width` or `head`.

  Raises:
    InputError: unknown name or option.
  """
  if name not in MODELS:
    near = difflib.get_close_matches(name, MODELS, n=1)
    hint = f"; did you mean '{near[0]}'?" if near else '.'
    raise InputError(f"model '{name}' is not known{hint} Known: {', '.join(MODELS)}")
  known = set(inspect.signature(MODELS[name]).parameters) - {'name', 'parent'}
  if unknown := sorted(set(options) - known):
    allowed = ', '.join(sorted(known - {'num_classes', 'depth'}))
    raise InputError(
      f"model '{name}' has no option '{unknown[0]}'; its options: {allowed}"
    )
  return MODELS[name](num_classes=num_classes, **options)
