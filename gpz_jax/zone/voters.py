"""Who votes on where the zone begins, and by which rule.

- The attack: the split where its reconstruction error jumps (`rules.first_jump`).
- The radius: the split where the within-class scatter R_c^2 drops most
  (`rules.largest_drop`), of R_c^2, of R_c^2 / D and of R_c^2 / tr(S_total). The last
  one stands for the three in comparisons: multiplying an activation by a number
  changes nothing for an attacker, and of the three only it is unchanged by that.
- The entropy bound: the split where (class-conditional bound - total bound) / D, both
  from log-determinants, falls most (`rules.largest_fall`). With the trace bounds that
  difference is the logarithm of R_c^2 / tr(S_total), no vote of its own.

What the last two cannot do (docs/paper.md#class-radius). They look at the activation
alone: neither the scatter nor its entropy bounds what a decoder rebuilds. The entropy
vote subtracts an upper bound from an upper bound, which bounds neither the gap nor its
sign; it is differential entropy, without the D ln(1/Delta) of a quantised activation;
dividing by D hides that fewer dimensions carry less; and where a class has fewer
examples than D, the noise or shrinkage named in `assumes` decides much of it. And there
is always a largest drop: a vote of these two does not say that there is a zone.
"""

import dataclasses
import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

from gpz_jax import results
from gpz_jax.results import Row
from gpz_jax.types import InputError, Treatment
from gpz_jax.zone import accuracies, rules
from gpz_jax.zone.golden_zone import METRIC, check_metric, drop_doubtful, golden_zone
from gpz_jax.zone.profiles import (
  Profile,
  attack_profile,
  entropy_profile,
  theory_profile,
)
from gpz_jax.zone.rows import (
  check_sweep,
  check_theory,
  check_together,
  order_splits,
  without_prediction,
)
from gpz_jax.zone.votes import TreatmentVotes, Vote, Votes
from gpz_jax.zone.worth import Ladder, worth

RESAMPLES = 1000
RADII = ('radius', 'radius_per_dim', 'radius_share')


class Voter(NamedTuple):
  """What is looked at, one treatment at a time, and the rule that judges it."""

  name: str
  profile: Callable[[Treatment], Profile]
  rule: rules.Rule


def vote(
  rows: Sequence[Row],
  theory_rows: Sequence[Row] = (),
  *,
  metric: str = METRIC,
  ratio: float = rules.RATIO,
  threshold: float = rules.THRESHOLD,
  ladder: Ladder | None = None,
  resamples: int = RESAMPLES,
) -> Votes:
  """All votes on where the zone of each treatment begins.

  The attack has no vote on a treatment of which its rows carry no conclusion, and
  nothing is voted by the theory of a target that diverged or may be guessing.

  Args:
    rows: Rows of results of one sweep, complete or not.
    theory_rows: Rows of the theory on the same targets; without them the attack
      votes alone.
    metric: The column with the error, as in `golden_zone`.
    ratio: The factor between neighbouring splits that a jump must exceed.
    threshold: The error that a split of the zone must exceed.
    ladder: What simple guesses score (`metrics.ladder`), to read the error by.
    resamples: How often the vote is repeated over resampled seeds and intervals.

  Raises:
    InputError: no rows, rows of several sweeps or of different targets, an unknown
      metric, or fewer than one resample.
  """
  check_together(rows, theory_rows) if theory_rows else check_sweep(rows)
  check_metric(rows, metric)
  treatments = results.list_treatments([*rows, *theory_rows])
  every = results.Grouped(rows)
  guessing = {each: tuple(accuracies.list_guessing(every, each)) for each in treatments}
  zone = golden_zone(list(rows), metric=metric, ratio=ratio, threshold=threshold)
  theory_rows = [
    row
    for row in finished(results.without_diverged(theory_rows, rows))
    if row['seed'] not in guessing[Treatment.of(row)]
  ]
  rows = without_prediction(drop_doubtful(rows, zone))
  splits = order_splits(rows, theory_rows)
  attack = attack_voter(rows, splits, metric, ratio, threshold)
  voters = [attack, *probe_voters(theory_rows, splits)]
  cast = (
    dataclasses.replace(votes, guessing=guessing[votes.treatment])
    for votes in _vote(voters, treatments, splits, resamples)
  )
  return Votes(
    tuple(_read_off(v, attack.profile(v.treatment), ladder or {}, metric) for v in cast)
  )


