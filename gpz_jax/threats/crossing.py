"""What each treatment does to activation inversion and to model inversion.

A treatment protects against a threat where the attack does worse by an interval that
does not reach 0, and leaks more where it does better by such an interval. Activation
inversion is judged seed by seed, at each split under its strongest attack. Model
inversion is judged as on its own page, by seeds and by classes.

Source: docs/defences.md; the rules are ours.
"""

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence

from gpz_jax import results
from gpz_jax.defences import parse as parse_defence
from gpz_jax.results import Row
from gpz_jax.tradeoff import doubts as inversion_doubts
from gpz_jax.tradeoff.comparison import Comparison, compare
from gpz_jax.tradeoff.estimates import Estimate, of_values
from gpz_jax.tradeoff.points import Point, list_points
from gpz_jax.types import InputError, Treatment
from gpz_jax.zone import doubts as sweep_doubts

PROTECTS, LEAKS, OPEN, DOUBTFUL = 'protects', 'leaks more', 'cannot tell', 'doubtful'
MODEL = 'model inversion'
# Accuracies of one target that differ by more were measured on different targets.
_SAME = 1e-4
UNKNOWN = Estimate()


@dataclasses.dataclass(frozen=True)
class Effect:
  """What a treatment does to one threat.

  Attributes:
    threat: `MODEL`, or the split where activations are inverted.
    found: AttAcc@1, or the per-element squared error of the reconstructions.
    change: How much the attack loses: AttAcc@1 as a share, or the share by which the
      error rises. Positive is more private.
    verdict: One of `PROTECTS`, `LEAKS`, `OPEN` and `DOUBTFUL`; '' for the untreated
      targets, with which others are compared.
    doubt: Why it is doubtful, or ''.
  """

  threat: str
  found: Estimate
  change: Estimate = UNKNOWN
  verdict: str = ''
  doubt: str = ''


