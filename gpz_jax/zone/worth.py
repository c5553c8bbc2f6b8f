"""What a reconstruction error means, told by simple guesses (`metrics.ladder`)."""

import math
from collections.abc import Mapping

# Two scores of one guess are of the same images where they differ by less.
SAME = 1e-3
Ladder = Mapping[str, Mapping[str, float]]  # rung -> metric -> score
RUNGS = {
  'mean_image': 'mean image',
  'class_mean': 'class mean',
  'mean_colour': 'mean colour',
  'thumbnail_2': '2x2 thumbnail',
  'thumbnail_4': '4x4 thumbnail',
  'thumbnail_8': '8x8 thumbnail',
}


def is_other_guess(score: float, usual: float) -> bool:
  """Whether a guess was scored on other images than usual."""
  return abs(score - usual) > SAME * usual


def best_blind_guess(ladder: Ladder) -> float:
  """The MSE of the better guess that sees no image: mean image or class mean.

  An attack that does no better has learned nothing of the single image.

  Args:
    ladder: What simple guesses score, see `metrics.ladder`.

  Returns:
    The per-element MSE; NaN where the ladder has neither.
  """
  known = [
    ladder[name]['mse'] for name in ('mean_image', 'class_mean') if name in ladder
  ]
  return min(known, default=math.nan)


def worth(error: float, ladder: Ladder, metric: str) -> str:
  """Between which two guesses a reconstruction error lies, in words.

  Args:
    error: The error of the attack, in the unit of `metric`.
    ladder: What simple guesses score, see `metrics.ladder`.
    metric: The column that `error` is from.

  Returns:
    As 'worse than the 8x8 thumbnail and better than the 4x4 thumbnail'; an empty text
    where either number is missing.
  """
  column = metric.removeprefix('test_')
  rungs = {name: scores[column] for name, scores in ladder.items() if column in scores}
  if not rungs or not math.isfinite(error):
    return ''
  below = [name for name in rungs if rungs[name] <= error]
  above = [name for name in rungs if rungs[name] > error]
  if not below:
    return f'better than even the {_word(min(rungs, key=rungs.__getitem__))}'
  worse = f'no better than the {_word(max(below, key=rungs.__getitem__))}'
  if not above:
    return worse
  return f'{worse}, and better than the {_word(min(above, key=rungs.__getitem__))}'


def _word(rung: str) -> str:
  return RUNGS.get(rung, rung)
