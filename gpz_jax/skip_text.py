"""How a treatment's skip connections are written: 1110, 1111/0.2, 1110@5, 111l.

One character stands for each stage of the net:

    1  intact     0  removed     s  scaled by the number behind '/'     l  learned

`1111/0.2` is short for `111s/0.2`: the last stage is scaled. `@5` keeps all skips
intact for the first five epochs. `:attention` confines the rest to one part of the
stages. Source: docs/paper.md#skip-connections.
"""

import dataclasses
import math
import re
from typing import Any, NoReturn

from gpz_jax.types import InputError

INTACT = 'intact'
_FORM = re.compile(r'([01sl]+)(?:/([^:@/]+))?(?::([a-z]+))?(?:@(\d{1,6}))?')
_HELP = (
  'one character for each stage (1 intact, 0 removed, s scaled, l learned), as in 1110,'
  ' 1111/0.2, 1s11/0.2 or 1110@5'
)


@dataclasses.dataclass(frozen=True)
class SkipText:
  """What a text says.

  Attributes:
    factors: k of each stage; () where every stage of any net is intact.
    is_learned: For each stage, whether its k is learned.
    part: The part of the stages that the factors are for; '' for all.
    intact_epochs: The epochs before the factors hold.
  """

  factors: tuple[float, ...] = ()
  is_learned: tuple[bool, ...] = ()
  part: str = ''
  intact_epochs: int = 0

  def table(
    self, parts: tuple[str, ...], num_stages: int | None = None
  ) -> tuple[tuple[float, ...], ...]:
    """k of each stage and part.

    Args:
      parts: The names of the parts; () for a net whose stages have none.
      num_stages: The number of stages, for a text that names none.
    """
    factors = self.factors or (1.0,) * (num_stages or 0)
    names = parts or ('',)
    return tuple(
      tuple(k if self.part in ('', name) else 1.0 for name in names) for k in factors
    )

  def check(self, num_stages: int, parts: tuple[str, ...], model: str) -> None:
    """Checks that the text fits a net.

    Raises:
      InputError: The net has another number of stages, or no such part.
    """
    if self.factors and len(self.factors) != num_stages:
      raise InputError(
        f"skips '{self}' name {len(self.factors)} stages, and {model} has {num_stages};"
        f' give {num_stages} characters, such as {"1" * (num_stages - 1)}0'
      )
    if self.part and self.part not in parts:
      known = f'it has {", ".join(parts)}' if parts else 'its stages have no parts'
      raise InputError(f"skips '{self}' name a part that {model} lacks: {known}")

  def __str__(self) -> str:
    """The one way in which these skips are written; rows and lane ids hold it."""
    if not self.factors:
      return INTACT
    scaled = [k for k in self.factors if k not in (0, 1)]
    letters = [
      'l' if learned else 's' if k not in (0, 1) else f'{k:g}'
      for k, learned in zip(self.factors, self.is_learned, strict=True)
    ]
    if letters.count('s') == 1 and letters[-1] == 's':
      letters[-1] = '1'
    text = ''.join(letters)
    if scaled:
      text += f'/{scaled[0]:g}'
    if self.part:
      text += f':{self.part}'
    return text + (f'@{self.intact_epochs}' if self.intact_epochs else '')


def parse(text: str) -> SkipText:
  """Reads a text.

  Raises:
    InputError: It is none.
  """
  if text == INTACT:
    return SkipText()
  match = _FORM.fullmatch(text)
  if match is None:
    refuse(text, 'it is not of this form')
  letters, factor, part, epochs = match.groups()
  if factor and 's' not in letters:
    if letters[-1] != '1':
      refuse(text, 'its last stage is not 1; write s for the stage that is scaled')
    letters = letters[:-1] + 's'
  if 's' in letters and not factor:
    refuse(text, 'a scaled stage needs a factor behind /')
  scale = _parse_factor(text, factor) if factor else 1.0
  values = {'1': 1.0, '0': 0.0, 's': scale, 'l': 1.0}
  factors = tuple(values[letter] for letter in letters)
  learned = tuple(letter == 'l' for letter in letters)
  if all(k == 1 for k in factors) and not any(learned):
    return SkipText()  # whatever else is said changes nothing
  return SkipText(factors, learned, part or '', int(epochs or 0))


def canonical(text: str) -> str:
  """The one way in which skips are written.

  Raises:
    InputError: The text is none.
  """
  return str(parse(text))


def strip_schedule(text: str) -> str:
  """The skips that hold at the end of a training."""
  return str(dataclasses.replace(parse(text), intact_epochs=0))


def format_factors(given: Any) -> str:
  """The text of factors, for a net that is made in Python.

  Args:
    given: A number for each stage, of which those that are neither 0 nor 1 are equal;
      or a text, which is returned.

  Raises:
    InputError: It is neither.
  """
  if isinstance(given, str | int):  # '1110' was read as a number from --model_options
    return str(given)
  try:
    factors = [float(k) for k in given]
  except (TypeError, ValueError):
    refuse(given, 'it is neither a text nor a number for each stage')
  scaled = sorted({k for k in factors if k not in (0, 1)})
  if len(scaled) > 1:
    refuse(given, 'only one factor beside 0 and 1 is possible')
  letters = ''.join('s' if k not in (0, 1) else f'{k:g}' for k in factors)
  return letters + (f'/{scaled[0]:g}' if scaled else '')


def _parse_factor(text: str, factor: str) -> float:
  try:
    value = float(factor)
  except ValueError:
    value = math.nan
  if not 0 <= value <= 1:
    refuse(text, f'the factor {factor} is not in [0, 1]')
  return value


def refuse(text: Any, why: str) -> NoReturn:
  """Raises the InputError of a text that is none."""
  raise InputError(f"skips '{text}' cannot be used: {why}; give {_HELP}")
