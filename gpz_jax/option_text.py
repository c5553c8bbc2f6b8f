"""A part of a study as text: NAME, or NAME:OPTION=VALUE:OPTION=VALUE.

Attacks and defences are written so. What stands for a part of the user's own begins
with package.module:factory instead of a name. This module knows the form alone and
neither names nor classes, and imports nothing of the user's but in `make_own`.
"""

from collections.abc import Collection, Sequence
from typing import Any, get_args

from gpz_jax import own
from gpz_jax.types import InputError, hint, literal_or_word


def is_own(text: str, names: Collection[str]) -> bool:
  """Whether a text has the form package.module:factory, with or without options.

  A misspelt name of ours is not one of them, because '=' follows its first colon.

  Args:
    text: The text.
    names: The names of the parts that come with the project.
  """
  name, *rest = text.split(':')
  return name not in names and bool(rest) and '=' not in rest[0]


def split_options(
  what: str,
  options: Sequence[str],
  known: Sequence[str] | None = None,
  *,
  factories: Collection[str] = (),
) -> dict[str, str]:
  """The value of each option, as texts.

  Args:
    what: The kind and the whole text, for messages, such as "attack 'rmle:tv=1'".
    options: The options as OPTION=VALUE.
    known: The names of all options that exist, or None if any name will do.
    factories: The options whose value may be package.module:factory.

  Raises:
    InputError: An option is unknown, has no value or is given twice.
  """
  given: dict[str, str] = {}
  for option in _rejoin(options, factories):
    key, _, value = option.partition('=')
    is_known = key if known is None else key in known
    if not is_known or not value or key in given:
      problem = 'is given twice' if key in given else 'is not known as KEY=VALUE'
      end = '.' if known is None else hint(key, known)
      raise InputError(f"{what}: option '{option}' {problem}{end}")
    given[key] = value
  return given


def _rejoin(options: Sequence[str], factories: Collection[str]) -> list[str]:
  """The options, where a value of the form package.module:factory was taken apart."""
  joined: list[str] = []
  for option in options:
    key, _, value = joined[-1].partition('=') if joined else ('', '', '')
    if key in factories and value and ':' not in value and '=' not in option:
      joined[-1] += f':{option}'
    else:
      joined.append(option)
  return joined


def convert(what: str, option: str, value: str, kind: Any) -> Any:
  """The value of an option as its declared type.

  Args:
    what: The kind and the whole text, for messages.
    option: The option as OPTION=VALUE, for messages.
    value: The value as text.
    kind: A type that is made from a text, a Literal, or tuple[str, ...], whose entries
      stand between bars.

  Raises:
    InputError: The value is not allowed.
  """
  if kind == tuple[str, ...]:
    return tuple(value.split('|'))
  if allowed := get_args(kind):
    if value not in allowed:
      raise InputError(f'{what}: {option} is not allowed{hint(value, allowed)}')
    return value
  try:
    return kind(value)
  except ValueError:
    raise InputError(
      f'{what}: {option} is not allowed; give a {kind.__name__}'
    ) from None


def make_own(kind: str, text: str, base: type, where: str) -> tuple[Any, tuple]:
  """Makes a part of the user's own.

  Args:
    kind: What it is, such as 'attack'.
    text: The text, package.module:factory with or without options.
    base: The class that it must be of.
    where: The full name of this class, for messages.

  Returns:
    The part, and the entries of its option `at`.

  Raises:
    InputError: It cannot be imported or made, is of another class, or has no hash.
  """
  what = f"{kind} '{text}'"
  module_name, attribute, *options = text.split(':')
  given = split_options(what, options)
  at = tuple(given.pop('at').split('|')) if 'at' in given else ()
  factory = own.load(what, f'{module_name}:{attribute}')
  try:
    made = factory(**{key: literal_or_word(value) for key, value in given.items()})
  except Exception as error:
    raise InputError(f'{what} cannot be made with options {given}: {error}') from error
  if not isinstance(made, base):
    raise InputError(
      f'{what} gives a {type(made).__name__}; give a subclass of {where}'
    )
  try:
    hash(made)
  except TypeError as error:
    raise InputError(
      f'{what} cannot be hashed ({error}); make its class a frozen dataclass'
    ) from error
  return made, at
