"""A seed that is missing at a split says nothing of the step to it."""

import math

import pytest
from made_up import make_rows

from gpz_jax import zone
from gpz_jax.zone import rules

NAN = math.nan
# Seed 1 has no result at the first split, and neither seed jumps.
FIRST, SECOND = [0.010, 0.012, 0.013], [NAN, 0.030, 0.031]


def rows_of(*seeds):
  return [
    row
    for seed, errors in enumerate(seeds)
    for row in make_rows([3 * e for e in errors], seed=seed)
    if math.isfinite(row['test_mse_paper'])
  ]


def test_no_zone_comes_of_a_seed_that_is_missing():
  # by hand: over both seeds the mean goes from .010 to .021, over seed 0 to .012
  (found,) = zone.golden_zone(rows_of(FIRST, SECOND)).treatments
  assert found.split is None
  assert found.jump == pytest.approx(1.2)
  assert (found.jump_from, found.jump_to) == ('a', 'b')


def test_a_jump_that_every_seed_shows_is_found_over_the_seeds_that_show_it():
  (found,) = zone.golden_zone(
    rows_of([0.010, 0.012, 0.040], [NAN, 0.020, 0.060])
  ).treatments
  assert (found.split, found.jump_from) == ('c', 'b')
  assert found.jump == pytest.approx(0.1 / 0.032)  # by hand: (.04 + .06) / (.012 + .02)


def test_splits_behind_are_held_against_the_seeds_they_share():
  # seed 1 falls back at d; seed 0 is missing there
  (found,) = zone.golden_zone(
    rows_of([0.010, 0.030, 0.031, NAN], [0.012, 0.040, 0.041, 0.013])
  ).treatments
  assert (found.split, found.falls_back) == ('b', ('d',))


def test_votes_compare_as_the_zone_does():
  (cast,) = zone.vote(rows_of(FIRST, SECOND), []).treatments
  vote = cast.by('attack')
  assert vote is not None
  assert vote.split is None


def test_steps_by_hand():
  # only seed 1 is at both a and b, and no seed at both b and c
  assert rules.list_steps([[1.0, NAN, 4.0], [3.0, 5.0, NAN]]) == [(0, 1, 3.0, 5.0)]
  assert rules.list_steps([2.0, NAN, 4.0]) == [(0, 2, 2.0, 4.0)]
  assert rules.list_steps([]) == []
  assert rules.compare([[1.0, NAN], [NAN, 2.0]], 0, 1) is None


@pytest.mark.parametrize('is_there', [True, False])
def test_a_cut_is_as_accurate_as_its_targets_whatever_the_decoders_did(is_there):
  good = make_rows([0.03, 0.06, 0.08, 0.09], accuracy=0.9)
  other = make_rows([0.03, 0.06, 0.08, 0.09], seed=1, accuracy=0.86)
  other[3] |= {'status': 'diverged', 'test_mse': NAN, 'test_mse_paper': NAN}
  rows = [*good, *(other if is_there else other[:3])]
  found = zone.recommend(rows, private_enough=0.005)
  assert [one.target_accuracy for one in found.alternatives] == pytest.approx(
    [0.88] * 4
  )
  none = zone.recommend(rows, private_enough=0.005, min_accuracy=0.89)
  assert 'min_accuracy=0.89 excludes 4 of 4 candidates (highest 0.88' in none.reason


def test_a_defence_at_one_split_leaves_the_accuracy_elsewhere():
  rows = [*make_rows([0.03, 0.06, 0.08]), *make_rows([0.03, 0.06, 0.08], seed=1)]
  rows[1]['target_accuracy'] = 0.7
  del rows[4]  # seed 1 at b, of which nobody knows
  found = zone.recommend(rows, private_enough=0.005)
  assert [one.target_accuracy for one in found.alternatives] == pytest.approx(
    [0.9, 0.7, 0.9]
  )


def test_a_target_that_diverged_counts_for_no_accuracy():
  lost = make_rows([0.03, 0.06], seed=1, accuracy=0.1)
  for row in lost:
    row |= {'status': 'diverged', 'test_mse': NAN, 'test_mse_paper': NAN}
  found = zone.recommend([*make_rows([0.03, 0.06]), *lost], private_enough=0.005)
  assert [one.target_accuracy for one in found.alternatives] == [0.9, 0.9]
