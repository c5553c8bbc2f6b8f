"""What is private enough: an attack that is no better than a simple guess.

Source: docs/paper.md#private-enough; the rule is ours.
"""

import dataclasses
import math

from gpz_jax.types import InputError, hint
from gpz_jax.vocabulary import PRIVATE_ENOUGH
from gpz_jax.zone.candidates import Candidate
from gpz_jax.zone.worth import Ladder

DEFAULT = '4x4'
_NAMES = {
  'thumbnail_2': 'a 2x2 thumbnail',
  'thumbnail_4': 'a 4x4 thumbnail',
  'thumbnail_8': 'an 8x8 thumbnail',
  'mean_colour': 'one colour for the image',
  'class_mean': 'the class mean',
  'mean_image': 'the mean image',
}


@dataclasses.dataclass(frozen=True)
class Bar:
  """The least error, and the most likeness, of an attack that a cut has to allow.

  Attributes:
    name: What it is the score of, with an article: 'a 4x4 thumbnail'.
    mse: The least `test_mse` of the strongest attack.
    ssim: The most `test_ssim` of the strongest attack; infinity where it is not asked.
  """

  name: str
  mse: float
  ssim: float = math.inf

  @property
  def is_rung(self) -> bool:
    """Whether it is what a simple guess scores, and not a number that was given."""
    return math.isfinite(self.ssim)

  def admits(self, candidate: Candidate) -> bool:
    """Whether no attack on a candidate is better; not where a number is missing."""
    return self.holds(candidate.test_mse, candidate.test_ssim)

  def holds(self, mse: float, ssim: float) -> bool:
    """Whether an attack with these scores is no better."""
    return mse >= self.mse and (math.isinf(self.ssim) or ssim <= self.ssim)

  def __str__(self) -> str:
    if not self.is_rung:
      return self.name
    return f'{self.name} (MSE {self.mse:.3g}, SSIM {self.ssim:.3g})'


def check(text: str | float) -> None:
  """Refuses what says nothing of how private is enough.

  Raises:
    InputError: It is no rung of the ladder and no error in (0, 1].
  """
  _read(text)


def make_bar(text: str | float, ladder: Ladder) -> Bar | None:
  """The bar that a text names, by the scores of a ladder.

  Args:
    text: A name of `vocabulary.PRIVATE_ENOUGH`, or an MSE.
    ladder: What simple guesses score, see `metrics.ladder`.

  Returns:
    The bar; None where it is the default, and the ladder does not have that.

  Raises:
    InputError: It is no such text, or the ladder has no such rung.
  """
  found = _read(text)
  if not isinstance(found, str):
    return Bar(f'an MSE of {found:g}', found)
  if found in ladder:
    scores = ladder[found]
    return Bar(_NAMES[found], scores['mse'], scores['ssim'])
  if text == DEFAULT:
    return None
  known = ', '.join(name for name, rung in PRIVATE_ENOUGH.items() if rung in ladder)
  raise InputError(
    f'private_enough={text}: these results have no score of {_NAMES[found]}; give'
    f' {f"one of {known}, or " if known else ""}an MSE such as 0.02'
  )


def _read(text: str | float) -> str | float:
  """The rung of a ladder that is named, or the error that is given."""
  if str(text) in PRIVATE_ENOUGH:
    return PRIVATE_ENOUGH[str(text)]
  try:
    error = float(text)
  except (TypeError, ValueError):
    error = math.nan
  if isinstance(text, bool) or not 0 < error <= 1:
    raise InputError(
      f'private_enough={text} is not allowed{hint(str(text), PRIVATE_ENOUGH)}; or give'
      ' the MSE that an attack must not go below, above 0 and at most 1'
    )
  return error
