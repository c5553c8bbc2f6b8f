"""The golden zone by the attack: where reconstruction error jumps."""

import collections
import dataclasses
import math
from collections.abc import Sequence
from typing import NamedTuple

from gpz_jax import results
from gpz_jax.results import Row
from gpz_jax.results.formats import join_words
from gpz_jax.types import InputError, Treatment
from gpz_jax.zone import doubts as doubts_lib
from gpz_jax.zone import recognition, rules
from gpz_jax.zone import steps as steps_lib
from gpz_jax.zone.doubts import Doubt
from gpz_jax.zone.profiles import Profile, attack_profile
from gpz_jax.zone.rows import check_sweep, without_prediction
from gpz_jax.zone.steps import JumpRule

METRIC = 'test_mse_paper'
SHOWN = 'test_mse'  # what people read of either form of the squared error
MEANING = (
  'The golden zone is the range of splits, from the first jump of the reconstruction'
  ' error on, where inversion is much harder than before'
)


@dataclasses.dataclass(frozen=True)
class TreatmentZone:
  """The zone of one treatment, or the largest jump where there is no zone.

  Where there are doubts, there is no zone: the rows cannot carry a conclusion.

  Attributes:
    treatment: The treatment of the targets.
    metric: The column that jumps.
    split: First split of the zone; None where no split meets the rule.
    start_index: Its `split_index`; None where no split meets the rule.
    jump_from: Split before the jump; None where fewer than two splits have a result.
    jump_to: Split after the jump, which is `split` where there is a zone.
    before: The metric at `jump_from`.
    after: The metric at `jump_to`.
    falls_back: Splits deeper than `split` that fail the rule against `before`.
    shown: The same two errors as people read them, per element.
    starts: (first split of the zone, number of seeds where it is that), the most seeds
      first; None stands for seeds without a zone. () where one seed is all there is.
    unequal: A sentence that says what the jump is to the attacks that finished at both
      splits; '' where the strongest ones did.
    recognisable: A sentence that says who still recognises the images at `split`; ''
      where nobody does, or nobody was asked.
    doubts: Why the rows say nothing of this treatment, each with what to raise.
  """

  treatment: Treatment
  metric: str
  split: str | None
  start_index: int | None
  jump_from: str | None
  jump_to: str | None
  before: float
  after: float
  falls_back: tuple[str, ...] = ()
  shown: tuple[float, float] = (math.nan, math.nan)
  starts: tuple[tuple[str | None, int], ...] = ()
  unequal: str = ''
  recognisable: str = ''
  doubts: tuple[Doubt, ...] = ()

  @property
  def jump(self) -> float:
    """`after` over `before`."""
    return rules.factor(self.before, self.after)

  def sentence(self) -> str:
    """The finding in one sentence, and in further ones how far to trust it."""
    unequal = '' if self.doubts else self.unequal
    said = (self._finding(), unequal, self._by_seed(), self.recognisable)
    return ' '.join(filter(None, said))

  def _by_seed(self) -> str:
    """Where the zone starts seed by seed; '' where one seed is all there is."""
    if not self.starts or self.doubts:
      return ''
    count = sum(seeds for _, seeds in self.starts)
    parts = [
      f'{f"at {split}" if split else "nowhere"} in {seeds}'
      for split, seeds in self.starts
    ]
    return f'Of {count} seeds it starts {join_words(parts)}.'

  def _finding(self) -> str:
    name = str(self.treatment)
    if self.doubts:
      return _withhold(name, self.doubts)
    if self.jump_to is None:
      return f'{name}: fewer than two splits have a result.'
    before, after = self.shown
    error = 'MSE'
    if not self.metric.startswith(SHOWN):
      before, after, error = self.before, self.after, self.metric
    change = (
      f'{self.jump:.3g}x, from {before:.3g} at {self.jump_from} to '
      f'{after:.3g} at {self.jump_to}'
    )
    if self.split is None:
      return f'{name}: no golden zone; the largest jump of {error} is {change}.'
    back = f' (but not at {", ".join(self.falls_back)})' if self.falls_back else ''
    return (
      f'{name}: golden zone from {self.split} on{back}, where {error} jumps {change}.'
    )


class Finding(NamedTuple):
  """What is said of one treatment, or of several that have the same doubts."""

  zones: tuple[TreatmentZone, ...]
  text: str


@dataclasses.dataclass(frozen=True)
class Zone:
  """The golden zone of every treatment, ascending, and the rule that found it."""

  treatments: tuple[TreatmentZone, ...]
  metric: str
  ratio: float
  threshold: float

  def list_findings(self) -> tuple[Finding, ...]:
    """A sentence for each treatment, and one for all that have the same doubts."""
    groups: dict[tuple[object, ...], list[TreatmentZone]] = {}
    for zone in self.treatments:
      kinds = tuple(doubt.kind for doubt in zone.doubts)
      groups.setdefault(kinds or (zone.treatment,), []).append(zone)
    return tuple(_describe(tuple(zones)) for zones in groups.values())

  def sentence(self) -> str:
    """What was found, in the sentences of `list_findings`."""
    return ' '.join(found.text for found in self.list_findings())


