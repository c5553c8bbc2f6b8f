import math

import pytest
from made_up import make_rows

from gpz_jax import zone
from gpz_jax.types import InputError, Treatment


def test_the_zone_starts_where_error_jumps_over_the_threshold():
  # by hand: b is 3x but below 0.02; c is 4x and above it
  found = zone.golden_zone(make_rows([0.004, 0.012, 0.048, 0.050])).treatments[0]
  assert (found.split, found.start_index, found.jump_from) == ('c', 2, 'b')
  assert found.jump == pytest.approx(4)
  assert found.falls_back == ()
  assert found.sentence() == (
    'alpha 0: golden zone from c on, where MSE jumps 4x, from 0.004 at b to 0.016 at c.'
  )


def test_ratio_and_threshold_are_strict_and_can_be_set():
  rows = make_rows([0.01, 0.02, 0.04, 0.05])
  assert zone.golden_zone(rows).treatments[0].split is None
  assert zone.golden_zone(rows, ratio=1.9).treatments[0].split == 'c'
  assert zone.golden_zone(rows, ratio=1.9, threshold=0.01).treatments[0].split == 'b'
  # test_mse is a third: nothing exceeds 0.02 there
  assert (
    zone.golden_zone(rows, ratio=1.9, metric='test_mse').treatments[0].split is None
  )


def test_no_zone_says_so_and_gives_the_largest_jump():
  found = zone.golden_zone(make_rows([0.03, 0.04, 0.07, 0.08])).treatments[0]
  assert (found.split, found.start_index) == (None, None)
  assert (found.jump_from, found.jump_to) == ('b', 'c')
  assert (
    'no golden zone; the largest jump of MSE is 1.75x, from 0.0133 at b to 0.0233'
    in found.sentence()
  )


def test_a_zone_that_does_not_last_says_where():
  found = zone.golden_zone(make_rows([0.01, 0.05, 0.015, 0.06])).treatments[0]
  assert (found.split, found.falls_back) == ('b', ('c',))
  assert 'from b on (but not at c)' in found.sentence()


def test_each_alpha_has_its_zone_of_means_over_seeds():
  rows = [
    *make_rows([0.01, 0.01, 0.05, 0.05], alpha=0.3),
    *make_rows([0.01, 0.02, 0.02, 0.09], alpha=-0.05, seed=0),
    *make_rows([0.01, 0.04, 0.04, 0.09], alpha=-0.05, seed=1),
  ]
  found = zone.golden_zone(rows[::-1])
  # by hand: mean of b over seeds is 0.03, 3x that of a
  assert [(z.treatment, z.split) for z in found.treatments] == [
    (Treatment(-0.05), 'b'),
    (Treatment(0.3), 'c'),
  ]
  assert found.sentence().count('golden zone from') == 2


def test_missing_and_diverged_rows_are_stepped_over():
  rows = make_rows([0.01, 0.011, 0.05, 0.05])
  rows[1] |= {'status': 'diverged', 'test_mse_paper': math.nan}
  found = zone.golden_zone(rows).treatments[0]
  assert (found.jump_from, found.split) == ('a', 'c')
  alone = zone.golden_zone(rows[:2]).treatments[0]
  assert alone.split is None
  assert alone.sentence() == 'alpha 0: fewer than two splits have a result.'


def test_the_strongest_attack_decides():
  weak = [row | {'attack': 'weak'} for row in make_rows([0.01, 0.05, 0.06])]
  strong = [row | {'attack': 'strong'} for row in make_rows([0.01, 0.015, 0.05])]
  for rows in (weak + strong, strong + weak):
    assert zone.golden_zone(rows).treatments[0].split == 'c'


def test_errors_on_different_images_may_hide_a_jump():
  # A search at a and b; a decoder, which was scored on all images, at b alone.
  search = [row | {'attack': 'rmle'} for row in make_rows([0.075, 0.09])]
  decoder = make_rows([0.075, 0.09])[1:]
  for row in search:
    row |= {'n_test': 32, 'guess_mse': 0.116}
  for row in decoder:
    row |= {'n_test': 1000, 'guess_mse': 0.058, 'attack': 'inversion'}
  found = zone.golden_zone([*search, *decoder]).treatments[0]
  # By hand: on the scale of all images a has half of its error, and b 2.4 times that.
  assert 'at a and b were scored on different test images (32 and 1000)' in (
    found.sentence()
  )
  for row in search:  # now they are no harder by more than a guess differs
    row |= {'guess_mse': 0.06}
  found = zone.golden_zone([*search, *decoder]).treatments[0]
  assert 'no golden zone; the largest jump of MSE is 1.2x' in found.sentence()


def test_bad_rows_are_refused():
  with pytest.raises(InputError, match='run the sweep first'):
    zone.golden_zone([])
  rows = make_rows([0.1, 0.2])
  with pytest.raises(InputError, match="metric 'mse' is not a column"):
    zone.golden_zone(rows, metric='mse')
  rows[1]['dataset'] = 'y'
  with pytest.raises(InputError, match=r'several values of dataset \(x, y\)'):
    zone.recommend(rows)
  rows[1] |= {'dataset': 'x', 'aux_dataset': 'y'}
  with pytest.raises(InputError, match='several values of aux_dataset'):
    zone.golden_zone(rows)
