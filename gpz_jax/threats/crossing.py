"""What each treatment does to activation inversion and to model inversion.

A treatment protects against a threat where the attack does worse by an interval that
does not reach 0, and leaks more where it does better by such an interval. Activation
inversion is judged seed by seed, at each split under its strongest attack. Model
inversion is judged as on its own page, by seeds and by classes. The model's answer is
no split: what an attack makes of it is not asked here.

Source: docs/defences.md; the rules are ours.
"""

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence

from gpz_jax import results
from gpz_jax.defences import parse as parse_defence
from gpz_jax.estimates import Estimate, of_values
from gpz_jax.results import Row
from gpz_jax.threats.alike import check_same
from gpz_jax.tradeoff import doubts as inversion_doubts
from gpz_jax.tradeoff.comparison import compare
from gpz_jax.tradeoff.points import Point, list_points
from gpz_jax.types import PREDICTION, InputError, Treatment
from gpz_jax.zone import doubts as sweep_doubts
from gpz_jax.zone.accuracies import SAME_ACCURACY

PROTECTS, LEAKS, OPEN, DOUBTFUL = 'protects', 'leaks more', 'cannot tell', 'doubtful'
MODEL = 'model inversion'
UNKNOWN = Estimate()
SAME_TREATMENTS = (
  'give both studies the same --treatments, and the second one --targets_from'
)
_Cell = tuple[Treatment, int, str, str]  # and the seed, the split and the attack


@dataclasses.dataclass(frozen=True)
class Effect:
  """What a treatment does to one threat.

  Attributes:
    threat: `MODEL`, or the split where activations are inverted.
    found: AttAcc@1, or the per-element squared error of the reconstructions.
    change: How much the attack loses: AttAcc@1 as a share, or the share by which the
      error rises. Positive is more private.
    cost: Accuracy lost, as a share. It is that of the split where a defence changes
      what is sent, which costs the other threat nothing.
    verdict: One of `PROTECTS`, `LEAKS`, `OPEN` and `DOUBTFUL`; '' for the targets with
      which others are compared.
    doubt: Why it is doubtful, or ''.
  """

  threat: str
  found: Estimate
  change: Estimate = UNKNOWN
  cost: Estimate = UNKNOWN
  verdict: str = ''
  doubt: str = ''


@dataclasses.dataclass(frozen=True)
class Crossed:
  """One treatment under both threats.

  Attributes:
    treatment: The treatment.
    seeds: How many seeds the sweep and the other study have of it.
    accuracy: Accuracy of its targets on test images, whatever is sent.
    effects: The splits in forward order, then model inversion.
    false_positives: Share of reconstructions of which the target is sure, and wrong.
  """

  treatment: Treatment
  seeds: tuple[int, int]
  accuracy: Estimate
  effects: tuple[Effect, ...]
  false_positives: float = math.nan

  @property
  def cost(self) -> Estimate:
    """Accuracy lost where nothing that is sent is changed."""
    return self.effects[-1].cost


@dataclasses.dataclass(frozen=True)
class Crossing:
  """All treatments of two studies, the untreated targets first.

  Attributes:
    baseline: The treatment with which the others are compared.
    treatments: What became of each.
    notes: Sentences about what does not go together.
  """

  baseline: Treatment
  treatments: tuple[Crossed, ...]
  notes: tuple[str, ...] = ()

  @property
  def splits(self) -> tuple[str, ...]:
    """The splits, in forward order."""
    return tuple(e.threat for e in self.treatments[0].effects if e.threat != MODEL)


def cross(
  sweep: Sequence[Row], inversions: Sequence[Row], classes: Sequence[Row] = ()
) -> Crossing:
  """Joins the rows of a sweep and of a study of model inversion by treatment.

  Args:
    sweep: Rows of `results.RESULTS`.
    inversions: Rows of `results.INVERSIONS`.
    classes: Rows of `results.CLASSES`, as far as there are any.

  Raises:
    InputError: They are of different models, data or attackers, or no treatment has
      finished in both.
  """
  check_same(sweep, inversions)
  finished = _list_finished(sweep)
  best = results.strongest(finished)
  done = {_cell(row) for row in finished}
  points = list_points(inversions)
  known = {point.treatment for point in points} & set(results.list_treatments(best))
  if not known:
    raise InputError(
      f'no treatment has a finished row in both studies; {SAME_TREATMENTS}'
    )
  baseline = results.nearest_untreated(sorted(known))
  order = [baseline, *(t for t in sorted(known) if t != baseline)]
  by_treatment = {point.treatment: point for point in points}
  found = tuple(
    _cross_one(best, done, by_treatment, classes, treatment, baseline)
    for treatment in order
  )
  return Crossing(baseline, found, tuple(_list_notes(sweep, inversions, known)))


def _cross_one(
  best: Sequence[Row],
  done: set[_Cell],
  points: Mapping[Treatment, Point],
  classes: Sequence[Row],
  treatment: Treatment,
  baseline: Treatment,
) -> Crossed:
  point = points[treatment]
  trained = inversion_doubts.of_training(point, [*points.values()])
  doubt = next(iter(inversion_doubts.of_point(point, [*points.values()])), '')
  splits = results.list_splits(row for row in best if Treatment.of(row) == baseline)
  ours = {row['seed'] for row in best if Treatment.of(row) == treatment}
  return Crossed(
    treatment=treatment,
    seeds=(len(ours), len(point.seeds)),
    accuracy=point.accuracy,
    effects=(
      *(
        _cross_split(best, done, treatment, baseline, split, trained)
        for split in splits
      ),
      _cross_model(point, points[baseline], classes, doubt),
    ),
    false_positives=point.mean('false_positives'),
  )


