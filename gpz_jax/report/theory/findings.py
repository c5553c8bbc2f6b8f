"""What a sweep measured of the theory, read for the report."""

import dataclasses
import functools
import pathlib
from collections.abc import Sequence

import numpy as np

from gpz_jax import results
from gpz_jax.report.theory import embeddings
from gpz_jax.report.theory.embeddings import Embedding
from gpz_jax.results import Row
from gpz_jax.zone import Agreement, AlphaVotes, Votes, agreement, vote
from gpz_jax.zone.golden_zone import METRIC
from gpz_jax.zone.profiles import (
  Profile,
  attack_profile,
  entropy_profile,
  theory_profile,
)
from gpz_jax.zone.rows import order_splits, without_prediction
from gpz_jax.zone.voters import finished

ATTACK = METRIC  # as a name of `Theory.profile`
ENTROPY_VOTE = 'entropy_vote'  # likewise: what the entropy vote styles at
RESAMPLES = 1000


@dataclasses.dataclass(frozen=True)
class Theory:
  """The rows of the theory, of a sweep that is complete or running.

  Attributes:
    rows: of the attacks, without those on the prediction.
    finished: of the theory, of the finished targets.
    followed: of the theory, of targets in training.
    splits: of all rows, in forward order.
    alphas: of all rows, ascending.
    votes: on where the zone begins.
    agreements: of the probes with the attack.
    embeddings: of the alphas and splits that have one.
  """

  rows: list[Row]
  finished: list[Row]
  followed: list[Row]
  splits: tuple[str, ...]
  alphas: list[float]
  votes: Votes
  agreements: tuple[Agreement, ...]
  embeddings: dict[tuple[float, str], Embedding]

  @property
  def one_hot(self) -> float:
    """The alpha nearest to labels that are not smoothed."""
    return min(self.alphas, key=abs)

  @property
  def epochs(self) -> list[int]:
    """At which targets in training were measured, ascending."""
    return sorted({row['epoch'] for row in self.followed})

  @property
  def seeds(self) -> list[int]:
    """Of the targets that were measured, ascending."""
    return sorted({row['seed'] for row in [*self.finished, *self.followed]})

  def profile(self, name: str, alpha: float) -> Profile:
    """A quantity of the finished targets over the splits; also ATTACK, ENTROPY_VOTE."""
    if name == ATTACK:
      return attack_profile(self.rows, alpha, METRIC, self.splits)
    if name == ENTROPY_VOTE:
      return entropy_profile(self.finished, alpha, self.splits)
    rows = self._by_quantity.get(name, [])
    return theory_profile(rows, alpha, name, self.splits)

  def trail(self, name: str, alpha: float, split: str) -> np.ndarray:
    """A quantity of targets in training over `epochs`: [E] means over seeds, or NaN."""
    cells = (self._by_epoch.get((name, alpha, split, e), []) for e in self.epochs)
    return np.array([results.mean(cell) for cell in cells])

  def votes_of(self, alpha: float) -> AlphaVotes:
    """The votes of one alpha."""
    return next(votes for votes in self.votes.alphas if votes.alpha == alpha)

  def assumes(self, name: str, alpha: float, split: str) -> str:
    """What the lowest seed's number depends on; '' where there is none."""
    rows = self._by_quantity.get(name, [])
    those = [row for row in rows if (row['alpha'], row['split']) == (alpha, split)]
    return min(those, key=lambda row: row['seed'])['assumes'] if those else ''

  @functools.cached_property
  def _by_quantity(self) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    for row in self.finished:
      found.setdefault(row['quantity'], []).append(row)
    return found

  @functools.cached_property
  def _by_epoch(self) -> dict[tuple[str, float, str, int], list[float]]:
    found: dict[tuple[str, float, str, int], list[float]] = {}
    for row in self.followed:
      if np.isfinite(row['value']):
        key = (row['quantity'], row['alpha'], row['split'], row['epoch'])
        found.setdefault(key, []).append(row['value'])
    return found


def read_theory(
  workdir: str | pathlib.Path,
  rows: Sequence[Row],
  ladder: dict[str, dict[str, float]] | None = None,
) -> Theory | None:
  """Reads the theory of a sweep; None where it measured none.

  Args:
    workdir: folder of the sweep.
    rows: its rows of results, at least one.
    ladder: what simple guesses score, to read the attack's error by.

  Raises:
    InputError: a file cannot be read, or is about other targets than `rows`.
  """
  workdir = pathlib.Path(workdir)
  measured, _ = results.read_workdir(workdir, results.THEORY, missing_ok=True)
  if not measured:
    return None
  votes = vote(rows, measured, ladder=ladder)
  attacked, measured = without_prediction(rows), without_prediction(measured)
  return Theory(
    rows=attacked,
    finished=finished(measured),
    followed=[r for r in measured if r['epoch'] > 0 and r['subset'] == 'train'],
    splits=order_splits(attacked, measured),
    alphas=[votes_of.alpha for votes_of in votes.alphas],
    votes=votes,
    agreements=agreement(rows, measured),
    embeddings=embeddings.read_embeddings(workdir, measured),
  )


def interval(profile: Profile) -> tuple[np.ndarray, np.ndarray]:
  """95% intervals of `profile.mean()`: low and high [P], NaN where nothing is known.

  Of one seed they are those it was measured with; of several, percentiles over
  resampled seeds and intervals.
  """
  mean = profile.mean()
  low, high = np.full_like(mean, np.nan), np.full_like(mean, np.nan)
  known = np.isfinite(mean)
  if len(profile.seeds) == 1:
    low, high = mean - profile.below[0], mean + profile.above[0]
  elif known.any():
    draws = profile.resample(RESAMPLES)[:, known]
    low[known], high[known] = np.nanpercentile(draws, [2.5, 97.5], axis=0)
  is_wide = high > low
  return np.where(is_wide, low, np.nan), np.where(is_wide, high, np.nan)
