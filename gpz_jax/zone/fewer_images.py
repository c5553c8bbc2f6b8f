"""Attacks that were scored on fewer test images than the attack that counts.

A search takes long for each image, so it is scored on the first few. Its error is not
that of all images, and the strongest attack of a split is therefore chosen among the
others (`results.strongest`). But a conclusion that a search contradicts is none.

Source: docs/paper.md#doubts; the rule is ours.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from gpz_jax import results
from gpz_jax.results import Row
from gpz_jax.types import Treatment
from gpz_jax.zone.doubts import Doubt


class Score(NamedTuple):
  """What an attack scored on a few images, as means over seeds.

  Attributes:
    attack: Its text.
    n_test: The number of images.
    error: Its error on the scale of all images: over what the best guess scores on the
      few, times what that scores on all.
    ssim: Its SSIM on the few.
  """

  attack: str
  n_test: int
  error: float
  ssim: float


def list_scores(
  rows: Sequence[Row], treatment: Treatment, split: str, metric: str
) -> list[Score]:
  """The attacks at a split that were scored on fewer images than the strongest.

  Args:
    rows: Rows of all attacks.
    treatment: The treatment of the targets.
    split: Where they are cut.
    metric: The column with the error.
  """
  those = [
    row
    for row in results.of_cell(rows, treatment, split)
    if row['status'] == 'done' and math.isfinite(row[metric])
  ]
  counted = {row['seed']: row for row in results.strongest(those)}
  found = []
  for attack in results.list_attacks(those):
    pairs = [
      (row, counted[row['seed']])
      for row in those
      if row['attack'] == attack and row['n_test'] < counted[row['seed']]['n_test']
    ]
    if pairs:
      errors = [few[metric] * scale(few, most) for few, most in pairs]
      likeness = [few['test_ssim'] for few, _ in pairs]
      fewest = pairs[0][0]['n_test']
      found.append(Score(attack, fewest, results.mean(errors), results.mean(likeness)))
  return found


def scale(few: Row, most: Row) -> float:
  """How much harder the images of one row are to guess than those of another.

  Args:
    few: The row whose error is to be put on another scale.
    most: The row with the images of that scale.

  Returns:
    The factor for the error of `few`; 1 where nobody knows.
  """
  ratio = most['guess_mse'] / few['guess_mse'] if few['guess_mse'] else math.nan
  return ratio if math.isfinite(ratio) else 1.0


def doubt(
  rows: Sequence[Row],
  treatment: Treatment,
  split: str,
  contradicts: Callable[[Score], bool],
  metric: str = 'test_mse',
) -> tuple[Doubt, ...]:
  """Whether an attack on fewer images contradicts what is to be said of a split.

  Args:
    rows: Rows of all attacks.
    treatment: The treatment of the targets.
    split: Where they are cut.
    contradicts: Whether it does, by the attack's score.
    metric: The column with the error of that score.
  """
  those = filter(contradicts, list_scores(rows, treatment, split, metric))
  strongest = min(those, key=lambda score: score.error, default=None)
  if strongest is None:
    return ()
  attack, n_test = strongest.attack, strongest.n_test
  text = (
    f'attack {attack} did better at {split}, on the {n_test} test images that it was'
    ' scored on, than the attacks that were scored on more; compare all of them on the'
    f' same images (--test_limit={n_test})'
  )
  return (Doubt(f'better on fewer images at {split}', text, text, -strongest.error),)
