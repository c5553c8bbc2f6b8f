"""Our numbers beside published ones, and the published claims put to the test."""

import csv
import dataclasses
import math
import os
import pathlib
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from gpz_jax import intervals, results
from gpz_jax.results import Row
from gpz_jax.types import Treatment
from gpz_jax.zone.doubts import GUESSING
from gpz_jax.zone.rows import plain

# How far a claim holds by, in units of what is greater where it holds.
MARGINS = {'<': -1, '>': 1}


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

  def values(self, cell: Cell) -> dict[int, float]:
    """The cell for each seed that has it, ascending; {} where there is none."""
    those = self._rows(cell)
    found = {}
    for seed in sorted({row['seed'] for row in those}):
      found[seed] = results.seed_mean(
        [row for row in those if row['seed'] == seed],
        cell.column,
        treatment=Treatment(cell.alpha),
        split=self._split(cell),
      )
    return {seed: value for seed, value in found.items() if math.isfinite(value)}

  def doubts(self, cell: Cell) -> tuple[str, ...]:
    """What is doubtful of the cell in any seed, as the column `doubt` has it."""
    found = [
      doubt
      for row in self._rows(cell)
      if row['split'] == self._split(cell)
      and Treatment.of(row) == Treatment(cell.alpha)
      for doubt in filter(None, row['doubt'].split('; '))
    ]
    return tuple(dict.fromkeys(found))

  def _split(self, cell: Cell) -> str:
    return self.splits.get(cell.split, cell.split)

  def _rows(self, cell: Cell) -> list[Row]:
    """The rows of the run that were attacked as the cell says."""
    rows = self.rows.get(cell.run, [])
    return [row for row in rows if plain(row['attack']) == cell.attack]


@dataclasses.dataclass(frozen=True)
class Number:
  """A published number and ours."""

  row: str
  cell: Cell
  published: float
  tolerance: float | None  # relative; None where the two are not measured alike
  values: list[float]  # ours, one a seed
  doubts: tuple[str, ...] = ()  # what is doubtful of ours

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
  """A published statement about two numbers, and what they are here.

  Attributes:
    text: The statement.
    left: The first number, seed -> value; a plain number is one for all seeds.
    relation: One of `MARGINS`.
    factor: What the second number is multiplied by.
    right: The second number, likewise.
    doubts: What is doubtful of our numbers, in words of `zone.doubts`.
  """

  text: str
  left: Mapping[int, float] | float
  relation: str
  factor: float
  right: Mapping[int, float] | float
  doubts: tuple[str, ...] = ()

  @property
  def margins(self) -> list[float]:
    """How far it holds by in each seed that has both numbers; negative: it does not."""
    given = [side for side in (self.left, self.right) if isinstance(side, Mapping)]
    seeds = sorted(set.intersection(*map(set, given))) if given else []
    sign = MARGINS[self.relation]
    return [
      sign * (_of_seed(self.left, seed) - self.factor * _of_seed(self.right, seed))
      for seed in seeds
    ]

  @property
  def verdict(self) -> str:
    """Whether it holds here, by the interval of the margins (`intervals.decide`).

    A target that guesses decides nothing. Any other doubt is named behind the verdict.
    """
    if GUESSING in self.doubts:
      return f'{intervals.OPEN}: {GUESSING}'
    also = f' ({", ".join(self.doubts)})' if self.doubts else ''
    return f'{self._decide()}{also}'

  def _decide(self) -> str:
    is_run = not any(math.isnan(_mean(side)) for side in (self.left, self.right))
    if is_run and not self.margins:
      return f'{intervals.OPEN}: no seed has both'
    return intervals.decide(self.margins)

  @property
  def here(self) -> str:
    """The two numbers, means over seeds; a dash where one of them is missing."""
    left, right = _mean(self.left), _mean(self.right)
    if math.isnan(left) or math.isnan(right):
      return '-'
    times = '' if self.factor == 1 else f'{self.factor:g} x '
    return f'{left:.4g} {self.relation} {times}{right:.4g}'


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
      values = [*runs.values(cell).values()]
      published, doubts = float(line['value']), runs.doubts(cell)
      numbers.append(Number(line['row'], cell, published, tolerance, values, doubts))
  return numbers


def read_claims(path: str | os.PathLike[str], artefact: str, runs: Runs) -> list[Claim]:
  """The published claims about a table or figure with our numbers."""

  def read(cell: Cell | float) -> Mapping[int, float] | float:
    return runs.values(cell) if isinstance(cell, Cell) else cell

  claims = []
  for line in _read(path):
    if line['artefact'] == artefact:
      sides = Cell.parse(line['left']), Cell.parse(line['right'])
      cells = [side for side in sides if isinstance(side, Cell)]
      doubts = dict.fromkeys(doubt for cell in cells for doubt in runs.doubts(cell))
      left, right = map(read, sides)
      relation, factor = line['relation'], float(line['factor'])
      claims.append(Claim(line['claim'], left, relation, factor, right, tuple(doubts)))
  return claims


def rank_correlations(numbers: Iterable[Number]) -> dict[str, float]:
  """Spearman's coefficients of our means and the published numbers.

  One for each column of each run and split, where there are three numbers at least:
  'column at split' -> coefficient.
  """
  from scipy import stats  # late, since it is slow to import

  groups: dict[tuple[str, str, str], list[tuple[float, float]]] = {}
  for number in numbers:
    if number.values:
      key = (number.cell.run, number.cell.split, number.cell.column)
      groups.setdefault(key, []).append((number.published, number.mean))
  found = {}
  for (_, split, column), pairs in groups.items():
    if len(pairs) >= 3:
      published, ours = np.array(pairs).T
      order = stats.spearmanr(published, ours)
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
      table.append(
        [
          number.row,
          number.cell.column,
          f'{number.published:.5g}',
          _with_interval(number.values) + ('?' if number.doubts else ''),
          str(len(number.values)),
          '-' if math.isnan(number.mean) else f'{number.difference:+.1%}',
          number.verdict,
        ]
      )
    lines += results.align(table if has_verdicts else [line[:-1] for line in table])
    if doubts := dict.fromkeys(doubt for each in numbers for doubt in each.doubts):
      lines.append(f'? doubtful: {", ".join(doubts)}')
    for name, order in rank_correlations(numbers).items():
      lines.append(f'order of {name}: Spearman {order:+.2f}')
    lines.append('')
  table = [['claim', 'verdict', 'here', 'margin']]
  for claim in claims:
    margin = _with_interval(claim.margins, '+.3g')
    table.append([claim.text, claim.verdict, claim.here, margin])
  return '\n'.join([*lines, *results.align(table)])


def _of_seed(side: Mapping[int, float] | float, seed: int) -> float:
  """A side of a claim in one seed."""
  return side[seed] if isinstance(side, Mapping) else side


def _mean(side: Mapping[int, float] | float) -> float:
  """A side of a claim, the mean over seeds; NaN where there is none."""
  return results.mean([*side.values()]) if isinstance(side, Mapping) else side


def _with_interval(values: Sequence[float], form: str = '.5g') -> str:
  """The mean of values with its 95% interval, where there are two; '-' of nothing."""
  if not values:
    return '-'
  text = format(results.mean(values), form)
  if len(values) < 2:
    return text
  low, high = (format(end, form) for end in intervals.mean_interval(values))
  return f'{text} ({low} to {high})'


def _read(path: str | os.PathLike[str]) -> list[dict[str, str]]:
  with pathlib.Path(path).open(newline='', encoding='utf-8') as file:
    return list(csv.DictReader(file))
