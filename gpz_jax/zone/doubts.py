"""Whether the numbers of a sweep can carry a conclusion, and what to raise if not.

An attack that never worked says nothing of where it stops working. A target that
learned nothing says nothing of a trained one. A decoder that was still improving says
nothing of the error it would have reached. Each of these is a doubt, and a zone or a
recommendation that rests on it is withheld.

Source: docs/paper.md#doubts; the rules are ours.
"""

import math
from collections.abc import Sequence

from gpz_jax import results
from gpz_jax.results import Row
from gpz_jax.types import PREDICTION, Treatment

# An attack has worked where its error is below this share of what the better of the
# mean image and the class mean scores.
WORKED = 0.9
# A decoder is still improving where its held-out error fell by more than this share
# over the last fifth of its epochs. An error that falls as a power of the epochs would
# then fall by more than a quarter in as many epochs again.
FALLING = 0.1


def describe_row(row: Row) -> str:
  """What is doubtful of a row by itself, as its column `doubt` has it; or ''."""
  doubts = []
  if is_guessing(row['target_accuracy'], row['chance_accuracy']):
    doubts.append('target near chance')
  if is_falling(row['loss_fall']):
    doubts.append('loss still falling')
  return '; '.join(doubts)


def is_guessing(accuracy: float, chance_accuracy: float) -> bool:
  """Whether a target's accuracy is within reach of guessing."""
  return accuracy <= chance_accuracy


def is_falling(loss_fall: float) -> bool:
  """Whether the held-out error of a decoder was still falling; not where unknown."""
  return loss_fall > FALLING


def of_treatment(rows: Sequence[Row], treatment: Treatment) -> tuple[str, ...]:
  """What is doubtful of everything that is said of a treatment.

  Args:
    rows: Rows of the strongest attack at each split (`results.strongest`).
    treatment: The treatment of the targets.

  Returns:
    Sentences without a full stop, each with what to raise.
  """
  return tuple(
    filter(None, (_doubt_target(rows, treatment), _doubt_attack(rows, treatment)))
  )


def of_split(rows: Sequence[Row], treatment: Treatment, split: str) -> tuple[str, ...]:
  """What is doubtful of the error at one split, in the same form."""
  falls = results.seed_mean(rows, 'loss_fall', treatment=treatment, split=split)
  if not is_falling(falls):
    return ()
  return (
    f'the decoder at {split} was still improving (its held-out error fell by'
    f' {falls:.0%} in the last fifth of its epochs); raise --decoder_epochs',
  )


def _doubt_target(rows: Sequence[Row], treatment: Treatment) -> str | None:
  accuracy = results.seed_mean(rows, 'target_accuracy', treatment=treatment)
  chance = results.seed_mean(rows, 'chance_accuracy', treatment=treatment)
  if not is_guessing(accuracy, chance):
    return None
  return (
    f"the target's accuracy of {accuracy:.1%} is within reach of guessing (up to"
    f' {chance:.1%}); train it longer or on more images (--target_epochs,'
    ' --train_limit), or see that imported weights have the right --model_options'
  )


def _doubt_attack(rows: Sequence[Row], treatment: Treatment) -> str | None:
  """Whether no attack was ever better than a picture that needs no activation."""
  tried = []
  for split in results.list_splits(rows):
    cell = {'treatment': treatment, 'split': split}
    error = results.seed_mean(rows, 'test_mse', **cell)
    guess = results.seed_mean(rows, 'guess_mse', **cell)
    if split != PREDICTION and math.isfinite(error) and guess > 0:
      tried.append((error / guess, error, guess, split))
  if not tried:
    return None
  ratio, error, guess, split = min(tried)
  if ratio < WORKED:
    return None
  return (
    'no attack did clearly better than the mean image or the class mean at any split'
    f' (at best MSE {error:.4f}, at {split}, against {guess:.4f}); raise'
    ' --decoder_epochs or --aux_limit, or attack shallower splits too'
  )
