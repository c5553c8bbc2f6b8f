"""Attacks on a model as text, which is checked before anything is trained.

An attack is a name, which options may follow: NAME or NAME:OPTION=VALUE:OPTION=VALUE.

  ppa                                 16 candidates for each class, of which 8 are kept
  ppa:preset=small:steps=70           another preset, with a change
  ppa:preset=small:adaptive=taa:views=8
                                      an attacker who averages gradients over views
  ifgmi:preset=small:layers=3         PPA that goes on through the generator's layers
  gmi  kedmi  lomma_gmi:students=cnn  searches that ask a critic of the generator too
  plg  brep                           by a generator of classes; by labels alone
  package.module:factory:strength=2   one of the user's own, see `protocol.Attack`
"""

import dataclasses
from typing import Any, get_type_hints

from gpz_jax import option_text
from gpz_jax.attacks.model.brep import BREP
from gpz_jax.attacks.model.gmi import GMI, LommaGMI
from gpz_jax.attacks.model.ifgmi import IfGmi
from gpz_jax.attacks.model.kedmi import KEDMI, LommaKEDMI
from gpz_jax.attacks.model.plg import PLGMI
from gpz_jax.attacks.model.ppa import Ppa
from gpz_jax.attacks.model.protocol import Attack
from gpz_jax.types import InputError, check_known

# name -> its class. PRESETS of a class are values that `preset=` sets before others.
ATTACKS: dict[str, type[Attack]] = {
  'ppa': Ppa,
  'ifgmi': IfGmi,
  'gmi': GMI,
  'kedmi': KEDMI,
  'lomma_gmi': LommaGMI,
  'lomma_kedmi': LommaKEDMI,
  'plg': PLGMI,
  'brep': BREP,
}
_WHERE = 'gpz_jax.attacks.model.Attack'


def check(text: str) -> None:
  """Refuses what `parse` would refuse, but imports no module of the user's.

  Raises:
    InputError: The name, an option or a value is unknown.
  """
  if not option_text.is_own(text, ATTACKS):
    parse(text)


def parse(text: str) -> Attack:
  """The attack that a text names.

  Raises:
    InputError: The name, an option or a value is unknown, or an attack of the user's
      own cannot be made.
  """
  if option_text.is_own(text, ATTACKS):
    return _make_own(text)
  name, *options = text.split(':')
  check_known('attack', name, ATTACKS)
  cls, what = ATTACKS[name], f"attack '{text}'"
  kinds = get_type_hints(cls)
  presets: dict[str, dict[str, Any]] = getattr(cls, 'PRESETS', {})
  fields = [field.name for field in dataclasses.fields(cls) if field.name != 'text']
  known = [*(['preset'] if presets else []), *fields]
  texts = option_text.split_options(what, options, known)
  preset = texts.pop('preset', None)
  if preset is not None:
    check_known(f'{what}: preset', preset, presets)
  given = {
    key: option_text.convert(what, f'{key}={value}', value, kinds[key])
    for key, value in texts.items()
  }
  return cls(text=text, **presets.get(preset or '', {}) | given)


def _make_own(text: str) -> Attack:
  attack, at = option_text.make_own('attack', text, Attack, _WHERE)
  if at:
    raise InputError(f"attack '{text}': an attack on a model has no option 'at'")
  try:
    return dataclasses.replace(attack, text=text)
  except (TypeError, ValueError) as error:  # its class has an __init__ of its own
    raise InputError(
      f"attack '{text}' does not take text ({error}); make its class a frozen dataclass"
    ) from error
