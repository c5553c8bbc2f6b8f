"""Defences as text, which is checked before anything is trained.

A defence is a name, which options may follow, in the form of `option_text`:

  none                                  an undefended target
  bido                                  BiDO with HSIC at the outputs of the stages
  bido:measure=coco:lx=1:ly=50:at=layer3_1|layer4_1
                                        the same with COCO, at two layers
  vib:beta=0.01                         MID: a bottleneck of noise before the classifier
  tl:frozen=2                           the first two stages are not trained
  cem:weight=16:sigma=0.025:at=layer1_1
                                        CEM: noise that is trained with, at one split
  noise:sigma=0.1:clip=1                clipped and noisy activations are sent
  dropout:rate=0.3:at=layer1_*          a share of the activation is not sent
  package.module:factory:strength=2     one of the user's own, see `protocol.Defence`
"""

import dataclasses
from typing import Any, ClassVar, get_origin, get_type_hints

from gpz_jax import option_text
from gpz_jax.defences.bido import BiDO
from gpz_jax.defences.cem import CEM
from gpz_jax.defences.freezing import Frozen
from gpz_jax.defences.protocol import Defence
from gpz_jax.defences.sent import Dropout, Noise
from gpz_jax.defences.vib import VIB
from gpz_jax.types import InputError, check_known

NONE = 'none'
DEFENCES: dict[str, type[Defence]] = {
  NONE: Defence,
  'bido': BiDO,
  'vib': VIB,
  'tl': Frozen,
  'cem': CEM,
  'noise': Noise,
  'dropout': Dropout,
}
# What is a field of its own already: one mechanism, not two.
_ELSEWHERE = {
  'neg_ls': 'is a negative label smoothing; give --alphas=-0.05',
  'ls': 'is label smoothing; give --alphas=0.3',
  'rolss': 'is a treatment of the skip connections; give --skips=1110',
  'ssf': 'is a treatment of the skip connections; give --skips=1111/0.2',
  'tts': 'is a treatment of the skip connections; give --skips=1110@5',
}


def canonical(text: str) -> str:
  """The one way in which a defence is written: in order and without defaults.

  It imports nothing of the user's: a defence of their own has its options sorted.

  Raises:
    InputError: The name, an option or a value is unknown.
  """
  if option_text.is_own(text, DEFENCES):
    module, factory, *options = text.split(':')
    given = option_text.split_options(f"defence '{text}'", options)
    pairs = sorted(given.items())
    return ':'.join([module, factory, *(f'{key}={value}' for key, value in pairs)])
  return str(parse(text).text)


def parse(text: str) -> Defence:
  """The defence that a text names; its own text is the canonical one.

  Raises:
    InputError: The name, an option or a value is unknown, or a defence of the user's
      own cannot be made.
  """
  if option_text.is_own(text, DEFENCES):
    return _make_own(text)
  what = f"defence '{text}'"
  name, *options = text.split(':')
  if name in _ELSEWHERE:
    raise InputError(f'{what} {_ELSEWHERE[name]}')
  check_known('defence', name, DEFENCES)
  cls = DEFENCES[name]
  kinds = {
    key: kind for key, kind in get_type_hints(cls).items() if _is_option(key, kind)
  }
  if name == NONE:
    kinds = {}
  texts = option_text.split_options(what, options, tuple(kinds))
  given = {
    key: option_text.convert(what, f'{key}={value}', value, kinds[key])
    for key, value in texts.items()
  }
  made = cls(text=text, **given)
  return dataclasses.replace(made, text=_write(name, made))


def _is_option(key: str, kind: Any) -> bool:
  return key != 'text' and get_origin(kind) is not ClassVar


def _write(name: str, defence: Defence) -> str:
  """NAME:OPTION=VALUE for each option that is not its default."""
  told = [
    f'{field.name}={_format(value)}'
    for field in dataclasses.fields(defence)
    if field.name != 'text' and (value := getattr(defence, field.name)) != field.default
  ]
  return ':'.join([name, *told])


def _format(value: Any) -> str:
  if isinstance(value, tuple):
    return '|'.join(value)
  if isinstance(value, float):
    short = f'{value:g}'
    return short if float(short) == value else repr(value)
  return str(value)


def _make_own(text: str) -> Defence:
  defence, at = option_text.make_own(
    'defence', text, Defence, 'gpz_jax.defences.Defence'
  )
  try:
    made = dataclasses.replace(defence, text=canonical(text), at=at or defence.at)
    hash((made.form, *made.numbers.items()))
  except Exception as error:  # an __init__ of its own, or a traced field is no number
    raise InputError(
      f"defence '{text}' does not take text and at, or a field that traced names is no"
      f' number ({error}); make its class a frozen dataclass'
    ) from error
  return made
