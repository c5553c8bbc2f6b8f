"""Target models: linen modules called as `module(image, *, train=False)`."""

import inspect
import typing
from collections.abc import Callable
from typing import Any

import flax.linen as nn

from gpz_jax.models import normalization, own_models
from gpz_jax.models import skips as skips_lib
from gpz_jax.models.own_models import adapt
from gpz_jax.models.table import (
  MODELS,
  ImageForm,
  ModelInfo,
  check_image,
  info,
  paper_models,
)
from gpz_jax.types import InputError, check_known

__all__ = [
  'MODELS',
  'ImageForm',
  'ModelInfo',
  'adapt',
  'check_image',
  'check_name',
  'info',
  'make',
  'paper_models',
]


def make(
  name: str, *, num_classes: int, model_output: str | None = None, **options: Any
) -> nn.Module:
  """Makes a target by name.

  Args:
    name: One of MODELS, or 'package.module:factory': a function of num_classes and
      options, or a class of linen or NNX, to be imported.
    num_classes: Number of logits, K.
    model_output: Which of the outputs of a model of the user's own are the logits, see
      `adapt`.
    **options: The module's own fields, such as `width` or `head`. `skips` is a factor
      for each stage, such as (1, 1, 1, 0), or a text, see `skip_text`.

  Raises:
    InputError: The name or an option is not known; a factory cannot be imported or
      gives no module; outputs of a built-in model are to be chosen; or the model has no
      skip connections with a factor.
  """
  if 'skips' in options:
    given = options.pop('skips')
    plain = make(name, num_classes=num_classes, model_output=model_output, **options)
    return skips_lib.make(plain, given)
  factory = info(name).factory
  if factory is None:
    return own_models.make(name, num_classes, options, model_output)
  if model_output is not None:
    raise InputError(
      f'--model_output={model_output} is for models of your own; {name} returns its'
      ' logits alone'
    )
  # The name says how deep, and which of a family.
  reserved = {'name', 'parent', 'num_classes', 'depth', 'variant'}
  known = set(inspect.signature(factory).parameters) - reserved
  if unknown := sorted(set(options) - known):
    allowed = ', '.join(sorted(known))
    raise InputError(
      f"model '{name}' has no option '{unknown[0]}'; its options: {allowed}"
    )
  _check_words(name, factory, options)
  return factory(num_classes=num_classes, **options)


def check_name(name: str) -> None:
  """Raises InputError where `make` would not know a name; imports nothing."""
  info(name)


def _check_words(name: str, factory: Callable[..., Any], options: dict[str, Any]):
  """Refuses values that an option does not have; a wrong word would be one of them."""
  fields = inspect.signature(factory).parameters
  for option, value in options.items():
    annotation = fields[option].annotation
    if typing.get_origin(annotation) is typing.Literal:
      words = typing.get_args(annotation)
      check_known(f"model '{name}': {option}", str(value), words)
  if 'normalization' in options:
    normalization.check(options['normalization'])
