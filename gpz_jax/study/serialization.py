"""A config as the files that repeat it: config.json and run.flags."""

import dataclasses
from typing import Any, TypeVar

from gpz_jax.study.config import StudyConfig

Config = TypeVar('Config', bound=StudyConfig)


def to_json(config: StudyConfig) -> dict[str, Any]:
  """The fields as JSON values, in order."""
  return {
    name: list(value) if isinstance(value, tuple) else value
    for name, value in dataclasses.asdict(config).items()
  }


def from_json(config_type: type[Config], values: dict[str, Any]) -> Config:
  """The config that `to_json` gave.

  Raises:
    InputError: A value is not allowed.
    TypeError: A field is unknown.
  """
  plain: dict[str, Any] = {
    name: tuple(value) if isinstance(value, list) else value
    for name, value in values.items()
  }
  return config_type(**plain)


def to_flags(config: StudyConfig) -> str:
  """A flagfile that repeats the run."""
  return write_flags(dataclasses.asdict(config))


def write_flags(values: dict[str, Any]) -> str:
  """A flagfile that gives these fields these values; None is what is not given."""
  lines = []
  for name, value in values.items():
    if isinstance(value, bool):
      lines.append(f'--{name}' if value else f'--no{name}')
    elif isinstance(value, tuple):
      lines.append(f'--{name}={",".join(map(str, value))}')
    elif value is not None:
      lines.append(f'--{name}={value}')
  return '\n'.join(lines) + '\n'


def first_difference(
  config: StudyConfig, theirs: dict[str, Any], names: tuple[str, ...]
) -> str:
  """The first field of `names` that differs, as `alphas is [0.0] there and [0.3] here`.

  A field that is younger than `theirs` had its default there.

  Args:
    config: This config.
    theirs: The config.json of another study.
    names: The fields to compare.

  Returns:
    Empty where nothing differs.
  """
  ours, default = to_json(config), to_json(type(config)())
  for name in ours:
    there = theirs.get(name, default[name])
    if name in names and ours[name] != there:
      return f'{name} is {there!r} there and {ours[name]!r} here'
  return ''
