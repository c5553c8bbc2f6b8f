"""How often the theory alone would have found the attack's zone."""

import dataclasses
import math
from collections.abc import Iterable, Iterator, Sequence

from gpz_jax import intervals, results
from gpz_jax.results import Row
from gpz_jax.types import Treatment
from gpz_jax.zone import rules
from gpz_jax.zone.golden_zone import METRIC, check_metric, drop_doubtful, golden_zone
from gpz_jax.zone.rows import check_together, order_splits, without_prediction
from gpz_jax.zone.voters import Voter, attack_voter, finished, probe_voters
from gpz_jax.zone.votes import WORDS


@dataclasses.dataclass(frozen=True)
class Agreement:
  """How often one probe named the attack's split, over treatments and seeds.

  Attributes:
    voter: The name of the probe, one of `voters.RADII` or 'entropy'.
    compared: Lanes (a treatment and a seed) in which both name a split.
    exact: The share of them in which it is the same one; NaN without any.
    near: The share of them in which the two are at most one split apart.
    chance_exact: The share that a guess among the splits after the first would get.
    chance_near: The share of such guesses that are at most one split apart.
    no_zone: Lanes in which both were measured and the attack finds no zone, whatever
      the probe says.
    no_drop: Further lanes in which the attack finds a zone and the probe nothing.
  """

  voter: str
  compared: int
  exact: float
  near: float
  chance_exact: float
  chance_near: float
  no_zone: int
  no_drop: int

  @property
  def is_measured(self) -> bool:
    """Whether there is a lane in which both have something to judge."""
    return self.compared + self.no_zone + self.no_drop > 0

  @property
  def interval(self) -> tuple[float, float]:
    """The 95% interval of `exact`, as if lanes were independent; NaN without any."""
    if not self.compared:
      return math.nan, math.nan
    return intervals.share_interval(round(self.exact * self.compared), self.compared)

  def sentence(self) -> str:
    """The finding in one sentence."""
    name = WORDS[self.voter].capitalize()
    if not self.compared:
      text = f'{name} and the attack never both name a split'
    else:
      text = (
        f"{name} names the attack's split in {self.exact:.0%} of {self.compared} lanes "
        f'(chance {self.chance_exact:.0%}), and one at most one split off in '
        f'{self.near:.0%} (chance {self.chance_near:.0%})'
      )
    if self.no_zone:
      text += f'; the attack finds no zone in {self.no_zone} more'
    if self.no_drop:
      text += f'; the probe finds none in {self.no_drop} where the attack does'
    return f'{text}.'


def agreement(
  rows: Sequence[Row],
  theory_rows: Sequence[Row],
  *,
  metric: str = METRIC,
  ratio: float = rules.RATIO,
  threshold: float = rules.THRESHOLD,
) -> tuple[Agreement, ...]:
  """How often each probe agreed with the attack, each lane voting for itself.

  Lanes of one target share its data and splits: a hundred of them are not a hundred
  independent trials. Lanes in which either has fewer than two splits (not measured,
  diverged) do not count, nor do those whose rows carry no conclusion.

  Args:
    rows: Rows of results of one sweep.
    theory_rows: Rows of the theory on the same targets.
    metric: The column with the error, as in `golden_zone`.
    ratio: The factor between neighbouring splits that a jump must exceed.
    threshold: The error that a split of the zone must exceed.

  Returns:
    One entry for each of `voters.probe_voters`, in their order.

  Raises:
    InputError: no rows, rows of several sweeps or of different targets, or an unknown
      metric.
  """
  check_together(rows, theory_rows)
  check_metric(rows, metric)
  zone = golden_zone(list(rows), metric=metric, ratio=ratio, threshold=threshold)
  rows = without_prediction(drop_doubtful(rows, zone))
  theory_rows = finished(theory_rows)
  splits = order_splits(rows, theory_rows)
  attack = attack_voter(rows, splits, metric, ratio, threshold)
  treatments = results.list_treatments(rows)
  return tuple(
    _compare(attack, probe, treatments, len(splits))
    for probe in probe_voters(theory_rows, splits)
  )


def agreement_by_model(
  sweeps: Iterable[tuple[Sequence[Row], Sequence[Row]]],
) -> dict[str, tuple[Agreement, ...]]:
  """How often each probe agreed with the attack over several sweeps, by model.

  Args:
    sweeps: (rows of results, rows of the theory) of each sweep; those without theory
      are left out.

  Returns:
    Model -> one entry for each probe, as of `agreement`, over the lanes of all sweeps
    of that model, in the order given.

  Raises:
    InputError: as of `agreement`.
  """
  found: dict[str, list[tuple[Agreement, ...]]] = {}
  for rows, theory_rows in sweeps:
    if theory_rows:
      found.setdefault(rows[0]['model'], []).append(agreement(rows, theory_rows))
  return {
    model: tuple(_merge(of_probe) for of_probe in zip(*records, strict=True))
    for model, records in found.items()
  }


def _merge(records: Sequence[Agreement]) -> Agreement:
  """The record of one probe over the lanes of several."""
  compared = sum(each.compared for each in records)

  def share(column: str) -> float:
    hits = sum(getattr(r, column) * r.compared for r in records if r.compared)
    return hits / compared if compared else math.nan

  return Agreement(
    voter=records[0].voter,
    compared=compared,
    exact=share('exact'),
    near=share('near'),
    chance_exact=share('chance_exact'),
    chance_near=share('chance_near'),
    no_zone=sum(each.no_zone for each in records),
    no_drop=sum(each.no_drop for each in records),
  )


def _compare(
  attack: Voter, probe: Voter, treatments: Sequence[Treatment], count: int
) -> Agreement:
  """The record of one probe, at `count` splits."""
  pairs: list[tuple[int, int]] = []  # (split of the attack, split of the probe)
  no_zone = no_drop = 0
  for truth, guess in _judge_lanes(attack, probe, treatments):
    if truth is None:
      no_zone += 1
    elif guess is None:
      no_drop += 1
    else:
      pairs.append((truth.index, guess.index))
  guesses = range(1, count)  # no rule can name the first split

  def share(hits: float) -> float:
    return hits / len(pairs) if pairs else math.nan

  def chance(within: int) -> float:
    hits = [sum(abs(truth - g) <= within for g in guesses) for truth, _ in pairs]
    return share(sum(hits) / len(guesses)) if pairs else math.nan

  return Agreement(
    voter=probe.name,
    compared=len(pairs),
    exact=share(sum(truth == guess for truth, guess in pairs)),
    near=share(sum(abs(truth - guess) <= 1 for truth, guess in pairs)),
    chance_exact=chance(0),
    chance_near=chance(1),
    no_zone=no_zone,
    no_drop=no_drop,
  )


def _judge_lanes(
  attack: Voter, probe: Voter, treatments: Sequence[Treatment]
) -> Iterator[tuple[rules.Start | None, rules.Start | None]]:
  """What attack and probe say of each lane that both have two splits of."""
  for treatment in treatments:
    errors, values = attack.profile(treatment), probe.profile(treatment)
    for seed in errors.seeds:
      lane = errors.of_seed(seed).tolist(), values.of_seed(seed).tolist()
      if all(sum(map(math.isfinite, numbers)) >= 2 for numbers in lane):
        yield attack.rule(lane[0]), probe.rule(lane[1])
