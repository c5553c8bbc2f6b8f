"""Target models: linen modules called as `module(image, *, train=False)`."""

import functools
import importlib
import inspect
from collections.abc import Callable
from typing import Any

import flax.linen as nn

from gpz_jax.models.cnn import CNN
from gpz_jax.models.ir import IR
from gpz_jax.models.resnet import ResNet
from gpz_jax.models.vgg import VGG
from gpz_jax.models.vit import ViT
from gpz_jax.types import InputError, check_known

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
# The splits that the paper attacks, see docs/paper.md#experiments.
PAPER_SPLITS: dict[str, tuple[str, ...]] = {
  'ir152': tuple(f'unit_{n}' for n in (3, 8, 25, 40, 48, 49, 50, 51)),
  'vgg19': tuple(f'feat_{n}' for n in (13, 17, 26, 30, 39, 43, 52)),
  'vit6': tuple(f'block_{n}' for n in range(1, 7)),
}


def make(name: str, *, num_classes: int, **options: Any) -> nn.Module:
  """A target by name.

  Args:
    name: one of MODELS, or 'package.module:factory': a function of num_classes and
      options, or a linen class, to be imported.
    num_classes: K, the number of logits.
    **options: the module's own fields, such as `width` or `head`.

  Raises:
    InputError: unknown name or option, or a factory that cannot be imported or gives
      no linen module.
  """
  check_name(name)
  if ':' in name:
    return _make_own(name, num_classes, options)
  reserved = {'name', 'parent', 'num_classes', 'depth'}  # the name says how deep
  known = set(inspect.signature(MODELS[name]).parameters) - reserved
  if unknown := sorted(set(options) - known):
    allowed = ', '.join(sorted(known))
    raise InputError(
      f"model '{name}' has no option '{unknown[0]}'; its options: {allowed}"
    )
  return MODELS[name](num_classes=num_classes, **options)


def check_name(name: str) -> None:
  """Raises InputError where `make` would not know a name; imports nothing."""
  if ':' not in name:
    check_known('model', name, MODELS)


def _make_own(name: str, num_classes: int, options: dict[str, Any]) -> nn.Module:
  module_name, _, attribute = name.partition(':')
  try:
    factory = getattr(importlib.import_module(module_name), attribute)
  except (Exception, SystemExit) as error:  # whatever the foreign module does
    raise InputError(
      f"model '{name}' cannot be imported ({error}); give package.module:factory, with"
      ' the package on PYTHONPATH'
    ) from error
  try:
    model = factory(**{**options, 'num_classes': num_classes})
  except Exception as error:
    raise InputError(
      f"model '{name}' cannot be made with num_classes={num_classes} and options"
      f' {options}: {error}'
    ) from error
  if not isinstance(model, nn.Module):
    raise InputError(
      f"model '{name}' gives a {type(model).__name__}, not a flax.linen module"
    )
  return model
