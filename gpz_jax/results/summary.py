"""Means over seeds, and the table a sweep ends with."""

import math
from collections.abc import Iterable, Sequence

from gpz_jax.results.schema import Row


def strongest(rows: Iterable[Row]) -> list[Row]:
  """For each lane and split the row of the attack that rebuilt it best.

  What a defender has to reckon with. Attacks scored on fewer test images than others
  count only where nothing else is there, and rows that diverged only after those.
  """
  best: dict[tuple[float, int, str], Row] = {}

  def rank(row: Row) -> tuple[bool, int, float]:
    is_usable = row['status'] == 'done' and math.isfinite(row['test_mse'])
    return not is_usable, -row['n_test'], row['test_mse'] if is_usable else math.inf

  for row in rows:
    key = (row['alpha'], row['seed'], row['split'])
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


def list_alphas(rows: Iterable[Row]) -> list[float]:
  """The alphas of `rows`, ascending."""
  return sorted({row['alpha'] for row in rows})


def seed_values(
  rows: Iterable[Row], column: str, *, alpha: float, split: str | None = None
) -> list[float]:
  """One value of `column` for each seed of a cell, ascending seed, finite ones only.

  Args:
    rows: rows of one sweep.
    column: a column with numbers.
    alpha: the cell's alpha.
    split: the cell's split, where diverged rows are left out; None takes any split's
      row, for values of the target.
  """
  values = {}
  for row in rows:
    if row['alpha'] != alpha or split not in (None, row['split']):
      continue
    if split is None or row['status'] == 'done':
      values[row['seed']] = row[column]
  return [values[seed] for seed in sorted(values) if math.isfinite(values[seed])]


def seed_mean(
  rows: Iterable[Row], column: str, *, alpha: float, split: str | None = None
) -> float:
  """The mean of `seed_values`; NaN where no seed has a finite value."""
  return mean(seed_values(rows, column, alpha=alpha, split=split))


def mean(values: Sequence[float]) -> float:
  """The mean; NaN of nothing."""
  return sum(values) / len(values) if values else math.nan


def format_table(rows: list[Row]) -> str:
  """The table a sweep ends with: splits down, alphas across, means over seeds.

  Where a split was attacked in several ways, the strongest attack counts; a second
  table then has a line for each attack.

  Args:
    rows: rows of one sweep, in any order, complete or not.

  Returns:
    Lines of plain text: cost of each split; MSE (per element), PSNR (dB) and SSIM on
    the test subset for each alpha; below, the target's test accuracy.
  """
  every, rows = rows, strongest(rows)
  splits, alphas = list_splits(rows), list_alphas(rows)
  cost = {row['split']: row for row in rows}
  header = ['split', 'activation', 'edge', 'payload']
  table = [
    header + [text for _ in alphas for text in ('MSE', 'PSNR', 'SSIM')],
    *(
      [split, *_format_cost(cost[split])]
      + [text for alpha in alphas for text in _format_scores(rows, split, alpha)]
      for split in splits
    ),
    ['test accuracy', '', '', '']
    + [
      text
      for alpha in alphas
      for text in (f'{seed_mean(rows, "target_accuracy", alpha=alpha):.3f}', '', '')
    ],
  ]
  lines = _align_alphas(table, alphas, len(header))
  attacks = list_attacks(every)
  if len(attacks) == 1:
    return '\n'.join(lines)
  table = [
    ['attack', 'split'] + [text for _ in alphas for text in ('MSE', 'PSNR', 'SSIM')]
  ]
  for attack in attacks:
    those = [row for row in every if row['attack'] == attack]
    table += [
      [attack, split]
      + [text for alpha in alphas for text in _format_scores(those, split, alpha)]
      for split in list_splits(those)
    ]
  return '\n'.join([*lines, '', *_align_alphas(table, alphas, 2)])


def align(table: list[list[str]]) -> list[str]:
  """Lines with columns of equal width."""
  widths = [max(map(len, column)) for column in zip(*table, strict=True)]
  return ['  '.join(map(str.ljust, line, widths)).rstrip() for line in table]


def _align_alphas(table: list[list[str]], alphas: list[float], lead: int) -> list[str]:
  """`align`, each alpha named over its three columns; those after the first `lead`."""
  widths = [max(map(len, column)) for column in zip(*table, strict=True)]
  left = sum(widths[:lead]) + 2 * lead
  spans = [sum(widths[i : i + 3]) + 6 for i in range(lead, len(widths), 3)]
  over = ''.join(
    f'alpha {alpha:g}'.ljust(span) for alpha, span in zip(alphas, spans, strict=True)
  )
  return [(' ' * left + over).rstrip(), *align(table)]


def format_bytes(count: float) -> str:
  """Bytes with a binary unit: 8192 -> '8 KiB'."""
  for unit in ('B', 'KiB', 'MiB'):
    if count < 1024:
      return f'{count:.{3 if count < 1000 else 4}g} {unit}'
    count /= 1024
  return f'{count:.3g} GiB'


def _format_cost(row: Row) -> list[str]:
  share, payload = row['edge_params_share'], row['payload_bytes']
  return [row['activation_shape'], f'{share:.1%}', format_bytes(payload)]


def _format_scores(rows: list[Row], split: str, alpha: float) -> list[str]:
  formats = {'test_mse': '.5f', 'test_psnr': '.2f', 'test_ssim': '.3f'}
  means = {name: seed_mean(rows, name, alpha=alpha, split=split) for name in formats}
  return [
    '-' if math.isnan(mean) else format(mean, formats[name])
    for name, mean in means.items()
  ]
