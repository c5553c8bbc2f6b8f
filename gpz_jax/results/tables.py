"""The table a sweep ends with."""

from collections.abc import Sequence

from gpz_jax import intervals
from gpz_jax.estimates import Estimate
from gpz_jax.results.formats import align, format_bytes, format_fixed, format_share
from gpz_jax.results.schema import Row
from gpz_jax.results.summary import (
  list_attacks,
  list_splits,
  list_treatments,
  mean,
  seed_mean,
  seed_values,
  split_range,
  strongest,
)
from gpz_jax.types import Treatment

# Of each cell: the heading, the column it is from, and its decimals.
_SCORES = (('MSE', 'test_mse', 5), ('PSNR', 'test_psnr', 2), ('SSIM', 'test_ssim', 3))
_ACCURACY = ('target_accuracy', None, 3)  # its column, the split and its decimals
_HEADINGS = [heading for heading, _, _ in _SCORES]


def format_table(rows: list[Row]) -> str:
  """The table a sweep ends with: splits down, treatments across, means over seeds.

  Where there are several seeds, a second table has the 95% intervals of the errors and
  of the accuracies. Where a split was attacked in several ways, the strongest attack
  counts. A last table then has a line for each attack.

  Args:
    rows: Rows of one sweep, in any order, complete or not.

  Returns:
    Lines of plain text: the cost of each split; MSE (per element), PSNR (dB) and SSIM
    on the test subset for each treatment; below, the test accuracy of the target.
  """
  best = strongest(rows)
  treatments, attacks = list_treatments(best), list_attacks(rows)
  lines = _tabulate_splits(best, treatments)
  lines += _list_doubts(best)
  lines += _tabulate_intervals(best, treatments)
  if len(attacks) > 1:
    lines += ['', *_tabulate_attacks(rows, attacks, treatments)]
  return '\n'.join(lines)


def _tabulate_splits(rows: list[Row], treatments: list[Treatment]) -> list[str]:
  """A line for each split with its cost, and one for the accuracy of the targets."""
  header = ['split', 'activation', 'edge', 'payload']
  table = [header + _HEADINGS * len(treatments)]
  cost = {row['split']: row for row in rows}
  for split in list_splits(rows):
    scores = _format_scores(rows, split, treatments)
    table.append([split, *_format_cost(cost[split]), *scores])
  footer = ['test accuracy', '', '', '']
  for treatment in treatments:
    accuracy = split_range(rows, 'target_accuracy', treatment=treatment)
    footer += [' to '.join(dict.fromkeys(f'{value:.3f}' for value in accuracy)), '', '']
  return _align_treatments([*table, footer], treatments, len(header))


def _list_doubts(rows: list[Row]) -> list[str]:
  """A line for each kind of doubt, with the cells that it is about."""
  cells: dict[str, dict[tuple[Treatment, str], None]] = {}
  for row in rows:
    for doubt in filter(None, row['doubt'].split('; ')):
      cells.setdefault(doubt, {})[Treatment.of(row), row['split']] = None
  lines = []
  for doubt, found in cells.items():
    places = []
    for treatment in dict.fromkeys(treatment for treatment, _ in found):
      its = [split for each, split in found if each == treatment]
      every = {row['split'] for row in rows if Treatment.of(row) == treatment}
      those = ['every split'] if len(its) == len(every) > 1 else its
      places += [f'{split} with {treatment}' for split in those]
    lines.append(f'doubtful, {doubt}: {", ".join(places)}')
  return lines


def _tabulate_intervals(rows: list[Row], treatments: list[Treatment]) -> list[str]:
  """A line for each split and one for the accuracy; nothing where one seed is all."""
  count = len({row['seed'] for row in rows})
  if count < 2:
    return []
  table = [[f'MSE over {count} seeds, 95%', *map(str, treatments)]]
  cells = [(split, 'test_mse', split, 5) for split in list_splits(rows)]
  for name, column, split, digits in [*cells, ('test accuracy', *_ACCURACY)]:
    found = [
      seed_values(rows, column, treatment=treatment, split=split)
      for treatment in treatments
    ]
    table.append([name, *(_format_interval(values, digits) for values in found)])
  return ['', *align(table)]


def _format_interval(values: Sequence[float], digits: int) -> str:
  """The mean with its interval, where there are values of two seeds at least.

  Errors and accuracies lie in [0, 1], and an interval of Student's need not.
  """
  found = Estimate(mean(values))
  if len(values) > 1:
    found = Estimate(found.mean, *intervals.mean_interval(values)).clipped()
  return found.format(lambda value: format_fixed(value, digits))


def _tabulate_attacks(
  rows: list[Row], attacks: list[str], treatments: list[Treatment]
) -> list[str]:
  """A line for each attack and split."""
  table = [['attack', 'split', *_HEADINGS * len(treatments)]]
  for attack in attacks:
    those = [row for row in rows if row['attack'] == attack]
    table += [
      [attack, split, *_format_scores(those, split, treatments)]
      for split in list_splits(those)
    ]
  return _align_treatments(table, treatments, 2)


def _align_treatments(
  table: list[list[str]], treatments: Sequence[Treatment], lead: int
) -> list[str]:
  """`align`, with each treatment named over its columns, behind the first `lead`."""
  size = len(_SCORES)
  widths = [max(map(len, column)) for column in zip(*table, strict=True)]
  left = sum(widths[:lead]) + 2 * lead
  starts = range(lead, len(widths), size)
  spans = [sum(widths[i : i + size]) + 2 * size for i in starts]
  # A name that is wider than its columns still stands apart from the next one.
  over = ''.join(
    f'{treatment!s:<{span - 2}}  '
    for treatment, span in zip(treatments, spans, strict=True)
  )
  return [(' ' * left + over).rstrip(), *align(table)]


def _format_cost(row: Row) -> list[str]:
  share, payload = row['edge_params_share'], row['payload_bytes']
  return [row['activation_shape'], format_share(share), format_bytes(payload)]


def _format_scores(
  rows: list[Row], split: str, treatments: Sequence[Treatment]
) -> list[str]:
  return [
    format_fixed(seed_mean(rows, name, treatment=treatment, split=split), digits)
    for treatment in treatments
    for _, name, digits in _SCORES
  ]
