"""Settings that ship with the package: --preset=NAME works in every folder."""

import dataclasses
import pathlib
import re
from collections.abc import Sequence
from typing import TypeVar

from gpz_jax.model_inversion import ModelInversionConfig
from gpz_jax.study import fields
from gpz_jax.sweep import SweepConfig
from gpz_jax.types import InputError, check_known

# It lies beside gpz_jax, in a checkout and where a wheel is installed. It is found by
# its path, because a user's folder of this name may hide the package.
FOLDER = pathlib.Path(__file__).parents[2] / 'experiments'
FLAG = 'preset'
STUDIES = {'gpz-sweep': SweepConfig, 'gpz-model-inversion': ModelInversionConfig}

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


def explain_unknown(flag: str, argv: Sequence[str]) -> str | None:
  """Says which other command a flag belongs to, and the preset that gave it.

  Args:
    flag: Name of a flag that the command lacks.
    argv: The command line, in which presets are expanded.

  Returns:
    A sentence without a full stop; None where no study has the flag, or several do.
  """
  owners = [
    command
    for command, config in STUDIES.items()
    if {flag, flag.removeprefix('no')} & set(fields.meanings(config))
  ]
  if len(owners) != 1:
    return None
  for argument in argv:
    name, _, path = argument.partition('=')
    if name in ('-flagfile', '--flagfile') and _gives(pathlib.Path(path), flag):
      file = pathlib.Path(path)
      is_ours = file.parent == FOLDER / 'flagfiles'
      given = f'--{FLAG}={file.stem}' if is_ours else argument
      return (
        f'{given} belongs to {owners[0]}: it gives --{flag}, which this command does'
        ' not have'
      )
  return f'--{flag} is a flag of {owners[0]} and not of this command'


def _gives(file: pathlib.Path, flag: str) -> bool:
  """Whether a flagfile gives a flag a value."""
  try:
    text = file.expanduser().read_text(errors='replace')
  except (OSError, RuntimeError):
    return False
  return re.search(rf'^\s*--?{re.escape(flag)}\b', text, re.MULTILINE) is not None


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