@dataclasses.dataclass(frozen=True)
class Crossed:
  """One treatment under both threats.

  Attributes:
    treatment: The treatment.
    seeds: How many seeds the two studies have of it; 0 where one has none.
    accuracy: Accuracy of its targets on test images.
    cost: Accuracy lost beside the untreated targets, as a share.
    effects: The splits in forward order, then model inversion.
    false_positives: Share of reconstructions of which the target is sure, and wrong.
  """

  treatment: Treatment
  seeds: tuple[int, int]
  accuracy: Estimate
  cost: Estimate
  effects: tuple[Effect, ...]
  false_positives: float = math.nan


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
    InputError: They are of different models or data, or no treatment is in both.
  """
  _check_same(sweep, inversions)
  best = results.strongest(sweep)
  points = list_points(inversions)
  known = {point.treatment for point in points} & set(results.list_treatments(best))
  if not known:
    raise InputError(
      'no treatment is in both studies; give both the same --treatments, and the second'
      ' one --targets_from'
    )
  baseline = results.nearest_untreated(sorted(known))
  order = [baseline, *(t for t in sorted(known) if t != baseline)]
  by_treatment = {point.treatment: point for point in points}
  found = tuple(
    _cross_one(best, by_treatment, classes, treatment, baseline) for treatment in order
  )
  return Crossing(baseline, found, tuple(_list_notes(sweep, inversions, known)))


def _cross_one(
  best: Sequence[Row],
  points: Mapping[Treatment, Point],
  classes: Sequence[Row],
  treatment: Treatment,
  baseline: Treatment,
) -> Crossed:
  point, untreated = points[treatment], points[baseline]
  comparison = compare(point, untreated, classes)
  is_baseline = treatment == baseline
  splits = [s for s in results.list_splits(best) if _by_seed(best, baseline, s)]
  ours = {row['seed'] for row in best if Treatment.of(row) == treatment}
  return Crossed(
    treatment=treatment,
    seeds=(len(ours), len(point.seeds)),
    accuracy=point.accuracy,
    cost=Estimate(0.0) if is_baseline else comparison.cost,
    effects=(
      *(_cross_split(best, treatment, baseline, split) for split in splits),
      _cross_model(comparison, is_baseline=is_baseline),
    ),
    false_positives=point.mean('false_positives'),
  )


def _cross_split(
  best: Sequence[Row], treatment: Treatment, baseline: Treatment, split: str
) -> Effect:
  """Activation inversion at one split."""
  before, after = (_by_seed(best, each, split) for each in (baseline, treatment))
  found = of_values([*after.values()], 'seeds')
  doubted = [
    *sweep_doubts.of_treatment(best, treatment),
    *sweep_doubts.of_treatment(best, baseline),
  ]
  doubt = doubted[0].text if doubted else ''
  if treatment == baseline:
    return Effect(split, found, doubt=doubt)
  both = sorted(before.keys() & after.keys())
  change = of_values([after[seed] / before[seed] - 1 for seed in both], 'seeds')
  verdict = DOUBTFUL if doubt else _judge(change)
  return Effect(split, found, change, verdict, doubt)


def _cross_model(comparison: Comparison, *, is_baseline: bool) -> Effect:
  """Model inversion, judged as `tradeoff.conclude` does."""
  point, untreated = comparison.point, comparison.baseline
  doubted = [
    *inversion_doubts.of_study(untreated),
    *inversion_doubts.of_point(point, untreated),
  ]
  doubt = doubted[0] if doubted else ''
  if is_baseline:
    return Effect(MODEL, point.att_acc, doubt=doubt)
  change = comparison.fall
  if not change.has_interval:
    change = comparison.fall_of_classes._replace(mean=change.mean)
  verdict = OPEN
  if comparison.is_fall_clear and comparison.fall.mean > 0:
    verdict = PROTECTS
  elif all(
    _judge(each) == LEAKS for each in (comparison.fall, comparison.fall_of_classes)
  ):
    verdict = LEAKS
  return Effect(MODEL, point.att_acc, change, DOUBTFUL if doubt else verdict, doubt)


def _judge(change: Estimate) -> str:
  if not change.has_interval or change.low <= 0 <= change.high:
    return OPEN
  return PROTECTS if change.low > 0 else LEAKS


def _by_seed(best: Sequence[Row], treatment: Treatment, split: str) -> dict[int, float]:
  """seed -> the error of the strongest attack at a split, where it finished."""
  return {
    row['seed']: row['test_mse']
    for row in best
    if row['split'] == split
    and Treatment.of(row) == treatment
    and row['status'] == 'done'
    and math.isfinite(row['test_mse'])
  }


def _check_same(sweep: Sequence[Row], inversions: Sequence[Row]) -> None:
  for column in ('model', 'dataset', 'model_options'):
    ours, theirs = ({row[column] for row in rows} for rows in (sweep, inversions))
    if len(ours | theirs) > 1:
      raise InputError(
        f'the sweep has {column} {_list(ours)} and the study of model inversion'
        f' {_list(theirs)}; give two studies of the same targets'
      )


def _list(values: set[str]) -> str:
  return ' and '.join(sorted(values))


def _list_notes(
  sweep: Sequence[Row], inversions: Sequence[Row], known: set[Treatment]
) -> list[str]:
  """What the two studies do not have in common."""
  notes = []
  for name, rows in (('sweep', sweep), ('study of model inversion', inversions)):
    left = [str(t) for t in results.list_treatments(rows) if t not in known]
    if left:
      notes.append(f'left out, because only the {name} has it: {"; ".join(left)}')
  return [*notes, *_tell_other_targets(sweep, inversions)]


def _tell_other_targets(
  sweep: Sequence[Row], inversions: Sequence[Row]
) -> Iterator[str]:
  """A sentence where the accuracies of one target differ between the studies.

  Not where its defence changes what is sent: the accuracy of a sweep's row is then that
  of the cut.
  """
  accuracies: dict[tuple[Treatment, int], float] = {}
  for row in sweep:
    if not parse_defence(row['defence']).sends:
      accuracies[Treatment.of(row), row['seed']] = row['target_accuracy']
  for row in inversions:
    key = Treatment.of(row), row['seed']
    ours = accuracies.get(key, math.nan)
    if abs(ours - row['target_accuracy']) > _SAME:
      yield (
        f'the two studies attacked other targets: that with {key[0]} and seed {key[1]}'
        f' is right {ours:.1%} of the time in the sweep and'
        f' {row["target_accuracy"]:.1%} in the other study; give one of them'
        ' --targets_from'
      )
      return
