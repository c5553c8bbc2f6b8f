"""Whether reconstructions still show what the images show, by who was not trained so.

A decoder's error says little of what a picture shows. The target was trained on no
reconstruction, and neither was a judge that is given. What they still classify rightly
is recognisable.

Source: docs/paper.md#recognisable; the rule is ours.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

from gpz_jax import results
from gpz_jax.results import Row
from gpz_jax.types import Treatment

# Images are recognisable where more is right than this far from chance on the way to
# what is right of real images.
HALFWAY = 0.5


class Judge(NamedTuple):
  """Who looks at reconstructions: the columns with what it says, and its name."""

  recognised: str
  accuracy: str
  name: str


# A defence and few bits change what is sent, and with it `target_accuracy`. No judge is
# asked through them, so each is compared with what it says of the images as they are.
JUDGES = (
  Judge('recognised', 'clean_accuracy', 'the target'),
  Judge('judge_recognised', 'judge_accuracy', 'the judge'),
)


class Share(NamedTuple):
  """What one judge makes of the reconstructions at one split; means over seeds.

  Attributes:
    judge: Who looks at them.
    recognised: The share that it gives to the image's class.
    accuracy: The share of the images themselves that it gives to their class.
    chance: The share up to which it may be guessing.
  """

  judge: Judge
  recognised: float
  accuracy: float
  chance: float

  @property
  def is_recognisable(self) -> bool:
    """Whether more is recognised than halfway from chance to the accuracy."""
    mark = self.chance + HALFWAY * (self.accuracy - self.chance)
    return self.recognised > mark  # not where a number is missing


def list_shares(
  rows: Sequence[Row], treatment: Treatment, split: str
) -> tuple[Share, ...]:
  """What each judge makes of the attack that it recognises most of.

  Args:
    rows: Rows of all attacks of one sweep.
    treatment: The treatment of the targets.
    split: Where they are cut.

  Returns:
    One for each of `JUDGES` that was asked; rows of earlier versions have none.
  """
  cell = {'treatment': treatment, 'split': split}
  own, found = results.of_cell(rows, treatment, split), []
  for judge in JUDGES:
    those = [_complete(row) for row in results.strongest(own, judge.recognised)]
    columns = (judge.recognised, judge.accuracy, 'chance_accuracy')
    share = Share(judge, *(results.seed_mean(those, name, **cell) for name in columns))
    if math.isfinite(share.recognised):
      found.append(share)
  return tuple(found)


def _complete(row: Row) -> Row:
  """The row; one of an earlier version has the accuracy of what is sent as clean one.

  The two are the same unless a defence or few bits change what is sent.
  """
  is_older = math.isnan(row['clean_accuracy'])
  return row | {'clean_accuracy': row['target_accuracy']} if is_older else row


def describe(rows: Sequence[Row], treatment: Treatment, split: str) -> str:
  """A sentence that says who recognises the images at a split; '' where nobody does.

  Args:
    rows: Rows of all attacks of one sweep.
    treatment: The treatment of the targets.
    split: Where they are cut.
  """
  those = [
    share for share in list_shares(rows, treatment, split) if share.is_recognisable
  ]
  if not those:
    return ''
  parts = [
    f'{share.judge.name} still gives {share.recognised:.0%} of the reconstructions at'
    f' {split} to the right class, and {share.accuracy:.0%} of the images themselves'
    for share in those
  ]
  return f'Images stay recognisable there: {"; and ".join(parts)}.'
