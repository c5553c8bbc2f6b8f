"""Our numbers beside published ones, and the published claims put to the test."""

import csv
import dataclasses
import math
import operator
import os
import pathlib
from collections.abc import Iterable, Sequence

import numpy as np
import scipy.stats

from gpz_jax import results
from gpz_jax.results import Row

RELATIONS = {'<': operator.lt, '>': operator.gt}


@dataclasses.dataclass(frozen=True)
class Cell:
  """One number of a table: which run, target, split, attack (without `at`), column."""

  run: str
  alpha: float
  split: str
  attack: str
  column: str

  @classmethod
  def parse(cls, text: str) -> 'Cell | float':
    """'run|alpha|split|attack|column', or a plain number."""
    if '|' not in text:
      return float(text)
    run, alpha, split, attack, column = text.split('|')
    return cls(run, float(alpha), split, attack, column)


class Runs:
  """The rows of finished runs, by the name of their flagfile."""

  def __init__(self, rows: dict[str, list[Row]], splits: dict[str, str]):
    """Takes rows by run, and which split stands for a published one."""
    self.rows, self.splits = rows, splits

  def values(self, cell: Cell) -> list[float]:
    """The cell for each seed; [] where there is none."""
    split = self.splits.get(cell.split, cell.split)
    rows = [
      row for row in self.rows.get(cell.run, []) if _plain(row['attack']) == cell.attack
    ]
    return results.seed_values(rows, cell.column, alpha=cell.alpha, split=split)

  def mean(self, cell: Cell | float) -> float:
    """The mean over seeds; NaN where there is none; a number is itself."""
    if not isinstance(cell, Cell):
      return cell
    values = self.values(cell)
    return sum(values) / len(values) if values else math.nan


@dataclasses.dataclass(frozen=True)
class Number:
  """A published number and ours."""

  row: str
  column: str
  published: float
  tolerance: float  # relative
  values: list[float]  # ours, one a seed

  @property
  def mean(self) -> float:
    """Over seeds; NaN without any."""
    return sum(self.values) / len(self.values) if self.values else math.nan

  @property
  def difference(self) -> float:
    """Ours over the published, less one."""
    return self.mean / self.published - 1

  @property
  def is_within(self) -> bool:
    """Whether ours is within the tolerance."""
    return abs(self.difference) <= self.tolerance


@dataclasses.dataclass(frozen=True)
class Claim:
  """A published statement about two numbers, and what they are here."""

  text: str
  left: float
  relation: str
  factor: float
  right: float

  @property
  def holds(self) -> bool | None:
    """Whether it holds here; None where a number is missing."""
    if math.isnan(self.left) or math.isnan(self.right):
      return None
    return RELATIONS[self.relation](self.left, self.factor * self.right)


def read_numbers(
  path: str | os.PathLike[str], artefact: str, runs: Runs
) -> list[Number]:
  """The published numbers of a table or figure with ours, in the order of the file."""
  return [
    Number(
      line['row'],
      line['column'],
      float(line['value']),
      float(line['tolerance']),
      runs.values(
        Cell(
          line['run'],
          float(line['alpha']),
          line['split'],
          line['attack'],
          line['column'],
        )
      ),
    )
    for line in _read(path)
    if line['artefact'] == artefact
  ]


def read_claims(path: str | os.PathLike[str], artefact: str, runs: Runs) -> list[Claim]:
  """The published claims about a table or figure with our numbers."""
  return [
    Claim(
      line['claim'],
      runs.mean(Cell.parse(line['left'])),
      line['relation'],
      float(line['factor']),
      runs.mean(Cell.parse(line['right'])),
    )
    for line in _read(path)
    if line['artefact'] == artefact
  ]


def rank_correlation(numbers: Iterable[Number], column: str) -> float:
  """Spearman's coefficient of our means and the published numbers of one column.

  NaN for fewer than three numbers.
  """
  pairs = [
    (number.published, number.mean)
    for number in numbers
    if number.column == column and not math.isnan(number.mean)
  ]
  if len(pairs) < 3:
    return math.nan
  published, ours = np.array(pairs).T
  return float(scipy.stats.spearmanr(published, ours).statistic)  # pyright: ignore[reportAttributeAccessIssue] its stubs lack it


def format_comparison(numbers: Sequence[Number], claims: Sequence[Claim]) -> str:
  """Tables of plain text: numbers, their order, and claims."""
  lines = []
  if numbers:
    table = [['row', 'column', 'paper', 'ours', 'seeds', 'difference', 'tolerance']]
    for number in numbers:
      low, high = min(number.values, default=0), max(number.values, default=0)
      ours = '-' if math.isnan(number.mean) else f'{number.mean:.5g}'
      ours += f' ({low:.5g} to {high:.5g})' if len(number.values) > 1 else ''
      verdict = 'within' if number.is_within else 'outside'
      table.append(
        [
          number.row,
          number.column,
          f'{number.published:.5g}',
          ours,
          str(len(number.values)),
          '-' if math.isnan(number.mean) else f'{number.difference:+.1%}',
          f'{verdict} {number.tolerance:.0%}',
        ]
      )
    lines += _align(table)
    for column in dict.fromkeys(number.column for number in numbers):
      order = rank_correlation(numbers, column)
      if not math.isnan(order):
        lines.append(f'order of {column}: Spearman {order:+.2f}')
    lines.append('')
  table = [['claim', 'holds', 'here']]
  for claim in claims:
    holds = {True: 'yes', False: 'no', None: 'not run'}[claim.holds]
    times = '' if claim.factor == 1 else f'{claim.factor:g} x '
    here = f'{claim.left:.4g} {claim.relation} {times}{claim.right:.4g}'
    table.append([claim.text, holds, '-' if claim.holds is None else here])
  return '\n'.join([*lines, *_align(table)])


def _plain(attack: str) -> str:
  """An attack without its `at`."""
  return ':'.join(part for part in attack.split(':') if not part.startswith('at='))


def _align(table: list[list[str]]) -> list[str]:
  widths = [max(map(len, column)) for column in zip(*table, strict=True)]
  return ['  '.join(map(str.ljust, line, widths)).rstrip() for line in table]


def _read(path: str | os.PathLike[str]) -> list[dict[str, str]]:
  with pathlib.Path(path).open(newline='', encoding='utf-8') as file:
    return list(csv.DictReader(file))
