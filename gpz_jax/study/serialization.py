"""A config as the files that repeat it: config.json and run.flags."""

import dataclasses
from typing import Any

from gpz_jax.sweep.config import SweepConfig


def to_json(config: SweepConfig) -> dict[str, Any]:
  """The fields as JSON values, in order."""
  return {
    name: list(value) if isinstance(value, tuple) else value
    for name, value in dataclasses.asdict(config).items()
  }


def to_flags(config: SweepConfig) -> str:
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
