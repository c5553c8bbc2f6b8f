"""Settings that ship with the package: --preset=NAME works in every folder."""

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import TypeVar

from gpz_jax.sweep import SweepConfig
from gpz_jax.types import InputError, check_known

# It lies beside gpz_jax, in a checkout and where a wheel is installed. It is found by
# its path, because a user's folder of this name may hide the package.
FOLDER = pathlib.Path(__file__).parents[2] / 'experiments'
FLAG = 'preset'

Config = TypeVar('Config', bound=SweepConfig)


def list_names() -> list[str]:
  """The names that --preset may have, sorted."""
  return sorted(path.stem for path in (FOLDER / 'flagfiles').glob('*.cfg'))


def expand(argv: Sequence[str]) -> list[str]:
  """Replaces each --preset=NAME in a command line by the flagfile it stands for.

  Args:
    argv: The command line. The first entry is the program's name.

  Raises:
    InputError: No preset has this name, or a name is missing.
  """
  found, rest = [], list(argv)
  while rest:
    argument = rest.pop(0)
    if argument == '--':
      return [*found, argument, *rest]
    flag, equals, name = argument.partition('=')
    if flag not in (f'-{FLAG}', f'--{FLAG}'):
      found.append(argument)
      continue
    if not equals:
      if not rest:
        raise InputError(f'--{FLAG} has no name; give one, such as --{FLAG}=quickstart')
      name = rest.pop(0)
    check_known(FLAG, name, list_names())
    found.append(f'--flagfile={FOLDER / "flagfiles" / f"{name}.cfg"}')
  return found


def locate(config: Config) -> Config:
  """A config in which a file that ships with the package is named by its whole path.

  Flagfiles name such files from the top of a checkout, where they need not be run.

  Args:
    config: What the flags give.
  """
  path = config.aux_exclude
  if not path or pathlib.Path(path).exists():
    return config
  shipped = FOLDER.parent / path
  is_ours = FOLDER in shipped.parents and shipped.is_file()
  return dataclasses.replace(config, aux_exclude=str(shipped)) if is_ours else config
