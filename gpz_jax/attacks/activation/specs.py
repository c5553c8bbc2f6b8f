"""Attacks as text, which is checked before anything is trained.

An attack is a name, which options may follow: NAME or NAME:OPTION=VALUE:OPTION=VALUE.

  inversion                               a decoder for the activation
  inversion:enhance=nn_concat:at=unit_50  a stronger one, at one split only
  inversion:input=prediction_log          a decoder for the model's answer
  inversion:decoder=package.module:make:loss=l1
                                          a decoder of the user's own, another loss
  rmle:tv=1000:images=16                  a search for the image through the edge
  query_free:at=conv_2                    the same through a shadow of the edge
  package.module:factory:strength=2       one of the user's own, see `protocol.Attack`
"""

import dataclasses
from typing import Any, get_args, get_type_hints

from gpz_jax import own
from gpz_jax.attacks.activation.decoder_attack import DecoderAttack
from gpz_jax.attacks.activation.optimisation import QUERY_FREE
from gpz_jax.attacks.activation.protocol import Attack
from gpz_jax.attacks.activation.search_attack import SearchAttack
from gpz_jax.types import InputError, check_known, hint, literal_or_word

_SHADOWED = {'shadow': True, **dataclasses.asdict(QUERY_FREE)}
# name -> its class, and the values that it sets before any option
ATTACKS: dict[str, tuple[type[Attack], dict[str, Any]]] = {
  'inversion': (DecoderAttack, {}),
  'rmle': (SearchAttack, {}),
  'query_free': (SearchAttack, _SHADOWED),
}


OWN = ('decoder', 'loss')  # options that may be package.module:factory


def check(text: str) -> None:
  """Refuses what `parse` would refuse, but imports no module of the user's.

  Raises:
    InputError: The name, an option or a value is unknown.
  """
  if not _is_own(text):
    parse(text)


def parse(text: str) -> Attack:
  """The attack that a text names.

  Raises:
    InputError: The name, an option or a value is unknown, or an attack of the user's
      own cannot be made.
  """
  if _is_own(text):
    return _make_own(text)
  name, *options = text.split(':')
  check_known('attack', name, ATTACKS)
  cls, defaults = ATTACKS[name]
  kinds = get_type_hints(cls)
  known = [key for key in kinds if key not in ('text', 'shadow')]
  given = {
    key: _convert(text, f'{key}={value}', value, kinds[key])
    for key, value in _split_options(text, options, known).items()
  }
  return cls(text=text, **defaults | given)


def _split_options(
  text: str, options: list[str], known: list[str] | None = None
) -> dict[str, str]:
  """The value of each option, as texts.

  Args:
    text: The whole text, for messages.
    options: The options as OPTION=VALUE.
    known: The names of all options that exist, or None if any name will do.
  """
  given: dict[str, str] = {}
  for option in _rejoin(options):
    key, _, value = option.partition('=')
    is_known = key if known is None else key in known
    if not is_known or not value or key in given:
      problem = 'is given twice' if key in given else 'is not known as KEY=VALUE'
      end = '.' if known is None else hint(key, known)
      raise InputError(f"attack '{text}': option '{option}' {problem}{end}")
    given[key] = value
  return given


def _rejoin(options: list[str]) -> list[str]:
  """The options, where a value of the form package.module:factory was taken apart."""
  joined: list[str] = []
  for option in options:
    key, _, value = joined[-1].partition('=') if joined else ('', '', '')
    if key in OWN and value and ':' not in value and '=' not in option:
      joined[-1] += f':{option}'
    else:
      joined.append(option)
  return joined


def _convert(text: str, option: str, value: str, kind: Any) -> Any:
  if kind == tuple[str, ...]:
    return tuple(value.split('|'))
  if allowed := get_args(kind):
    if value not in allowed:
      raise InputError(
        f"attack '{text}': {option} is not allowed{hint(value, allowed)}"
      )
    return value
  try:
    return kind(value)
  except ValueError:
    raise InputError(
      f"attack '{text}': {option} is not allowed; give a {kind.__name__}"
    ) from None


def _is_own(text: str) -> bool:
  """Whether a text has the form package.module:factory, with or without options.

  A misspelt name of ours is not one of them, because '=' follows its first colon.
  """
  name, *rest = text.split(':')
  return name not in ATTACKS and bool(rest) and '=' not in rest[0]


def _make_own(text: str) -> Attack:
  module_name, attribute, *options = text.split(':')
  given = _split_options(text, options)
  at = tuple(given.pop('at').split('|')) if 'at' in given else ()
  factory = own.load(f"attack '{text}'", f'{module_name}:{attribute}')
  try:
    attack = factory(**{key: literal_or_word(value) for key, value in given.items()})
  except Exception as error:
    raise InputError(
      f"attack '{text}' cannot be made with options {given}: {error}"
    ) from error
  if not isinstance(attack, Attack):
    raise InputError(
      f"attack '{text}' gives a {type(attack).__name__}; give a subclass of"
      ' gpz_jax.attacks.activation.Attack'
    )
  try:
    hash(attack)
  except TypeError as error:
    raise InputError(
      f"attack '{text}' cannot be hashed ({error}); make its class a frozen dataclass"
    ) from error
  try:
    return dataclasses.replace(attack, text=text, at=at)
  except (TypeError, ValueError) as error:  # its class has an __init__ of its own
    raise InputError(
      f"attack '{text}' does not take text and at ({error}); make its class a frozen"
      ' dataclass'
    ) from error
