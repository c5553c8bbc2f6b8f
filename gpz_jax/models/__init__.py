"""Target models: linen modules called as `module(image, *, train=False)`."""

import inspect
from typing import Any

import flax.linen as nn

from gpz_jax.models import options as options_lib
from gpz_jax.models import own_models
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
from gpz_jax.types import InputError

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
    **options: The module's own fields, such as `width` or `head`. A switch is a bool,
      or one of the words true, false, 1 and 0. `skips` is a factor
      for each stage, such as (1, 1, 1, 0), or a text, see `skip_text`.

  Raises:
    InputError: The name or an option is not known; an option cannot have its value; a
      factory cannot be imported or gives no module; outputs of a built-in model are to
      be chosen; or the model has no skip connections with a factor.
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
  parameters = inspect.signature(factory).parameters
  known = set(parameters) - reserved
  if unknown := sorted(set(options) - known):
    allowed = ', '.join(sorted(known))
    raise InputError(
      f"model '{name}' has no option '{unknown[0]}'; its options: {allowed}"
    )
  options = options_lib.read_switches(name, parameters, options)
  options_lib.check(name, parameters, options)
  return factory(num_classes=num_classes, **options)


def check_name(name: str) -> None:
  """Raises InputError where `make` would not know a name; imports nothing."""
  info(name)
