"""Whether the numbers of a sweep can carry a conclusion, and what to raise if not.

An attack that never worked says nothing of where it stops working. A target that
learned nothing says nothing of a trained one. A decoder that was still improving says
nothing of the error it would have reached. Each of these is a doubt, and a zone or a
recommendation that rests on it is withheld.

Source: docs/paper.md#doubts; the rules are ours.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence

from gpz_jax import results
from gpz_jax.results import Row
from gpz_jax.results.formats import join_words
from gpz_jax.types import PREDICTION, Treatment
from gpz_jax.zone import accuracies
from gpz_jax.zone.accuracies import is_guessing
from gpz_jax.zone.worth import Ladder, best_blind_guess, is_other_guess

CLASS_TOKEN = 'input=cls'  # an option of attacks on transformers
GUESSING = 'target near chance'  # in the column `doubt`
# An attack has worked where its error is below this share of what the better of the
# mean image and the class mean scores.
WORKED = 0.9
# A decoder is still improving where its held-out error fell by more than this share
# over the last fifth of its epochs. An error that falls as a power of the epochs would
# then fall by more than a quarter in as many epochs again.
FALLING = 0.1
# What becomes of 1 - fall with as many epochs again, by the same power: the last fifth
# of the epochs lengthened them by 1 / 0.8.
_DOUBLED = math.log(2) / math.log(1 / 0.8)


@dataclasses.dataclass(frozen=True)
class Doubt:
  """Why rows carry no conclusion.

  Attributes:
    kind: The reason, equal where the same is to be done about it.
    text: A sentence without a full stop, with what to raise.
    of_many: The same of several treatments, of which this one has the best number.
    merit: The number that tells the best of several doubts of a kind, the largest.
  """

  kind: str
  text: str
  of_many: str
  merit: float

  def __str__(self) -> str:
    return self.text


def describe_row(row: Row) -> str:
  """What is doubtful of a row by itself, as its column `doubt` has it; or ''."""
  doubts = []
  if is_guessing(row['target_accuracy'], row['chance_accuracy']):
    doubts.append(GUESSING)
  if is_falling(row['loss_fall']):
    doubts.append('loss still falling')
  if is_too_brief(row):
    doubts.append('one epoch only')
  return '; '.join(doubts)


def is_falling(loss_fall: float) -> bool:
  """Whether the held-out error of a decoder was still falling; not where unknown."""
  return loss_fall > FALLING


def is_too_brief(row: Row) -> bool:
  """Whether an attack took one epoch or step, so that nobody knows if it improves."""
  return row['epochs'] == 1 and math.isnan(row['loss_fall'])


def foresee(error: float, loss_fall: float) -> float:
  """The error after as many epochs again, if it falls on as a power of the epochs.

  Args:
    error: The error after the last epoch.
    loss_fall: The share by which it fell in the last fifth of the epochs.
  """
  return error * (1 - loss_fall) ** _DOUBLED


def merge(found: Mapping[Treatment, tuple[Doubt, ...]]) -> tuple[Doubt, ...]:
  """One doubt for each kind, with the best number of all treatments that have it.

  Args:
    found: The doubts of each treatment. Where a kind holds for some of them only, its
      text names those.
  """
  merged = []
  kinds = dict.fromkeys(doubt.kind for doubts in found.values() for doubt in doubts)
  for kind in kinds:
    held = {t: d for t, doubts in found.items() for d in doubts if d.kind == kind}
    best = max(held.values(), key=lambda doubt: doubt.merit)
    text = best.of_many if len(held) > 1 else best.text
    if len(held) < len(found):
      text = f'with {join_words([*map(str, held)])}, {text}'
    merged.append(dataclasses.replace(best, text=text))
  return tuple(merged)


def of_treatment(rows: Sequence[Row], treatment: Treatment) -> tuple[Doubt, ...]:
  """What is doubtful of everything that is said of a treatment.

  Args:
    rows: Rows of the strongest attack at each split (`results.strongest`).
    treatment: The treatment of the targets.

  Returns:
    One for each reason; () where there is none.
  """
  return tuple(
    filter(None, (_doubt_target(rows, treatment), _doubt_attack(rows, treatment)))
  )


def of_split(
  rows: Sequence[Row], treatment: Treatment, split: str
) -> tuple[Doubt, ...]:
  """What is doubtful of the error at one split, in the same form."""
  found = _doubt_target(rows, treatment, split), _doubt_decoder(rows, treatment, split)
  return tuple(filter(None, found))


def _doubt_decoder(
  rows: Sequence[Row], treatment: Treatment, split: str
) -> Doubt | None:
  cell = results.of_cell(rows, treatment, split)
  if cell and all(map(is_too_brief, cell)):
    return tell_brief(split)
  falls = results.seed_mean(rows, 'loss_fall', treatment=treatment, split=split)
  return tell_falling(split, falls) if is_falling(falls) else None


def tell_brief(split: str, attack: str = 'the attack') -> Doubt:
  """The doubt of an attack that took one epoch, so that nobody knows if it improves."""
  text = f'{attack} at {split} took one epoch, so that it may still have been'
  text += ' improving; raise --decoder_epochs'
  return Doubt(f'one epoch at {split}', text, text, 0)


def tell_falling(split: str, falls: float, attack: str = 'the decoder') -> Doubt:
  """The doubt of an attack whose held-out error was still falling, by a share."""
  end = f'{falls:.0%} in the last fifth of its epochs); raise --decoder_epochs'
  return Doubt(
    f'falling at {split}',
    f'{attack} at {split} was still improving (its held-out error fell by {end}',
    f'every decoder at {split} was still improving (its held-out error fell by at'
    f' least {end}',
    -falls,
  )


def of_input(
  rows: Sequence[Row], treatment: Treatment, split: str
) -> tuple[Doubt, ...]:
  """Whether all attacks at a split read less than what is sent there.

  Args:
    rows: Rows of all attacks.
    treatment: The treatment of the targets.
    split: Where they are cut.
  """
  cell = results.of_cell(rows, treatment, split)
  if not cell or not all(CLASS_TOKEN in row['attack'].split(':') for row in cell):
    return ()
  text = (
    f'every attack at {split} reads the class token alone ({CLASS_TOKEN}), and all'
    ' tokens are sent; add --attack=inversion:input=patch'
  )
  return (Doubt(f'a part of {split}', text, text, 0),)


def of_images(
  rows: Sequence[Row], treatment: Treatment, ladder: Ladder
) -> tuple[Doubt, ...]:
  """Whether attacks were scored on other test images than the guesses of a ladder.

  A search is scored on the first few. Its error and that of a guess on all images
  cannot be compared, because the first few may be easier or harder.

  Args:
    rows: Rows of the strongest attack at each split.
    treatment: The treatment of the targets.
    ladder: What simple guesses score on the test images of the study.
  """
  usual = best_blind_guess(ladder)
  for row in results.of_treatment(rows, treatment):
    if is_other_guess(row['guess_mse'], usual):
      text = (
        f'attack {row["attack"]} was scored on {row["n_test"]} test images, and the'
        f' guesses on all of them, which differ (the best guess scores'
        f' {row["guess_mse"]:.4f} on those and {usual:.4f} on all); set --test_limit='
        f'{row["n_test"]}, or give the error that is asked for as a number'
        ' (--private_enough=0.02)'
      )
      return (Doubt('other images', text, text, row['n_test']),)
  return ()


def of_step(
  rows: Sequence[Row], treatment: Treatment, before: str, after: str
) -> tuple[Doubt, ...]:
  """Whether the attacks at two splits were scored on different test images."""
  cells = [results.of_cell(rows, treatment, split) for split in (before, after)]
  guesses = [results.mean([row['guess_mse'] for row in cell]) for cell in cells]
  if not is_other_guess(*guesses):
    return ()
  counts = [min(row['n_test'] for row in cell) for cell in cells]
  text = (
    f'the attacks at {before} and {after} were scored on different test images'
    f' ({counts[0]} and {counts[1]}), so that their errors cannot be compared; set'
    f' --test_limit={min(counts)}'
  )
  return (Doubt(f'other images at {after}', text, text, min(counts)),)


def _doubt_target(
  rows: Sequence[Row], treatment: Treatment, split: str | None = None
) -> Doubt | None:
  """Whether a target guesses: at a split that a defence changes, or at all of them.

  Each seed is asked by itself: one target that guesses would hide what attacks do to
  the others.
  """
  guessing = accuracies.list_guessing(rows, treatment, split)
  if not guessing:
    return None
  accuracy = results.mean([*guessing.values()])
  chance = results.seed_mean(rows, 'chance_accuracy', treatment=treatment)
  is_all = len(guessing) == len(accuracies.of_seeds(rows, treatment, split))
  several = 's' if len(guessing) > 1 else ''
  seeds = '' if is_all else f' with seed{several} {join_words([*map(str, guessing)])}'
  if split is not None:
    if _doubt_target(rows, treatment):
      return None  # that is said of the treatment
    end = f'with what it sends at {split}, which is within reach of guessing (up to'
    end += f' {chance:.1%}); such a model is of no use, so weaken the defence'
    return Doubt(
      f'guessing at {split}{seeds}',
      f'the target{seeds} has an accuracy of {accuracy:.1%} {end}',
      f'every target{seeds} has an accuracy of {accuracy:.1%} at best {end}',
      accuracy,
    )
  end = f'is within reach of guessing (up to {chance:.1%});'
  if is_all:
    end += ' train it longer or on more images (--target_epochs, --train_limit), or see'
    end += ' that imported weights have the right --model_options'
  else:
    those = 'those seeds' if several else 'that seed'
    end += f' leave {those} out (--seeds), or train longer (--target_epochs)'
  return Doubt(
    f'guessing{seeds}',
    f"the target's accuracy of {accuracy:.1%}{seeds} {end}",
    f"every target's accuracy{seeds}, {accuracy:.1%} at best, {end}",
    accuracy,
  )


def _doubt_attack(rows: Sequence[Row], treatment: Treatment) -> Doubt | None:
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
  text = (
    'no attack did clearly better than the mean image or the class mean at any split'
    f' (at best MSE {error:.4f}, at {split}, against {guess:.4f}); raise'
    ' --decoder_epochs or --aux_limit, or attack shallower splits too'
  )
  return Doubt('no attack worked', text, text, -ratio)
