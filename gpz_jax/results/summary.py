"""Rows by treatment, split and attack: what there is, the strongest, and means."""

import math
from collections.abc import Iterable, Sequence

from gpz_jax.results.grouping import of_cell, of_treatment
from gpz_jax.results.schema import Row
from gpz_jax.types import Treatment


def strongest(rows: Iterable[Row], column: str = 'test_mse') -> list[Row]:
  """For each lane and split the row of the attack that rebuilt it best.

  What a defender has to reckon with. An attack scored on fewer test images than others
  counts only where nothing else is there. A row that diverged, or has no finite score,
  counts only where no attack has one.

  Args:
    rows: Rows of one sweep.
    column: The score by which attacks are compared. Of an error the lowest is best, and
      of `test_ssim` and of the shares that judges recognise the highest.
  """
  best: dict[tuple[Treatment, int, str], Row] = {}
  sign = 1 if 'mse' in column else -1

  def rank(row: Row) -> tuple[bool, int, float]:
    is_usable = row['status'] == 'done' and math.isfinite(row[column])
    return not is_usable, -row['n_test'], sign * row[column] if is_usable else math.inf

  for row in rows:
    key = (Treatment.of(row), row['seed'], row['split'])
    if key not in best or rank(row) < rank(best[key]):
      best[key] = row
  return list(best.values())


def list_attacks(rows: Iterable[Row]) -> list[str]:
  """The attacks of `rows`, in the order of their first row."""
  return list(dict.fromkeys(row['attack'] for row in rows))


def list_splits(rows: Iterable[Row]) -> list[str]:
  """The splits of `rows` in forward order."""
  pairs = {(row['split_index'], row['split']) for row in rows}
  return [split for _, split in sorted(pairs)]


def list_treatments(rows: Iterable[Row]) -> list[Treatment]:
  """The treatments of `rows`, ascending."""
  return sorted({Treatment.of(row) for row in rows})


def nearest_untreated(treatments: Iterable[Treatment]) -> Treatment:
  """The treatment that changes a target least: the others are compared with it.

  Its alpha is nearest to 0. Of those, one whose other fields are all defaults comes
  first. Of equals, the first one given is taken.
  """

  def distance(treatment: Treatment) -> tuple[float, bool]:
    alpha = treatment.alpha
    return abs(alpha), treatment != type(treatment)(alpha=alpha)

  return min(treatments, key=distance)


def most_smoothed(treatments: Iterable[Treatment]) -> Treatment:
  """The treatment with the largest alpha; of those, the one that changes least else."""
  treatments = list(treatments)
  alpha = max(treatment.alpha for treatment in treatments)
  return nearest_untreated(t for t in treatments if t.alpha == alpha)


def without_diverged(theory_rows: Iterable[Row], rows: Iterable[Row]) -> list[Row]:
  """The rows of the theory, but those of targets that diverged.

  Rows of the theory have no status. A target that diverged is known by its rows of
  attacks, all of which say so.

  Args:
    theory_rows: Rows of the theory.
    rows: Rows of attacks on the same targets.
  """
  found: dict[str, set[str]] = {}
  for row in rows:
    found.setdefault(row['lane_id'], set()).add(row['status'])
  return [row for row in theory_rows if found.get(row['lane_id']) != {'diverged'}]


def of_targets(
  rows: Iterable[Row], column: str, *, treatment: Treatment, split: str | None = None
) -> dict[int, float]:
  """One value of a target's own column for each seed, whatever became of the attacks.

  A seed without any finished row is left out, because its target may have diverged,
  unless no seed has one. Where decoders of a seed diverged at a split, its target is as
  accurate as ever.

  Args:
    rows: Rows of one sweep.
    column: A column with numbers that say something of the target, as its accuracy.
    treatment: The treatment of the targets.
    split: Where they are cut, which matters where a defence or few bits change what is
      sent. None takes the largest value of any split.

  Returns:
    Seed -> value, ascending, finite ones only. A seed without a row at the split counts
    with its value elsewhere, where no split of the treatment differs.
  """
  those = of_treatment(rows, treatment)
  finished = {row['seed'] for row in those if row['status'] == 'done'}
  known: dict[int, dict[str, float]] = {}
  for row in those:
    is_counted = row['seed'] in finished or not finished
    if is_counted and math.isfinite(row[column]):
      known.setdefault(row['seed'], {})[row['split']] = row[column]
  if split is None:
    return {seed: max(known[seed].values()) for seed in sorted(known)}
  is_same = all(len(set(each.values())) == 1 for each in known.values())
  return {
    seed: known[seed].get(split, max(known[seed].values()))
    for seed in sorted(known)
    if is_same or split in known[seed]
  }


def seed_values(
  rows: Iterable[Row], column: str, *, treatment: Treatment, split: str | None = None
) -> list[float]:
  """One value of `column` for each seed of a cell, ascending seed, finite ones only.

  Args:
    rows: Rows of one sweep.
    column: A column with numbers.
    treatment: The treatment of the cell.
    split: The split of the cell, where diverged rows are left out. None is for values
      of the target, see `of_targets`.
  """
  if split is None:
    return [*of_targets(rows, column, treatment=treatment).values()]
  values = {
    row['seed']: row[column]
    for row in of_cell(rows, treatment, split)
    if row['status'] == 'done'
  }
  return [values[seed] for seed in sorted(values) if math.isfinite(values[seed])]


def seed_mean(
  rows: Iterable[Row], column: str, *, treatment: Treatment, split: str | None = None
) -> float:
  """The mean of `seed_values`; NaN where no seed has a finite value."""
  return mean(seed_values(rows, column, treatment=treatment, split=split))


def split_range(
  rows: Sequence[Row], column: str, *, treatment: Treatment
) -> tuple[float, float]:
  """The lowest and the highest mean of `of_targets` at any split.

  The two differ for the accuracy of a target whose defence changes what is sent.

  Returns:
    Two equal numbers where nothing differs; NaN where no target has a value.
  """
  means = [
    mean([*of_targets(rows, column, treatment=treatment, split=split).values()])
    for split in list_splits(rows)
  ]
  known = [value for value in means if math.isfinite(value)] or [math.nan]
  return min(known), max(known)


def mean(values: Sequence[float]) -> float:
  """The mean; NaN of nothing."""
  return sum(values) / len(values) if values else math.nan
