"""Attacks as text, which is checked before anything is trained.

An attack is a name, which options may follow: NAME or NAME:OPTION=VALUE:OPTION=VALUE.

  inversion                               a decoder for the activation
  inversion:enhance=nn_concat:at=unit_50  a stronger one, at one split only
  inversion:input=prediction_log          a decoder for the model's answer
  inversion:decoder=package.module:make:loss=l1
                                          a decoder of the user's own, another loss
  rmle:tv=1000:images=16                  a search for the image through the edge
  query_free:at=conv_2                    the same through a shadow of the edge
  generator:file=g.safetensors:starts=4   a search in the latents of a generator
  generator:file=g.safetensors:release=2  the same, which then enters two of its layers
  package.module:factory:strength=2       one of the user's own, see `protocol.Attack`
"""

import dataclasses
from typing import Any, get_type_hints

from gpz_jax import option_text
from gpz_jax.attacks.activation.decoder_attack import DecoderAttack
from gpz_jax.attacks.activation.generator_attack import GeneratorAttack
from gpz_jax.attacks.activation.optimisation import QUERY_FREE
from gpz_jax.attacks.activation.protocol import Attack
from gpz_jax.attacks.activation.search_attack import SearchAttack
from gpz_jax.types import InputError, check_known

_SHADOWED = {'shadow': True, **dataclasses.asdict(QUERY_FREE)}
# name -> its class, and the values that it sets before any option
ATTACKS: dict[str, tuple[type[Attack], dict[str, Any]]] = {
  'inversion': (DecoderAttack, {}),
  'rmle': (SearchAttack, {}),
  'query_free': (SearchAttack, _SHADOWED),
  'generator': (GeneratorAttack, {}),
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
  what = f"attack '{text}'"
  texts = option_text.split_options(what, options, known, factories=OWN)
  given = {
    key: option_text.convert(what, f'{key}={value}', value, kinds[key])
    for key, value in texts.items()
  }
  return cls(text=text, **defaults | given)


def _is_own(text: str) -> bool:
  return option_text.is_own(text, ATTACKS)


def _make_own(text: str) -> Attack:
  where = 'gpz_jax.attacks.activation.Attack'
  attack, at = option_text.make_own('attack', text, Attack, where)
  try:
    return dataclasses.replace(attack, text=text, at=at)
  except (TypeError, ValueError) as error:  # its class has an __init__ of its own
    raise InputError(
      f"attack '{text}' does not take text and at ({error}); make its class a frozen"
      ' dataclass'
    ) from error
