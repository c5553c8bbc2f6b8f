"""Which study a command line is of, and what does each of them."""

import itertools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from absl import flags

from gpz_jax.commands import model_inversion, presets, sweep
from gpz_jax.launching.studies import MODEL_INVERSION, STUDIES, SWEEP
from gpz_jax.study import fields
from gpz_jax.types import InputError, check_known


class Command(NamedTuple):
  """The command of a study.

  Attributes:
    define_flags: Defines its flags.
    config_from_flags: The config that parsed flags give.
    parse_config: The config that a command line gives.
  """

  define_flags: Callable[..., None]
  config_from_flags: Callable[..., Any]
  parse_config: Callable[[list[str]], Any]


COMMANDS = {
  SWEEP: Command(sweep.define_flags, sweep.config_from_flags, sweep.parse_config),
  MODEL_INVERSION: Command(
    model_inversion.define_flags,
    model_inversion.config_from_flags,
    model_inversion.parse_config,
  ),
}


def choose(argv: Sequence[str]) -> str:
  """The study that a command line is of, told by the flags that only one study has.

  Args:
    argv: The command line. The first entry is the program's name.

  Returns:
    One of `COMMANDS`; a sweep where nothing tells.

  Raises:
    InputError: It has flags of both, or --study names none.
  """
  given = _list_given(argv)
  if named := given.get('study'):
    check_known('--study', named, STUDIES)
    return named
  known = {name: set(fields.meanings(each.config)) for name, each in STUDIES.items()}
  ours, theirs = known[SWEEP], known[MODEL_INVERSION]
  of_sweep = [name for name in given if name in ours - theirs]
  of_inversion = [name for name in given if name in theirs - ours]
  if of_sweep and of_inversion:
    raise InputError(
      f'--{of_inversion[0]} is a flag of model inversion and --{of_sweep[0]} one of a'
      ' sweep; leave one of them out'
    )
  return MODEL_INVERSION if of_inversion else SWEEP


def _list_given(argv: Sequence[str]) -> dict[str, str]:
  """The flags of a command line and of its flagfiles, with their values as text.

  A flagfile that cannot be read gives none: the parser will say what is wrong with it.
  """
  try:
    argv = flags.FlagValues().read_flags_from_files(presets.expand(argv))
  except (flags.Error, OSError, ValueError, InputError):
    return {}
  found = {}
  for argument, following in itertools.pairwise([*argv[1:], '']):
    name, equals, value = argument.lstrip('-').partition('=')
    if argument.startswith('-'):
      found[name] = value if equals else following
      found.setdefault(name.removeprefix('no'), '')  # --nokes is --kes=false
  return found
