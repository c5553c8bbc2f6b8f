"""The test accuracy of each target, whatever became of the attacks on it."""

from collections.abc import Iterable, Sequence

from gpz_jax import results
from gpz_jax.results import Row
from gpz_jax.types import Treatment

# A target with less than this share of the best targets' accuracy is of little use: the
# treatment has broken the training, or what is sent.
LEAST_SHARE = 0.5
# Two devices may find accuracies of one network that differ by so much.
SAME_ACCURACY = 0.01


def of_seeds(
  rows: Iterable[Row], treatment: Treatment, split: str | None = None
) -> dict[int, float]:
  """Seed -> test accuracy of each target of a treatment, see `results.of_targets`."""
  return results.of_targets(rows, 'target_accuracy', treatment=treatment, split=split)


def list_guessing(
  rows: Sequence[Row], treatment: Treatment, split: str | None = None
) -> dict[int, float]:
  """Seed -> test accuracy of the targets that are within reach of guessing.

  Each seed is asked by itself, see `results.of_targets`.
  """
  chance = {
    row['seed']: row['chance_accuracy'] for row in results.of_treatment(rows, treatment)
  }
  return {
    seed: accuracy
    for seed, accuracy in of_seeds(rows, treatment, split).items()
    if is_guessing(accuracy, chance[seed])
  }


def is_guessing(accuracy: float, chance_accuracy: float) -> bool:
  """Whether a target's accuracy is within reach of guessing."""
  return accuracy <= chance_accuracy