def probe(
  theory_rows: Sequence[Row], *, epoch: int = 0, resamples: int = RESAMPLES
) -> Votes:
  """Where the zone of each treatment begins by the theory alone, without any attack.

  Args:
    theory_rows: Rows of the theory of one sweep.
    epoch: The epoch of the target, from 1; 0 for the finished one.
    resamples: How often the vote is repeated over resampled seeds and intervals.

  Returns:
    For each treatment the votes of `probe_voters`; `by('radius_share')` is the one to
    take.

  Raises:
    InputError: no rows, rows of several sweeps, no row of that epoch, or fewer than
      one resample.

  Source: docs/paper.md#partition-rule, the third version of the paper.
  """
  check_theory(theory_rows)
  chosen = finished(theory_rows, epoch)
  if not chosen:
    known = ', '.join(map(str, sorted({row['epoch'] for row in theory_rows})))
    raise InputError(f'no theory of epoch {epoch}; known: {known} (0: finished)')
  splits = order_splits(chosen)
  voters = probe_voters(chosen, splits)
  return Votes(_vote(voters, results.list_treatments(chosen), splits, resamples))


def finished(theory_rows: Sequence[Row], epoch: int = 0) -> list[Row]:
  """The rows of one epoch on the train subset; epoch 0 is the finished target."""
  return [
    row
    for row in without_prediction(theory_rows)
    if (row['epoch'], row['subset']) == (epoch, 'train')
  ]


def attack_voter(
  rows: Sequence[Row],
  splits: tuple[str, ...],
  metric: str = METRIC,
  ratio: float = rules.RATIO,
  threshold: float = rules.THRESHOLD,
) -> Voter:
  """Votes by the reconstruction error of the strongest attack."""
  return Voter(
    'attack',
    lambda treatment: attack_profile(rows, treatment, metric, splits),
    lambda errors: rules.first_jump(errors, ratio, threshold),
  )


def probe_voters(theory_rows: Sequence[Row], splits: tuple[str, ...]) -> list[Voter]:
  """The probes: they vote by each of `RADII`, in order, and by the entropy bound."""

  def by_quantity(name: str) -> Voter:
    return Voter(
      name,
      lambda treatment: theory_profile(theory_rows, treatment, name, splits),
      rules.largest_drop,
    )

  entropy = Voter(
    'entropy',
    lambda treatment: entropy_profile(theory_rows, treatment, splits),
    rules.largest_fall,
  )
  return [*map(by_quantity, RADII), entropy]


def _vote(
  voters: Sequence[Voter],
  treatments: Sequence[Treatment],
  splits: tuple[str, ...],
  resamples: int,
) -> tuple[TreatmentVotes, ...]:
  if resamples < 1:
    raise InputError(f'resamples={resamples} is not allowed; give at least 1')
  found = []
  for treatment in treatments:
    profiles = [(voter, voter.profile(treatment)) for voter in voters]
    votes = [_judge(v, p, resamples) for v, p in profiles if p.is_votable]
    found.append(TreatmentVotes(treatment, splits, tuple(votes)))
  return tuple(found)


def _judge(voter: Voter, profile: Profile, resamples: int) -> Vote:
  splits = profile.splits
  shares = ()
  if profile.is_spread:
    starts = map(voter.rule, profile.draw(resamples).tolist())
    counts = Counter(start and splits[start.index] for start in starts)
    shares = tuple((split, n / resamples) for split, n in counts.most_common())
  start = voter.rule(profile.values.tolist())
  if start is None:
    return Vote(voter.name, None, math.nan, None, len(profile.seeds), shares)
  other = None if start.other is None else splits[start.other]
  return Vote(
    voter.name, splits[start.index], start.size, other, len(profile.seeds), shares
  )


def _read_off(
  votes: TreatmentVotes, errors: Profile, ladder: Ladder, metric: str
) -> TreatmentVotes:
  """The votes, the attack's with what its error is worth on the ladder."""
  cast = votes.by('attack')
  if cast is None or cast.split is None:
    return votes
  error = float(errors.mean()[votes.splits.index(cast.split)])
  noted = dataclasses.replace(cast, note=worth(error, ladder, metric))
  return dataclasses.replace(
    votes, votes=tuple(noted if v is cast else v for v in votes.votes)
  )
