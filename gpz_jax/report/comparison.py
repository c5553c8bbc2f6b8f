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
from gpz_jax.types import Treatment

RELATIONS = {'<': operator.lt, '>': operator.gt}


@dataclasses.dataclass(frozen=True)
class Cell:
  """One number of a table: which run, target, split, attack (without `at`), column.

  Published targets differ in alpha only, so a cell names no other part of a treatment.
  """

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
      row for row in self.rows.get(cell.run, []) if plain(row['attack']) == cell.attack
    ]
    return results.seed_values(
      rows, cell.column, treatment=Treatment(cell.alpha), split=split
    )

  def mean(self, cell: Cell | float) -> float:
    """The mean over seeds; NaN where there is none; a number is itself."""
    if not isinstance(cell, Cell):
      return cell
    return results.mean(self.values(cell))


@dataclasses.dataclass(frozen=True)
class Number:
  """A published number and ours."""

  row: str
  cell: Cell
  published: float
  tolerance: float | None  # relative; None where the two are not measured alike
  values: list[float]  # ours, one a seed

  @property
  def mean(self) -> float:
    """The mean over seeds; NaN without any."""
    return results.mean(self.values)

  @property
  def difference(self) -> float:
    """Our number over the published one, less one."""
    return self.mean / self.published - 1

  @property
  def verdict(self) -> str:
    """Whether ours is within the tolerance."""
    if not self.values:
      return 'not run'
    if self.tolerance is None:
      return 'measured otherwise'
    is_within = abs(self.difference) <= self.tolerance
    return f'{"within" if is_within else "outside"} {self.tolerance:.0%}'


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
  numbers = []
  for line in _read(path):
    if line['artefact'] == artefact:
      cell = Cell(
        line['run'], float(line['alpha']), line['split'], line['attack'], line['column']
      )
      tolerance = float(line['tolerance']) if line['tolerance'] else None
      numbers.append(
        Number(line['row'], cell, float(line['value']), tolerance, runs.values(cell))
      )
  return numbers


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


def rank_correlations(numbers: Iterable[Number]) -> dict[str, float]:
  """Spearman's coefficients of our means and the published numbers.

  One for each column of each run and split, where there are three numbers at least:
  'column at split' -> coefficient.
  """
  groups: dict[tuple[str, str, str], list[tuple[float, float]]] = {}
  for number in numbers:
    if number.values:
      key = (number.cell.run, number.cell.split, number.cell.column)
      groups.setdefault(key, []).append((number.published, number.mean))
  found = {}
  for (_, split, column), pairs in groups.items():
    if len(pairs) >= 3:
      published, ours = np.array(pairs).T
      order = scipy.stats.spearmanr(published, ours)
      found[f'{column} at {split}'] = float(order.statistic)  # pyright: ignore[reportAttributeAccessIssue] its stubs lack it
  return found


def format_comparison(
  numbers: Sequence[Number], claims: Sequence[Claim], *, has_verdicts: bool = True
) -> str:
  """Tables of plain text: numbers, their order, and claims.

  Args:
    numbers: Published numbers and ours.
    claims: Published claims, put to the test.
    has_verdicts: Whether to say which numbers are within their tolerance. A small
      stand-in of the published experiment is not held to that.
  """
  lines = []
  if numbers:
    table = [['row', 'column', 'paper', 'ours', 'seeds', 'difference', 'tolerance']]
    for number in numbers:
      low, high = min(number.values, default=0), max(number.values, default=0)
      ours = '-' if math.isnan(number.mean) else f'{number.mean:.5g}'
      ours += f' ({low:.5g} to {high:.5g})' if len(number.values) > 1 else ''
      table.append(
        [
          number.row,
          number.cell.column,
          f'{number.published:.5g}',
          ours,
          str(len(number.values)),
          '-' if math.isnan(number.mean) else f'{number.difference:+.1%}',
          number.verdict,
        ]
      )
    lines += results.align(table if has_verdicts else [line[:-1] for line in table])
    for name, order in rank_correlations(numbers).items():
      lines.append(f'order of {name}: Spearman {order:+.2f}')
    lines.append('')
  table = [['claim', 'holds', 'here']]
  for claim in claims:
    holds = {True: 'yes', False: 'no', None: 'not run'}[claim.holds]
    times = '' if claim.factor == 1 else f'{claim.factor:g} x '
    here = f'{claim.left:.4g} {claim.relation} {times}{claim.right:.4g}'
    table.append([claim.text, holds, '-' if claim.holds is None else here])
  return '\n'.join([*lines, *results.align(table)])


def plain(attack: str) -> str:
  """An attack without its `at`."""
  return ':'.join(part for part in attack.split(':') if not part.startswith('at='))


def _read(path: str | os.PathLike[str]) -> list[dict[str, str]]:
  with pathlib.Path(path).open(newline='', encoding='utf-8') as file:
    return list(csv.DictReader(file))