def _describe(zones: tuple[TreatmentZone, ...]) -> Finding:
  """What is said of one treatment, or of those that have the same doubts."""
  if len(zones) == 1:
    return Finding(zones, zones[0].sentence())
  name = '; '.join(str(zone.treatment) for zone in zones)
  merged = doubts_lib.merge({zone.treatment: zone.doubts for zone in zones})
  return Finding(zones, _withhold(name, merged))


def _withhold(name: str, doubts: Sequence[Doubt]) -> str:
  """The sentence that concludes nothing."""
  return f'{name}: no conclusion, because {"; and because ".join(map(str, doubts))}.'


def golden_zone(
  rows: list[Row],
  *,
  metric: str = METRIC,
  ratio: float = rules.RATIO,
  threshold: float = rules.THRESHOLD,
) -> Zone:
  """Finds, for each treatment, the first split where reconstruction error jumps.

  A zone starts at the first split whose error is more than `ratio` times that of the
  split before and exceeds `threshold`; it reaches to the deepest split.

  Args:
    rows: Rows of one sweep.
    metric: The column with the error; the threshold is in its unit.
    ratio: The factor between neighbouring splits that a jump must exceed.
    threshold: The error that a split of the zone must exceed. 0.02 is the paper's, in
      channel-summed MSE.

  Returns:
    One entry per treatment, ascending; its split is None where none meets the rule.

  Raises:
    InputError: no rows, rows of several sweeps, or an unknown metric.
  """
  check_sweep(rows)
  check_metric(rows, metric)
  treatments = results.list_treatments(rows)
  cuts = results.Grouped(without_prediction(rows))
  strongest = results.Grouped(results.strongest(cuts))
  rule = JumpRule(metric, ratio, threshold)
  found = [_find(cuts, strongest, each, rule) for each in treatments]
  return Zone(tuple(found), metric, ratio, threshold)


def _find(
  every: Sequence[Row], rows: Sequence[Row], treatment: Treatment, rule: JumpRule
) -> TreatmentZone:
  """The zone of one treatment, by the rows of all attacks and of the strongest."""
  metric, ratio, threshold = rule
  splits = tuple(results.list_splits(rows))
  profile = attack_profile(rows, treatment, metric, splits)
  errors = profile.values.tolist()
  steps = rules.list_steps(errors)
  doubts = doubts_lib.of_treatment(rows, treatment)
  if not steps:
    nothing = (None, None, None, None, math.nan, math.nan)
    return TreatmentZone(treatment, metric, *nothing, doubts=doubts)
  start = rules.first_jump(errors, ratio, threshold)
  if start is None:
    step = max(steps, key=lambda step: step.factor)
  else:
    step = next(step for step in steps if step.after == start.index)
  earlier = steps if start is None else steps[: steps.index(step)]
  jump = None if start is None else step
  case = steps_lib.Case(every, rows, treatment, splits, rule)
  doubts += steps_lib.list_doubts(case, earlier, jump)
  shown = attack_profile(rows, treatment, SHOWN, splits).values.tolist()
  shown_step = rules.compare(shown, step.before, step.after)
  found = TreatmentZone(
    treatment,
    metric,
    None,
    None,
    splits[step.before],
    splits[step.after],
    step.left,
    step.right,
    shown=(shown_step.left, shown_step.right) if shown_step else (math.nan, math.nan),
    starts=_count_starts(profile, ratio, threshold),
    unequal=steps_lib.describe(
      every, treatment, (splits[step.before], splits[step.after]), metric
    ),
    doubts=doubts,
  )
  if start is None or doubts:
    return found
  deeper = (
    rules.compare(errors, step.before, place)
    for place in range(step.after + 1, len(splits))
  )
  back = tuple(
    splits[far.after] for far in deeper if far and not rule.is_jump(far.left, far.right)
  )
  split = splits[step.after]
  index = next(row['split_index'] for row in rows if row['split'] == split)
  seen = recognition.describe(every, treatment, split)
  return dataclasses.replace(
    found, split=split, start_index=index, falls_back=back, recognisable=seen
  )


def _count_starts(
  profile: Profile, ratio: float, threshold: float
) -> tuple[tuple[str | None, int], ...]:
  """In how many seeds the zone starts at which split; () where there is one seed."""
  if len(profile.seeds) < 2:
    return ()
  starts = [
    rules.first_jump(each, ratio, threshold) for each in profile.values.tolist()
  ]
  splits = (None if start is None else profile.splits[start.index] for start in starts)
  return tuple(collections.Counter(splits).most_common())


def drop_doubtful(rows: Sequence[Row], zone: Zone) -> list[Row]:
  """The rows of the treatments that a conclusion can be drawn of."""
  doubtful = {found.treatment for found in zone.treatments if found.doubts}
  return [row for row in rows if Treatment.of(row) not in doubtful]


def check_metric(rows: Sequence[Row], metric: str) -> None:
  """Refuses a metric that is no column.

  Raises:
    InputError: naming the columns there are.
  """
  if metric not in rows[0]:
    raise InputError(f'metric {metric!r} is not a column; known: {", ".join(rows[0])}')
