"""Two treatments under the attacks that both have, so that only the targets differ."""

import dataclasses
from collections.abc import Collection, Sequence

from gpz_jax.results import Row, mean
from gpz_jax.tradeoff.points import Point


def align(first: Point, second: Point) -> tuple[Point, Point, str]:
  """Two points, each under its strongest attack among those that both have.

  An attack counts where it has finished in most of the seeds that the two share. The
  rows are those of these seeds; where no seed is shared, they are all that there are.

  Returns:
    The two points, and why they cannot be compared: an attack that one of them lacks
    scores higher. It is a sentence without a full stop, or ''.
  """
  if not (first.finished and second.finished):
    return first, second, ''
  shared = {
    attack: first.seeds_of(attack) & second.seeds_of(attack)
    for attack in first.finished
    if attack in second.finished
  }
  if not shared:
    return first, second, _tell_apart(first, second)
  most = max(shared.values(), key=len)
  attacks = [attack for attack, seeds in shared.items() if seeds >= most]
  pair = _under(first, attacks, most), _under(second, attacks, most)
  return *pair, _tell_lost(pair, attacks, most)


def _under(point: Point, attacks: Sequence[str], seeds: Collection[int]) -> Point:
  """A point under the strongest of some attacks, with the rows of some seeds."""
  rows = {attack: _of_seeds(point.finished[attack], seeds) for attack in attacks}
  attack = max(attacks, key=lambda attack: _score(rows[attack]))
  return dataclasses.replace(point, attack=attack, rows=rows[attack])


def _of_seeds(rows: Sequence[Row], seeds: Collection[int]) -> tuple[Row, ...]:
  """The rows of some seeds; all of them where they have none of these."""
  return tuple(row for row in rows if row['seed'] in seeds) or tuple(rows)


def _score(rows: Sequence[Row]) -> float:
  return mean([row['att_acc1'] for row in rows])


def _tell_lost(
  pair: tuple[Point, Point], attacks: Sequence[str], seeds: set[int]
) -> str:
  """The first attack that only one has in some seed, and that scores higher."""
  for point, other in (pair, pair[::-1]):
    for attack in point.finished:
      lacking = point.seeds_of(attack) - other.seeds_of(attack)
      lacking = lacking & seeds if seeds else lacking
      if attack in attacks or not lacking:
        continue
      for each in (point, other):
        score = _score(_of_seeds(each.finished.get(attack, ()), seeds))
        if score > each.att_acc.mean:
          return (
            f'{attack} has AttAcc@1 {score:.1%} on {each.treatment}, more than any'
            f' attack that is compared, and did not finish on {other.treatment} with'
            f' seed {min(lacking)}; finish it there, or leave it out of the study'
          )
  return ''


def _tell_apart(first: Point, second: Point) -> str:
  return (
    f'{first.treatment} and {second.treatment} have no finished attack in common'
    f' ({", ".join(first.finished)} and {", ".join(second.finished)}); give both the'
    ' same --attack'
  )
