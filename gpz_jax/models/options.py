"""Values of a model's options, held to what its factory declares."""

import inspect
import typing
from collections.abc import Mapping
from typing import Any

from gpz_jax.models import normalization
from gpz_jax.types import InputError, check_known

# `bool` where annotations are kept as text
_SWITCH = (bool, 'bool')
_WORDS = {'true': True, 'false': False, '1': True, '0': False}
_RATES = ('dropout', 'stochastic_depth')  # shares of what is left out


def read_switches(
  name: str,
  parameters: Mapping[str, inspect.Parameter],
  options: Mapping[str, Any],
) -> dict[str, Any]:
  """The options with a bool for each switch, as which any other word would be true.

  Args:
    name: The model's name.
    parameters: The parameters of its factory; a switch is annotated as `bool`.
    options: The values by name, which may be words: true, false, 1 or 0.

  Raises:
    InputError: A switch has another value.
  """
  read = dict(options)
  for option, value in options.items():
    if option in parameters and parameters[option].annotation in _SWITCH:
      word = str(value).lower()
      if word not in _WORDS:
        raise InputError(
          f"model '{name}': {option}={value} is not allowed; give true or false"
        )
      read[option] = _WORDS[word]
  return read


def check(
  name: str,
  parameters: Mapping[str, inspect.Parameter],
  options: Mapping[str, Any],
) -> None:
  """Refuses values that an option of a built-in model does not have.

  Args:
    name: The model's name.
    parameters: The parameters of its factory.
    options: The values by name.

  Raises:
    InputError: A word is none of those declared, or a rate is not in [0, 1).
  """
  for option, value in options.items():
    annotation = parameters[option].annotation
    if typing.get_origin(annotation) is typing.Literal:
      words = typing.get_args(annotation)
      check_known(f"model '{name}': {option}", str(value), words)
    if option in _RATES and not _is_rate(value):
      raise InputError(
        f"model '{name}': {option}={value} is not allowed; give a rate of at least 0"
        ' and below 1'
      )
  if 'normalization' in options:
    normalization.check(options['normalization'])


def _is_rate(value: Any) -> bool:
  try:
    return 0 <= float(value) < 1
  except (TypeError, ValueError):
    return False
