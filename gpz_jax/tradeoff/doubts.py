"""Whether the rows of a study of model inversion can carry a conclusion.

An attack that never worked cannot be defended against, an evaluator that errs says
nothing of whom a picture shows, and a target that guesses has nothing to hide. Each is
a doubt, and says what to raise.

Source: docs/paper.md#trade-off; the rules are ours.
"""

import math
from collections.abc import Sequence

from gpz_jax.results import Row, mean
from gpz_jax.results.formats import join_words
from gpz_jax.tradeoff.points import Point
from gpz_jax.zone.accuracies import LEAST_SHARE, is_guessing

# The least accuracy of an evaluator whose verdict is taken: of what it gives to another
# class, at most a fifth is then its own error on real images.
LEAST_EVALUATOR_ACCURACY = 0.8
# Its accuracy, and that on images no larger than reconstructions. The second one may be
# NaN and comes last, where `min` passes over it.
_EVALUATOR = ('evaluator_accuracy', 'evaluator_accuracy_at_size')
# Without an interval, an attack has worked where it is right this often, in units of
# what it would be by chance.
TIMES_CHANCE = 2.0
# How the doubt of a row begins where such a generator makes no images.
OWN_GENERATOR = "the attack's own generator"


def of_study(baseline: Point) -> tuple[str, ...]:
  """What is doubtful of everything that is compared with the untreated targets.

  Returns:
    Sentences without a full stop, the gravest first.
  """
  found = (
    _doubt_target(baseline),
    _doubt_evaluator(baseline),
    _doubt_generator(baseline),
    _doubt_attack(baseline),
  )
  return tuple(filter(None, found))


def of_training(point: Point, others: Sequence[Point]) -> str:
  """What is doubtful of a treatment's targets, whatever attacks them; '' if nothing."""
  return _doubt_target(point) or _doubt_training(point, others) or ''


def of_point(point: Point, others: Sequence[Point]) -> tuple[str, ...]:
  """What is doubtful of one treatment beside the others of its study.

  Returns:
    At most one sentence, in the form of `of_study`.
  """
  found = (
    of_training(point, others) or _doubt_evaluator(point) or _doubt_generator(point)
  )
  return (found,) if found else ()


def describe_row(row: Row) -> str:
  """Why a row of `results.INVERSIONS` may mean nothing, in short; '' if it may not."""
  found = []
  if is_guessing(row['target_accuracy'], row['chance_accuracy']):
    found.append('the target is within reach of guessing')
  if min(row[name] for name in _EVALUATOR) < LEAST_EVALUATOR_ACCURACY:
    found.append('the evaluator errs too often')
  if row['gradient_mean'] == 0:
    found.append('the search had no gradient')
  return '; '.join(found)


def _doubt_target(point: Point) -> str | None:
  """Whether a target guesses; each seed is asked by itself, as `zone.doubts` does."""
  guessing = [
    row
    for row in point.rows
    if is_guessing(row['target_accuracy'], row['chance_accuracy'])
  ]
  if not guessing:
    return None
  accuracy = mean([row['target_accuracy'] for row in guessing])
  chance = point.mean('chance_accuracy')
  if len(guessing) == len(point.rows):
    whose = f'the targets with {point.treatment}'
    advice = 'train them longer or on more images (--target_epochs, --train_limit)'
  else:
    seeds = join_words([str(row['seed']) for row in guessing])
    several = len(guessing) > 1
    whose = f'the target{"s" * several} with {point.treatment} and seed{"s" * several}'
    whose += f' {seeds}'
    those = 'those seeds' if several else 'that seed'
    advice = f'leave {those} out (--seeds), or train longer (--target_epochs)'
  return (
    f'the accuracy of {accuracy:.1%} of {whose} is within reach of guessing (up to'
    f' {chance:.1%}), so an attack has nothing to find; {advice}'
  )


def _doubt_training(point: Point, others: Sequence[Point]) -> str | None:
  """Whether a treatment broke the training, which is no question of privacy."""
  known = [each for each in others if math.isfinite(each.accuracy.mean)]
  best = max(known, key=lambda each: each.accuracy.mean, default=point)
  accuracy, usual = point.accuracy.mean, best.accuracy.mean
  if not accuracy < LEAST_SHARE * usual:
    return None
  return (
    f'the targets with {point.treatment} hardly trained: their accuracy is'
    f' {accuracy:.1%}, and with {best.treatment} it is {usual:.1%}; train them longer'
    ' or otherwise (--target_epochs, --target_recipe)'
  )


def _doubt_generator(point: Point) -> str | None:
  """Whether a generator that the attack trained for itself makes no images.

  Such an attack finds nothing, whatever the targets give away. Its rows say so when
  they are made, beside what `describe_row` finds.
  """
  for row in point.rows:
    texts = row['doubt'].split('; ')
    own = [text for text in texts if text.startswith(OWN_GENERATOR)]
    if own:
      return (
        f'of targets with {point.treatment} and seed {row["seed"]}, {own[0]}, so what'
        ' it does not find may be there all the same; train that generator longer'
        ' (generator_steps in --attack)'
      )
  return None


def _doubt_evaluator(point: Point) -> str | None:
  accuracy = min(point.mean(name) for name in _EVALUATOR)
  if not accuracy < LEAST_EVALUATOR_ACCURACY:
    return None
  return (
    f'the evaluator names {accuracy:.1%} of private test images rightly, and'
    f' {LEAST_EVALUATOR_ACCURACY:.0%} are needed before its verdict on a reconstruction'
    ' counts; train it longer (--evaluator_epochs), or give a better one'
    ' (--evaluator, --evaluator_weights)'
  )


def _doubt_attack(point: Point) -> str | None:
  """Whether the attack on untreated targets is no better than chance.

  Each seed is asked by itself, by the interval over its classes. An interval over two
  or three seeds is so wide that it holds chance whatever the attack found.
  """
  chance = point.mean('chance_att_acc')
  if math.isnan(chance):
    return None
  weakest = min(point.rows, key=_least_att_acc)
  if _least_att_acc(weakest) > chance:
    return None
  low, high = weakest['att_acc1_low'], weakest['att_acc1_high']
  reach = f' ({low:.1%} to {high:.1%} over classes)' if math.isfinite(low) else ''
  return (
    f'no attack on {point.treatment} with seed {weakest["seed"]} was clearly better'
    f' than chance (AttAcc@1 {weakest["att_acc1"]:.1%}{reach}, by chance {chance:.1%});'
    ' give the attack more steps or candidates (--attack), or the generator more'
    ' training (--prior_steps)'
  )


def _least_att_acc(row: Row) -> float:
  low = row['att_acc1_low']
  return low if math.isfinite(low) else row['att_acc1'] / TIMES_CHANCE
