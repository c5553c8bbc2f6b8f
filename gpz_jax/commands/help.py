"""What --help prints: the flags a person decides first, with the values in use."""

import textwrap
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from absl import flags

from gpz_jax.types import LINE_WIDTH

ASKING = ('--help', '-help', '-h', '-?', '--helpshort', '-helpshort')
ASKING_FOR_ALL = ('--helpfull', '-helpfull')
REST = 'Everything else'


class Layout(NamedTuple):
  """How the flags of a command are shown.

  Attributes:
    groups: Heading -> the flags below it. Those in no group are shown by --helpfull.
    origins: The values of the flags -> the default of each flag whose default another
      flag decides, and where it comes from.
    more: Flag -> its help, of flags that are replaced before flags are parsed.
  """

  groups: Mapping[str, Sequence[str]]
  origins: Callable[[flags.FlagValues], Mapping[str, str]]
  more: Mapping[str, str]


def split_off(argv: Sequence[str]) -> tuple[list[str], str | None]:
  """Takes the requests for help out of a command line.

  Args:
    argv: The command line. The first entry is the program's name.

  Returns:
    The rest, and 'all' if every flag is asked for, 'first' if only those that a person
    decides first, or None if no help is.
  """
  wanted = [argument for argument in argv[1:] if argument in ASKING + ASKING_FOR_ALL]
  rest = [argv[0], *(argument for argument in argv[1:] if argument not in wanted)]
  if not wanted:
    return rest, None
  return rest, 'all' if set(wanted) & set(ASKING_FOR_ALL) else 'first'


def describe(
  intro: str,
  values: flags.FlagValues,
  names: Sequence[str],
  layout: Layout | None,
  wanted: str,
) -> str:
  """What --help prints.

  Args:
    intro: What the command does, in a few lines.
    values: The flags, which have been parsed.
    names: The command's own flags.
    layout: How they are shown; None shows them all in their order.
    wanted: 'all' or 'first', as `split_off` gives it.
  """
  if layout is None:
    return '\n'.join([intro.strip(), '', *_block('Flags', names, values, {}, {})])
  origins = layout.origins(values)
  groups = dict(layout.groups)
  shown = {name for group in groups.values() for name in group}
  rest = [name for name in names if name not in shown]
  if wanted == 'all':
    groups[REST] = rest
  lines = [intro.strip(), '']
  for heading, group in groups.items():
    lines += [*_block(heading, group, values, origins, layout.more), '']
  if wanted != 'all':
    lines.append(f'--helpfull shows {len(rest)} more flags.')
  return '\n'.join(lines).rstrip()


def _block(heading, names, values, origins, more) -> list[str]:
  lines = [f'{heading}:']
  for name in names:
    is_switch = name in values and values[name].boolean
    text = more[name] if name in more else _say(values[name], origins.get(name))
    lines += textwrap.wrap(
      f'--{"[no]" if is_switch else ""}{name}: {text}',
      LINE_WIDTH,
      initial_indent='  ',
      subsequent_indent='      ',
      break_long_words=False,
      break_on_hyphens=False,
    )
  return lines


def _say(flag: flags.Flag, origin: str | None) -> str:
  """The help of a flag and the value that it has."""
  if flag.present:
    return f'{flag.help} (given: {_spell(flag.value)})'
  if origin is not None:
    return f'{flag.help} (default: {origin})'
  if flag.value in (None, ''):
    return str(flag.help)
  return f'{flag.help} (default: {_spell(flag.value)})'


def _spell(value: object) -> str:
  if isinstance(value, bool):
    return 'on' if value else 'off'
  return ','.join(map(str, value)) if isinstance(value, list) else str(value)
