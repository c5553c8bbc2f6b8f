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
  lines = []
  for name, value in dataclasses.asdict(config).items():
    if isinstance(value, bool):
      lines.append(f'--{name}' if value else f'--no{name}')
    elif isinstance(value, tuple):
      lines.append(f'--{name}={",".join(map(str, value))}')
    elif value is not None:
      lines.append(f'--{name}={value}')
  return '\n'.join(lines) + '\n'
