"""Flags made from the fields of a study's config."""

import dataclasses
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from absl import flags

from gpz_jax.commands.command import ListText
from gpz_jax.study import fields
from gpz_jax.study.config import StudyConfig
from gpz_jax.types import InputError

Config = TypeVar('Config', bound=StudyConfig)


def define(config_type: type[StudyConfig], values: flags.FlagValues) -> None:
  """Defines one flag for each field of a config.

  Args:
    config_type: Class of the config.
    values: The flags to which those of the fields are added.
  """
  hints = get_type_hints(config_type)
  defaults: dict[str, Any] = {
    field.name: field.default for field in dataclasses.fields(config_type)
  }
  for name, meaning in fields.meanings(config_type).items():
    kind, default, text = fields.scalar_kind(hints[name]), defaults[name], meaning.help
    if meaning.choices:
      text += f' It is one of: {", ".join(map(str, meaning.choices))}.'
    if get_origin(kind) is tuple:
      default = ','.join(map(str, default))
      text += ' Entries are separated by commas.'
      flags.DEFINE(ListText(), name, default, text, values, flags.ArgumentSerializer())
    elif kind is bool:
      flags.DEFINE_bool(name, default, text, flag_values=values)
    else:
      known: dict[Any, Any] = {
        str: flags.DEFINE_string,
        int: flags.DEFINE_integer,
        fields.SIZE: flags.DEFINE_string,
      }
      known.get(kind, flags.DEFINE_float)(name, default, text, flag_values=values)


def read(config_type: type[Config], values: flags.FlagValues) -> Config:
  """The config that parsed flags give.

  Args:
    config_type: Class of the config.
    values: The flags, which have been parsed.

  Raises:
    InputError: An entry of a list is not a number, or a value is not allowed.
  """
  given = {}
  for name, hint in get_type_hints(config_type).items():
    if name not in fields.meanings(config_type):
      continue
    value, kind = values[name].value, fields.scalar_kind(hint)
    is_list = get_origin(kind) is tuple
    given[name] = (
      _parse_list(name, value or '', get_args(kind)[0]) if is_list else value
    )
  return config_type(**given)


def _parse_list(name: str, text: str, kind: type) -> tuple[Any, ...]:
  """The entries of a list that a flag gives as text."""
  entries = [entry.strip() for entry in text.split(',') if entry.strip()]
  try:
    return tuple(kind(entry) for entry in entries)
  except ValueError:
    raise InputError(
      f'--{name}={text} is not allowed; give {kind.__name__} values separated by commas'
    ) from None