def _cross_split(
  best: Sequence[Row],
  done: set[_Cell],
  treatment: Treatment,
  baseline: Treatment,
  split: str,
  doubt: str,
) -> Effect:
  """Activation inversion at one split."""
  before, after = (_by_seed(best, each, split) for each in (baseline, treatment))
  found = of_values([row['test_mse'] for row in after.values()], 'seeds')
  doubted = [
    doubt
    for each in (treatment, baseline)
    for doubt in (
      *sweep_doubts.of_treatment(best, each),
      *sweep_doubts.of_split(best, each, split),
    )
  ]
  doubt = doubted[0].text if doubted else doubt
  if treatment == baseline:
    return Effect(split, found, doubt=doubt)
  both = sorted(before.keys() & after.keys())
  doubt = doubt or _tell_lost(done, [(before[seed], after[seed]) for seed in both])
  errors = [after[s]['test_mse'] / before[s]['test_mse'] - 1 for s in both]
  lost = [before[s]['target_accuracy'] - after[s]['target_accuracy'] for s in both]
  change = of_values(errors, 'seeds')
  verdict = DOUBTFUL if doubt else _judge(change)
  return Effect(split, found, change, of_values(lost, 'seeds'), verdict, doubt)


def _cell(row: Row, attack: str = '') -> _Cell:
  return Treatment.of(row), row['seed'], row['split'], attack or row['attack']


def _tell_lost(done: set[_Cell], pairs: Sequence[tuple[Row, Row]]) -> str:
  """The first attack that is the strongest on one of two targets and lacks the other.

  Args:
    done: The cells that have a finished row.
    pairs: The rows that are compared, of the untreated targets and of treated ones.
  """
  for pair in pairs:
    for row, other in (pair, pair[::-1]):
      if _cell(other, row['attack']) not in done:
        return (
          f'{row["attack"]} is the strongest attack at {row["split"]} on'
          f' {Treatment.of(row)}, and did not finish on {Treatment.of(other)} with seed'
          f' {row["seed"]}; finish it there, or leave it out of the sweep'
        )
  return ''


def _cross_model(
  point: Point, untreated: Point, classes: Sequence[Row], doubt: str
) -> Effect:
  """Model inversion, judged as `tradeoff.conclude` does."""
  doubt = next(iter(inversion_doubts.of_study(untreated)), doubt)
  if point is untreated:
    return Effect(MODEL, point.att_acc, doubt=doubt)
  comparison = compare(point, untreated, classes)
  doubt = doubt or comparison.doubt
  change = comparison.fall
  if not change.has_interval:
    change = comparison.fall_of_classes._replace(mean=change.mean)
  verdict = OPEN
  if doubt:
    verdict = DOUBTFUL
  elif comparison.is_fall_clear:
    verdict = PROTECTS
  elif compare(untreated, point, classes).is_fall_clear:
    verdict = LEAKS
  return Effect(MODEL, point.att_acc, change, comparison.cost, verdict, doubt)


def _judge(change: Estimate) -> str:
  if not change.has_interval or change.low <= 0 <= change.high:
    return OPEN
  return PROTECTS if change.low > 0 else LEAKS


def _list_finished(sweep: Sequence[Row]) -> list[Row]:
  """The rows of all splits but the answer that have finished."""
  return [
    row
    for row in sweep
    if row['status'] == 'done'
    and math.isfinite(row['test_mse'])
    and row['split'] != PREDICTION
  ]


def _by_seed(best: Sequence[Row], treatment: Treatment, split: str) -> dict[int, Row]:
  """seed -> the row of a treatment at a split."""
  return {
    row['seed']: row
    for row in best
    if row['split'] == split and Treatment.of(row) == treatment
  }


def _list_notes(
  sweep: Sequence[Row], inversions: Sequence[Row], known: set[Treatment]
) -> list[str]:
  """What the two studies do not have in common."""
  every = {*results.list_treatments(sweep), *results.list_treatments(inversions)}
  left = '; '.join(str(each) for each in sorted(every - known))
  notes = [f'left out, without a finished row in both studies: {left}'] if left else []
  return [*notes, *_tell_other_targets(sweep, inversions)]


def _tell_other_targets(
  sweep: Sequence[Row], inversions: Sequence[Row]
) -> Iterator[str]:
  """A sentence where the accuracies of one target differ between the studies.

  They are those of the targets themselves, whatever is sent.
  """
  accuracies: dict[tuple[Treatment, int], set[float]] = {}
  for row in sweep:
    key = Treatment.of(row), row['seed']
    accuracies.setdefault(key, set()).add(_clean_accuracy(row))
  for row in inversions:
    treatment, theirs = Treatment.of(row), row['target_accuracy']
    for ours in accuracies.get((treatment, row['seed']), ()):
      if abs(ours - theirs) > SAME_ACCURACY:
        yield (
          f'the studies may have attacked other targets. With {treatment} and seed'
          f' {row["seed"]} the accuracy is {ours:.1%} in a sweep and {theirs:.1%} in'
          ' model inversion. Give one study the --targets_from of the other'
        )
        return


def _clean_accuracy(row: Row) -> float:
  """The accuracy of a sweep's target where nothing is changed on the way.

  A row of an earlier version has only that of what is sent. It is the same where no
  defence and no few bits change that, and elsewhere it is not known: NaN.
  """
  if not math.isnan(row['clean_accuracy']):
    return row['clean_accuracy']
  is_changed = row['payload_bits'] < 32 or parse_defence(row['defence']).sends
  return math.nan if is_changed else row['target_accuracy']
