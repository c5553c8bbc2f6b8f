"""Treatments by name: none, rolss, ssf:0.01, tts:5, alpha:0.3, bido, rolss+bido.

A name stands for what is done to the targets, and `+` puts several together:

    none                  nothing
    rolss                 the skips of the last stage are removed
    ssf  ssf:0.1          they are scaled by 0.2 (0.01 where skips concatenate), or 0.1
    tts  tts:10           all are intact for 5 epochs, or 10; then those are removed
    alpha:0.3             label smoothing; it may be negative
    1110  1s11/0.2        skips as `skip_text` has them
    bido  bido:lx=0.1     a defence, as `defences.specs` has them

Names of skips depend on the model, because nets differ in the number of their stages.
Source: docs/paper.md#skip-connections.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

from gpz_jax import option_text, skip_text, vocabulary
from gpz_jax.types import InputError, Treatment, did_you_mean

SKIPS = ('rolss', 'ssf', 'tts')
NAMES = (
  'none',
  *SKIPS,
  'alpha',
  *(name for name in vocabulary.DEFENCES if name != 'none'),
)
ADDED, CONCATENATED = 0.2, 0.01  # SSF's factor, by what a skip connection does
INTACT_EPOCHS = 5  # of TTS
# Their last stage is one block without a skip connection.
_EMPTY_LAST_STAGE = ('repvgg_a0', 'repvgg_b0')


def expand(texts: Sequence[str], model: str) -> tuple[Treatment, ...]:
  """The treatments that names stand for, in their order.

  Args:
    texts: The names.
    model: Name of the targets' architecture.

  Raises:
    InputError: A name is not known, has no meaning for the model, or is that of a
      treatment that another one stands for already.
  """
  found: dict[Treatment, str] = {}
  for text in texts:
    treatment = parse(text, model)
    if treatment in found:
      raise InputError(
        f"--treatments: '{text}' and '{found[treatment]}' are the same; give each once"
      )
    found[treatment] = text
  return tuple(found)


def parse(text: str, model: str = '') -> Treatment:
  """The treatment that a name stands for.

  Args:
    text: The name.
    model: Name of the architecture; texts that `write` gave need none.

  Raises:
    InputError: It is not known, has no meaning for the model, or says one thing twice.
  """
  found: dict[str, Any] = {}
  parts = text.split('+')
  for part in parts:
    if part == 'none' and len(parts) == 1:
      break
    field, value = _parse_part(text, part, model)
    if field in found:
      raise InputError(
        f"treatment '{text}' has two parts about {field}; give one of them"
      )
    found[field] = value
  return Treatment(**found)


def write(treatment: Treatment) -> str:
  """The name of a treatment that means the same for every model."""
  parts = [
    f'alpha:{treatment.alpha!r}' if treatment.alpha else '',
    treatment.skips if treatment.skips != skip_text.INTACT else '',
    treatment.defence if treatment.defence != 'none' else '',
  ]
  return '+'.join(filter(None, parts)) or 'none'


def _parse_part(text: str, part: str, model: str) -> tuple[str, Any]:
  """The field of a treatment that a part of a name sets, and its value."""
  name, _, value = part.partition(':')
  if name == 'alpha':
    return 'alpha', _number(text, part, value, -1.0, 1.0)
  if name in SKIPS:
    return 'skips', _last_stage(text, part, model)
  if part[:1].isdecimal() or name == skip_text.INTACT or set(name) <= set('01sl'):
    return 'skips', skip_text.canonical(part)
  if name not in NAMES and not option_text.is_own(part, NAMES):
    raise InputError(
      f"treatment '{text}': '{part}' is not known{did_you_mean(name, NAMES) or '.'}"
      f' Known: {", ".join(NAMES)}, skips such as 1110, and several with + between them'
    )
  if part == 'none':
    raise InputError(f"treatment '{text}': none is nothing to add; leave it out")
  from gpz_jax import defences  # it imports JAX

  return 'defence', defences.canonical(part)


def _last_stage(text: str, part: str, model: str) -> str:
  """What RoLSS, SSF or TTS does to the skips of a model, as `skip_text` has it."""
  name, _, value = part.partition(':')
  stages, concatenates = _look_at(text, model)
  kept = '1' * (stages - 1)
  if name == 'rolss':
    if value:
      raise InputError(f"treatment '{text}': rolss has no number; give rolss alone")
    return skip_text.canonical(f'{kept}0')
  if name == 'ssf':
    factor = CONCATENATED if concatenates else ADDED
    if value:
      factor = _number(text, part, value, 0.0, 1.0)
    return skip_text.canonical(f'{kept}s/{factor:g}')
  if value and not (value.isdecimal() and int(value)):
    raise InputError(f"treatment '{text}': '{value}' are no epochs; give tts:5")
  return skip_text.canonical(f'{kept}0@{int(value or INTACT_EPOCHS)}')


def _look_at(text: str, model: str) -> tuple[int, bool]:
  """How many stages a model has, and whether its skips concatenate."""
  from gpz_jax import models
  from gpz_jax.models import skips

  way_out = 'give the skips themselves, such as 1110'
  if ':' in model:  # a config imports nothing of the user's
    raise InputError(
      f"treatment '{text}': how many stages {model} has is not known before it is made;"
      f' {way_out}'
    )
  if model in _EMPTY_LAST_STAGE:
    raise InputError(
      f"treatment '{text}' would change nothing: the last stage of {model} has no skip"
      ' connection; give 1101 for the last stage that has some'
    )
  made = models.make(model, num_classes=2)  # no option changes its stages
  if not skips.has_skips(made):
    raise InputError(
      f"treatment '{text}' needs a model with skip connections that have a factor, such"
      f' as resnet18; {model} has none'
    )
  stages: int = getattr(made, 'num_stages')  # noqa: B009 not all modules have it
  return stages, hasattr(made, 'skip_form')


def _number(text: str, part: str, value: str, low: float, high: float) -> float:
  """The number of a part, between two others."""
  try:
    number = float(value)
  except ValueError:
    number = high + 1
  if not low < number < high:
    raise InputError(
      f"treatment '{text}': '{part}' has no number between {low:g} and {high:g}; give"
      ' one, such as alpha:0.3 or ssf:0.2'
    )
  return number


def list_values(wanted: Sequence[Treatment]) -> dict[str, tuple[Any, ...]]:
  """The values of each field of some treatments, each once: field -> values."""
  names = [field.name for field in dataclasses.fields(Treatment)]
  return {
    name: tuple(dict.fromkeys(getattr(treatment, name) for treatment in wanted))
    for name in names
  }
