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
from gpz_jax.types import Treatment
from gpz_jax.zone import Agreement, TreatmentVotes, Votes, agreement, vote
from gpz_jax.zone.golden_zone import METRIC
from gpz_jax.zone.profiles import (
  Profile,
  attack_profile,
  entropy_profile,
  theory_profile,
)
from gpz_jax.zone.rows import order_splits, without_prediction
from gpz_jax.zone.voters import finished

# Names for `Theory.profile` that are no quantities of rows: the error of the attack as
# it is voted on and as it is shown, which is per element, and the difference of bounds
# that the entropy vote looks at.
ATTACK, ATTACK_SHOWN, ENTROPY_VOTE = METRIC, 'test_mse', 'entropy_vote'
RESAMPLES = 1000


@dataclasses.dataclass(frozen=True)
class Theory:
  """The rows of the theory, of a sweep that is complete or running.

  Attributes:
    rows: Rows of the attacks, without those on the prediction.
    finished: Rows of the theory, on the finished targets.
    followed: Rows of the theory, on targets in training.
    splits: The splits of all rows, in forward order.
    treatments: The treatments of all rows, ascending.
    votes: The votes on where the zone begins.
    agreements: How often each probe agrees with the attack.
    embeddings: The embeddings of the treatments and splits that have one.
  """

  rows: list[Row]
  finished: list[Row]
  followed: list[Row]
  splits: tuple[str, ...]
  treatments: list[Treatment]
  votes: Votes
  agreements: tuple[Agreement, ...]
  embeddings: dict[tuple[Treatment, str], Embedding]

  @property
  def one_hot(self) -> Treatment:
    """The treatment whose labels are nearest to one-hot ones."""
    return results.nearest_untreated(self.treatments)

  @property
  def epochs(self) -> list[int]:
    """The epochs at which targets in training were measured, ascending."""
    return sorted({row['epoch'] for row in self.followed})

  @property
  def seeds(self) -> list[int]:
    """The seeds of the targets that were measured, ascending."""
    return sorted({row['seed'] for row in [*self.finished, *self.followed]})

  def profile(self, name: str, treatment: Treatment) -> Profile:
    """A quantity of the finished targets over the splits, or one of the names above."""
    if name in (ATTACK, ATTACK_SHOWN):
      return attack_profile(self.rows, treatment, name, self.splits)
    if name == ENTROPY_VOTE:
      return entropy_profile(self.finished, treatment, self.splits)
    rows = self._by_quantity.get(name, [])
    return theory_profile(rows, treatment, name, self.splits)

  def trail(self, name: str, treatment: Treatment, split: str) -> np.ndarray:
    """A quantity of targets in training over `epochs`: [E] means over seeds, or NaN.

    The seeds are the same at all epochs that have a number: those that were followed at
    the most epochs. Otherwise the mean would move where a seed begins or ends.
    """
    seeds = self._by_trail.get((name, treatment, split), {}).values()
    longest = max(seeds, key=len, default={})
    those = [values for values in seeds if values.keys() >= longest.keys()]
    return np.array(
      [
        results.mean([values[epoch] for values in those if epoch in longest])
        for epoch in self.epochs
      ]
    )

  def votes_on(self, treatment: Treatment) -> TreatmentVotes:
    """The votes on one treatment."""
    return next(v for v in self.votes.treatments if v.treatment == treatment)

  def assumes(self, name: str, treatment: Treatment, split: str) -> str:
    """What the lowest seed's number depends on; '' where there is none."""
    those = self._by_cell.get((name, treatment, split), [])
    return min(those, key=lambda row: row['seed'])['assumes'] if those else ''

  @functools.cached_property
  def _by_quantity(self) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    for row in self.finished:
      found.setdefault(row['quantity'], []).append(row)
    return found

  @functools.cached_property
  def _by_cell(self) -> dict[tuple[str, Treatment, str], list[Row]]:
    found: dict[tuple[str, Treatment, str], list[Row]] = {}
    for row in self.finished:
      key = (row['quantity'], Treatment.of(row), row['split'])
      found.setdefault(key, []).append(row)
    return found

  @functools.cached_property
  def _by_trail(self) -> dict[tuple[str, Treatment, str], dict[int, dict[int, float]]]:
    """(quantity, treatment, split) -> seed -> epoch -> value, the finite ones."""
    found: dict[tuple[str, Treatment, str], dict[int, dict[int, float]]] = {}
    for row in self.followed:
      if np.isfinite(row['value']):
        key = (row['quantity'], Treatment.of(row), row['split'])
        seeds = found.setdefault(key, {})
        seeds.setdefault(row['seed'], {})[row['epoch']] = row['value']
    return found


def read_theory(
  workdir: str | pathlib.Path,
  rows: Sequence[Row],
  ladder: dict[str, dict[str, float]] | None = None,
) -> Theory | None:
  """Reads the theory of a sweep; None where it measured none that counts.

  That of targets that diverged does not, as the page says of their attacks.

  Args:
    workdir: Folder of the sweep.
    rows: Its rows of results, at least one.
    ladder: What simple guesses score, to read the attack's error by.

  Raises:
    InputError: a file cannot be read, or is about other targets than `rows`.
  """
  workdir = pathlib.Path(workdir)
  measured, _ = results.read_workdir(workdir, results.THEORY, missing_ok=True)
  measured = results.without_diverged(measured, rows)
  if not measured:
    return None
  votes = vote(rows, measured, ladder=ladder)
  attacked, measured = without_prediction(rows), without_prediction(measured)
  return Theory(
    rows=attacked,
    finished=finished(measured),
    followed=[r for r in measured if r['epoch'] > 0 and r['subset'] == 'train'],
    splits=order_splits(attacked, measured),
    treatments=[each.treatment for each in votes.treatments],
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
