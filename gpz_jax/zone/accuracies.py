"""The test accuracy of each target, whatever became of the attacks on it."""

import math
from collections.abc import Iterable

from gpz_jax.results import Row
from gpz_jax.types import Treatment

# A target with less than this share of the best targets' accuracy is of little use: the
# treatment has broken the training, or what is sent.
LEAST_SHARE = 0.5


def by_seed(
  rows: Iterable[Row], treatment: Treatment, split: str | None = None
) -> dict[int, float]:
  """The test accuracy of each target of a treatment.

  A seed without any finished row is left out, because its target may have diverged,
  unless none has one. Where decoders of a seed diverged at a split, its target is as
  accurate as ever.

  Args:
    rows: Rows of one sweep.
    treatment: The treatment of the targets.
    split: Where they are cut, which matters where a defence changes what is sent. None
      takes the largest value of any split.

  Returns:
    Seed -> accuracy in [0, 1], ascending, finite ones only. A seed without a row at the
    split counts with its accuracy elsewhere, where no split of the treatment differs.
  """
  those = [row for row in rows if Treatment.of(row) == treatment]
  finished = {row['seed'] for row in those if row['status'] == 'done'}
  known: dict[int, dict[str, float]] = {}
  for row in those:
    is_counted = row['seed'] in finished or not finished
    if is_counted and math.isfinite(row['target_accuracy']):
      known.setdefault(row['seed'], {})[row['split']] = row['target_accuracy']
  if split is None:
    return {seed: max(known[seed].values()) for seed in sorted(known)}
  is_same = all(len(set(each.values())) == 1 for each in known.values())
  return {
    seed: known[seed].get(split, max(known[seed].values()))
    for seed in sorted(known)
    if is_same or split in known[seed]
  }


def list_guessing(
  rows: Iterable[Row], treatment: Treatment, split: str | None = None
) -> dict[int, float]:
  """The targets of `by_seed` whose accuracy is within reach of guessing."""
  rows = list(rows)
  chance = {
    row['seed']: row['chance_accuracy']
    for row in rows
    if Treatment.of(row) == treatment
  }
  return {
    seed: accuracy
    for seed, accuracy in by_seed(rows, treatment, split).items()
    if is_guessing(accuracy, chance[seed])
  }


def is_guessing(accuracy: float, chance_accuracy: float) -> bool:
  """Whether a target's accuracy is within reach of guessing."""
  return accuracy <= chance_accuracy
