"""A vote on where the zone begins, and how far apart several are."""

import dataclasses
import math

from gpz_jax.results.formats import join_words
from gpz_jax.types import Treatment

WORDS = {
  'attack': 'the attack',
  'radius': 'the radius',
  'radius_per_dim': 'the radius a dimension',
  'radius_share': 'the radius share',
  'entropy': 'the entropy bound',
}
# These are compared: one for each kind of evidence.
VOTERS = ('attack', 'radius_share', 'entropy')


@dataclasses.dataclass(frozen=True)
class Vote:
  """Where one voter says the zone of one treatment begins.

  Attributes:
    voter: 'attack', one of `voters.RADII`, or 'entropy'.
    split: The first split of the zone; None where the rule finds none.
    size: The size of the step there: a factor of errors (attack), a share (radius), or
      nats per dimension (entropy); NaN without a split.
    other: The other end where the rule returns a range.
    seeds: The number of seeds that were averaged.
    shares: (split, share of the resamples that vote for it), largest first; () where
      one seed without intervals leaves nothing to resample.
    note: What the attack's error at `split` is worth on the ladder, '' without one.
  """

  voter: str
  split: str | None
  size: float
  other: str | None
  seeds: int
  shares: tuple[tuple[str | None, float], ...]
  note: str = ''

  @property
  def share(self) -> float:
    """The share of resamples that agree with `split`; NaN without resamples."""
    return dict(self.shares).get(self.split, 0.0) if self.shares else math.nan


@dataclasses.dataclass(frozen=True)
class TreatmentVotes:
  """The votes on one treatment, by those who had two splits to compare.

  Attributes:
    treatment: The treatment of the targets.
    splits: All splits there are, in forward order.
    votes: The votes.
    guessing: The seeds of targets that may be guessing and have no part in the votes.
  """

  treatment: Treatment
  splits: tuple[str, ...]
  votes: tuple[Vote, ...]
  guessing: tuple[int, ...] = ()

  def by(self, voter: str) -> Vote | None:
    """The vote of one voter; None where it had nothing to vote on."""
    return next((vote for vote in self.votes if vote.voter == voter), None)

  @property
  def apart(self) -> int | None:
    """Most splits between two of `VOTERS`; None where fewer than two name a split."""
    named = [self.splits.index(v.split) for v in self._compared() if v.split]
    return max(named) - min(named) if len(named) > 1 else None

  def sentence(self) -> str:
    """The votes of `VOTERS` and how far apart they are, in one sentence.

    Another one names the targets that are left out.
    """
    said = f'{self.treatment}: {self._finding()}.'
    if not self.guessing:
      return said
    seeds = join_words([*map(str, self.guessing)])
    if len(self.guessing) == 1:
      return f'{said} The target with seed {seeds} is left out: it may be guessing.'
    return f'{said} The targets with seeds {seeds} are left out: they may be guessing.'

  def _finding(self) -> str:
    compared = self._compared()
    if not compared:
      return 'nothing votes' if self.guessing else 'fewer than two splits are measured'
    said: dict[str, list[str]] = {}
    for vote in compared:
      if vote.split is not None:
        said.setdefault(vote.split, []).append(WORDS[vote.voter])
    if not said:
      return 'no vote finds a zone'
    order = (split for split in self.splits if split in said)
    parts = [f'at {split} by {join_words(said[split])}' for split in order]
    apart = {None: '', 0: ': they agree', 1: ': 1 split apart'}
    end = apart.get(self.apart, f': {self.apart} splits apart')
    if silent := [WORDS[v.voter] for v in compared if v.split is None]:
      end += f'; {join_words(silent)} {"find" if len(silent) > 1 else "finds"} none'
    return f'the zone begins {", ".join(parts)}{end}'

  def _compared(self) -> list[Vote]:
    return [vote for voter in VOTERS if (vote := self.by(voter))]


@dataclasses.dataclass(frozen=True)
class Votes:
  """The votes on every treatment, ascending."""

  treatments: tuple[TreatmentVotes, ...]

  def sentence(self) -> str:
    """The finding for every treatment, one sentence each."""
    return ' '.join(votes.sentence() for votes in self.treatments)
