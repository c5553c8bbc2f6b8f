"""Attacks that finished at some cuts and not at others.

An attack may have been run at a few splits only (`at=`), diverge at some, or not have
been run there yet. What is said of a cut then rests on weaker attacks than what is said
of its neighbour, and may be no more than the difference between two attacks.

Source: docs/paper.md#doubts; the rules are ours.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence

from gpz_jax import results
from gpz_jax.results import Row
from gpz_jax.results.formats import join_words
from gpz_jax.types import Treatment
from gpz_jax.zone import fewer_images
from gpz_jax.zone.doubts import Doubt
from gpz_jax.zone.rows import cell_scores, plain

# Whether scores of an attack, its MSE and its SSIM, contradict what is said of a cut.
Contradicts = Callable[[float, float], bool]


def list_shared(
  rows: Sequence[Row], treatment: Treatment, ends: tuple[str, str]
) -> list[Row]:
  """The rows at two splits of the attacks that finished at both, seed by seed.

  Args:
    rows: Rows of all attacks.
    treatment: The treatment of the targets.
    ends: The two splits.
  """
  cells = [_finished(results.of_cell(rows, treatment, split)) for split in ends]
  first, second = ({_key(row) for row in cell} for cell in cells)
  return [row for cell in cells for row in cell if _key(row) in first & second]


def name_lost(
  rows: Sequence[Row],
  shared: Sequence[Row],
  treatment: Treatment,
  ends: tuple[str, str],
) -> tuple[Doubt, ...]:
  """The strongest attack at one of two splits that did not finish at the other.

  Args:
    rows: Rows of all attacks.
    shared: Those of them that `list_shared` finds.
    treatment: The treatment of the targets.
    ends: The two splits, first the one whose attack is to be named if it was lost.
  """
  keys = {_key(row) for row in shared}
  for here, there in (ends, ends[::-1]):
    lost = [
      row
      for row in results.strongest(_finished(results.of_cell(rows, treatment, here)))
      if _key(row) not in keys
    ]
    if lost:
      row = min(lost, key=lambda row: row['test_mse'])
      is_some = plain(row['attack']) in {plain(each['attack']) for each in shared}
      seed = f' with seed {row["seed"]}' if is_some else ''
      drop = ' (drop its at=)' if plain(row['attack']) != row['attack'] else ''
      text = (
        f'attack {row["attack"]}, the strongest at {here}, has no finished result at'
        f' {there}{seed} to compare with; run it at both{drop}, or leave it out'
      )
      return (Doubt(f'{row["attack"]} not at {there}', text, text, 0),)
  return ()


def doubt_cut(
  rows: Sequence[Row], treatment: Treatment, split: str, contradicts: Contradicts
) -> tuple[Doubt, ...]:
  """Whether an attack is missing at a cut that might contradict what is said of it.

  It was run at the cut and diverged, or it finished at the split for other seeds or
  treatments. What it would score is taken from the nearest cuts where it finished: it
  is as much better than the other attacks as there. An attack with `at=` elsewhere was
  not meant for the cut, and is not asked.

  Args:
    rows: Rows of all attacks.
    treatment: The treatment of the targets.
    split: Where they are cut.
    contradicts: Whether it does, by the MSE and the SSIM of the cut with it.
  """
  for attack, lanes in _list_missing(rows, treatment, split):
    gains = _list_gains(rows, treatment, split, attack)
    if not gains:
      continue
    share = results.mean([factor for factor, _ in gains])
    likeness = results.mean([gain for _, gain in gains])
    guessed = [
      row
      | {
        'attack': attack,
        'test_mse': row['test_mse'] * share,
        'test_ssim': row['test_ssim'] + likeness,
      }
      for row in lanes
    ]
    cell = results.of_cell(rows, treatment, split)
    if contradicts(*cell_scores([*cell, *guessed])):
      text = (
        f'attack {attack} did better elsewhere and has no finished result at {split}'
        f' with {treatment}; run it there again, or leave it out'
      )
      return (Doubt(f'{attack} not at {split}', text, text, 0),)
  return ()


def describe(rows: Sequence[Row], treatment: Treatment, split: str) -> str:
  """A sentence that names the attacks of which all rows at a cut diverged; or ''."""
  cell = results.of_cell(rows, treatment, split)
  finished = {row['attack'] for row in _finished(cell)}
  names = [name for name in results.list_attacks(cell) if name not in finished]
  if not names:
    return ''
  verb = 'has' if len(names) == 1 else 'have'
  return f'{join_words(names)} {verb} no finished result there.'


def _list_missing(
  rows: Sequence[Row], treatment: Treatment, split: str
) -> Iterator[tuple[str, list[Row]]]:
  """Attacks that lack some seeds of a cut, each with the best scores of those seeds."""
  cell = _finished(results.of_cell(rows, treatment, split))
  asked = [
    row
    for row in rows
    if row['split'] == split and (_is_finished(row) or Treatment.of(row) == treatment)
  ]
  likeness = {r['seed']: r['test_ssim'] for r in results.strongest(cell, 'test_ssim')}
  strongest = [
    row | {'test_ssim': likeness[row['seed']]} for row in results.strongest(cell)
  ]
  finished = {_key(row) for row in cell}
  for attack in dict.fromkeys(plain(row['attack']) for row in asked):
    lanes = [row for row in strongest if (row['seed'], attack) not in finished]
    if lanes:
      yield attack, lanes


def _list_gains(
  rows: Sequence[Row], treatment: Treatment, split: str, attack: str
) -> list[tuple[float, float]]:
  """How much better an attack is than the others, where it finished, near a cut.

  Returns:
    Its MSE over theirs, and its SSIM less theirs, for each lane and split: those of the
    cut, else those of the split, else those of the treatment, else all.
  """
  for list_near in (
    lambda: results.of_cell(rows, treatment, split),
    lambda: [row for row in rows if row['split'] == split],
    lambda: results.of_treatment(rows, treatment),
    lambda: rows,
  ):
    if found := _compare(list_near(), attack):
      return found
  return []


def _compare(rows: Sequence[Row], attack: str) -> list[tuple[float, float]]:
  """How much better an attack is than the others in each lane and split of rows."""
  finished, found = _finished(rows), []
  ours = [row for row in finished if plain(row['attack']) == attack]
  if not ours:
    return []
  others = [row for row in finished if plain(row['attack']) != attack]
  best = {
    column: {_lane(row): row for row in results.strongest(others, column)}
    for column in ('test_mse', 'test_ssim')
  }
  for row in ours:
    other = best['test_mse'].get(_lane(row))
    if other is not None and other['test_mse'] > 0:
      error = row['test_mse'] * fewer_images.scale(row, other)
      likeness = row['test_ssim'] - best['test_ssim'][_lane(row)]['test_ssim']
      gain = likeness if math.isfinite(likeness) else 0.0
      found.append((error / other['test_mse'], gain))
  return found


def _is_finished(row: Row) -> bool:
  return row['status'] == 'done' and math.isfinite(row['test_mse'])


def _finished(rows: Iterable[Row]) -> list[Row]:
  return list(filter(_is_finished, rows))


def _key(row: Row) -> tuple[int, str]:
  """What tells the rows of one cell apart, wherever its attack was run."""
  return row['seed'], plain(row['attack'])


def _lane(row: Row) -> tuple[Treatment, int, str]:
  return Treatment.of(row), row['seed'], row['split']
