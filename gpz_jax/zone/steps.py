"""The steps that a zone rests on, and what is doubtful of each.

Source: docs/paper.md#doubts; the rules are ours.
"""

from collections.abc import Sequence
from typing import NamedTuple

from gpz_jax import results
from gpz_jax.results import Row
from gpz_jax.types import Treatment
from gpz_jax.zone import doubts, fewer_images, improving, rules, unfinished
from gpz_jax.zone.doubts import Doubt
from gpz_jax.zone.profiles import attack_profile
from gpz_jax.zone.rows import cell_scores


class JumpRule(NamedTuple):
  """When the error of a split counts as a jump from that of the one before.

  Attributes:
    metric: The column with the error.
    ratio: The factor that a jump must exceed.
    threshold: The error that must be exceeded behind it, in the unit of `metric`.
  """

  metric: str
  ratio: float
  threshold: float

  def is_jump(self, before: float, after: float) -> bool:
    """Whether an error of `after` is a jump from one of `before`."""
    return rules.is_jump(before, after, self.ratio, self.threshold)


class Case(NamedTuple):
  """What steps of one treatment are judged by.

  Attributes:
    rows: Rows of all attacks.
    strongest: Those of them of the strongest attack at each split.
    treatment: The treatment of the targets.
    splits: The names of the splits that steps are between.
    rule: What a jump is.
  """

  rows: Sequence[Row]
  strongest: Sequence[Row]
  treatment: Treatment
  splits: Sequence[str]
  rule: JumpRule

  def ends(self, step: rules.Step) -> tuple[str, str]:
    """The splits before and behind a step."""
    return self.splits[step.before], self.splits[step.after]


def list_doubts(
  case: Case, earlier: Sequence[rules.Step], jump: rules.Step | None
) -> tuple[Doubt, ...]:
  """What is doubtful of the first jump of a treatment, and of the steps before it.

  Args:
    case: What they are judged by.
    earlier: The steps before the jump, which are none; all of them without a jump.
    jump: The step where the zone starts; None without one.
  """
  found: tuple[Doubt, ...] = ()
  if jump is not None:
    found += _doubt_jump(case, jump)
  for step in earlier:
    found += _doubt_decoder(case, step)
    found += _doubt_images(case, step)
    found += _doubt_attacks(case, step)
  return found


def _doubt_jump(case: Case, step: rules.Step) -> tuple[Doubt, ...]:
  """What is doubtful of the step where a zone starts."""
  rows, strongest, treatment, _, rule = case
  before, after = case.ends(step)

  def is_undone(changed: float, _: float) -> bool:
    """Whether the step is none with another MSE behind it."""
    right = step.right * _share(changed, rows, treatment, after)
    return not rule.is_jump(step.left, right)

  return (
    *(
      doubts.of_split(strongest, treatment, after)
      or improving.doubt_cut(rows, treatment, after, is_undone)
    ),
    *doubts.of_step(strongest, treatment, before, after),
    *fewer_images.doubt(
      rows,
      treatment,
      after,
      lambda score: not rule.is_jump(step.left, score.error),
      rule.metric,
    ),
    *(
      _doubt_attacks(case, step)
      or unfinished.doubt_cut(rows, treatment, after, is_undone)
    ),
  )


def _doubt_decoder(case: Case, step: rules.Step) -> tuple[Doubt, ...]:
  """A decoder that may fall so far with more epochs that a zone begins behind it."""
  rows, strongest, treatment, _, rule = case
  split, _ = case.ends(step)
  falls = results.seed_mean(strongest, 'loss_fall', treatment=treatment, split=split)
  left = doubts.foresee(step.left, falls)
  if doubts.is_falling(falls) and rule.is_jump(left, step.right):
    return doubts.of_split(strongest, treatment, split)

  def is_begun(changed: float, _: float) -> bool:
    """Whether the step is a jump with another MSE before it."""
    left = step.left * _share(changed, rows, treatment, split)
    return rule.is_jump(left, step.right)

  return improving.doubt_cut(rows, treatment, split, is_begun, asks_brief=False)


def _share(
  changed: float, rows: Sequence[Row], treatment: Treatment, split: str
) -> float:
  """Another MSE of a cell over what it is."""
  error, _ = cell_scores(results.of_cell(rows, treatment, split))
  return changed / error if error else 1.0


def _doubt_images(case: Case, step: rules.Step) -> tuple[Doubt, ...]:
  """A step between errors on different images that is a jump on the same scale."""
  _, strongest, treatment, _, rule = case
  before, after = case.ends(step)
  found = doubts.of_step(strongest, treatment, before, after)
  if not found:
    return ()
  first, second = (
    results.of_cell(strongest, treatment, split)[0] for split in (before, after)
  )
  left, right = step.left, step.right
  if first['n_test'] < second['n_test']:
    left *= fewer_images.scale(first, second)
  else:
    right *= fewer_images.scale(second, first)
  return found if rule.is_jump(left, right) else ()


def _doubt_attacks(case: Case, step: rules.Step) -> tuple[Doubt, ...]:
  """Whether a step is judged otherwise by the attacks that finished at both ends."""
  rows, _, treatment, _, rule = case
  ends = case.ends(step)
  shared = unfinished.list_shared(rows, treatment, ends)
  fair = _judge(shared, treatment, ends, rule.metric)
  is_jump = rule.is_jump(step.left, step.right)
  if fair is not None and rule.is_jump(fair.left, fair.right) == is_jump:
    return ()
  # A jump is too large where the strongest attack before it is missing behind it, and
  # another step is too small where the one behind is missing before.
  before, after = ends
  named = (before, after) if is_jump else (after, before)
  return unfinished.name_lost(rows, shared, treatment, named)


def describe(
  rows: Sequence[Row], treatment: Treatment, ends: tuple[str, str], metric: str
) -> str:
  """A sentence that says what a step is to the attacks that finished at both ends.

  Args:
    rows: Rows of all attacks.
    treatment: The treatment of the targets.
    ends: The two splits.
    metric: The column with the error.

  Returns:
    '' where the strongest attacks finished at both, so that nothing is to be said.
  """
  every = _judge(rows, treatment, ends, metric)
  fair = _judge(unfinished.list_shared(rows, treatment, ends), treatment, ends, metric)
  if every is None or fair is None or fair == every:
    return ''
  return (
    f'The two errors are of different attacks; over those that finished at both splits'
    f' the factor is {fair.factor:.3g}x.'
  )


def _judge(
  rows: Sequence[Row], treatment: Treatment, ends: tuple[str, str], metric: str
) -> rules.Step | None:
  """The step between two splits by some rows; None where no seed has both."""
  those = [row for split in ends for row in results.of_cell(rows, treatment, split)]
  profile = attack_profile(those, treatment, metric, ends)
  return next(iter(rules.list_steps(profile.values.tolist())), None)
