"""What every rule asks of the rows it is given."""

from collections.abc import Iterable, Sequence

from gpz_jax import results
from gpz_jax.results import Row
from gpz_jax.types import PREDICTION, InputError, Treatment


def check_sweep(rows: Sequence[Row]) -> None:
  """Refuses rows of results that are none, or of several sweeps.

  Raises:
    InputError: naming the column that has several values.
  """
  if not rows:
    raise InputError('no rows of results: run the sweep first')
  _check_one(rows, ('model', 'dataset', 'aux_dataset'))


def check_theory(rows: Sequence[Row]) -> None:
  """Refuses rows of the theory that are none, or of several sweeps.

  Raises:
    InputError: naming the column that has several values.
  """
  if not rows:
    raise InputError('no rows of the theory: measure it first')
  _check_one(rows, ('model', 'dataset'))


def check_together(rows: Sequence[Row], theory_rows: Sequence[Row]) -> None:
  """Refuses results and theory of different targets.

  Raises:
    InputError: as above, or naming the column in which the two differ.
  """
  check_sweep(rows)
  check_theory(theory_rows)
  _check_one([rows[0], theory_rows[0]], ('model', 'dataset'))


def without_prediction(rows: Iterable[Row]) -> list[Row]:
  """The rows of places to cut: behind the prediction nothing is left for the cloud."""
  return [row for row in rows if row['split'] != PREDICTION]


def plain(attack: str) -> str:
  """An attack without its `at`."""
  return ':'.join(part for part in attack.split(':') if not part.startswith('at='))


def cell_scores(rows: Sequence[Row]) -> tuple[float, float]:
  """The MSE and the SSIM of one treatment at one split, as means over seeds.

  Args:
    rows: Rows of all attacks there, at least one.

  Returns:
    The score of the attack that is strongest by it; NaN where no seed has one.
  """
  cell = {'treatment': Treatment.of(rows[0]), 'split': rows[0]['split']}
  error, likeness = (
    results.seed_mean(results.strongest(rows, column), column, **cell)
    for column in ('test_mse', 'test_ssim')
  )
  return error, likeness


def order_splits(*groups: Iterable[Row]) -> tuple[str, ...]:
  """The splits of all rows in forward order.

  Raises:
    InputError: rows disagree on where a split is.
  """
  index: dict[str, int] = {}
  for row in (row for rows in groups for row in rows):
    split, place = row['split'], row['split_index']
    if index.setdefault(split, place) != place:
      raise InputError(
        f'split {split!r} is number {index[split]} in some rows and {place} in others; '
        f'measure both with the same --splits'
      )
  return tuple(sorted(index, key=lambda split: (index[split], split)))


def _check_one(rows: Sequence[Row], columns: Iterable[str]) -> None:
  for column in columns:
    values = sorted({str(row[column]) for row in rows})
    if len(values) > 1:
      raise InputError(
        f'rows hold several values of {column} ({", ".join(values)}); pass those of one'
      )
