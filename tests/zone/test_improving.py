"""Attacks beside the strongest one that might overtake it with more epochs."""

import math

import pytest
from made_up import make_rows

from gpz_jax import zone

LADDER = {'thumbnail_4': {'mse': 0.02, 'ssim': 0.5}}
BIG = 'inversion:decoder=big'


def rows_of(errors, attack='inversion', *, fall=0.01, **changes):
  """Rows of one attack, with errors by element."""
  rows = make_rows([3 * error for error in errors])
  changes |= {'attack': attack, 'loss_fall': fall, 'test_ssim': 0.4}
  return [row | {'guess_mse': 0.058} | changes for row in rows]


def test_no_cut_is_private_while_another_attack_improves():
  rows = rows_of([0.004, 0.005, 0.021, 0.08])
  # By hand: .7^3.106 is .33, so .0215 would fall to .007 and .081 to .027.
  big = rows_of([0.005, 0.006, 0.0215, 0.081], BIG, fall=0.3)
  found = zone.recommend([*rows, *big], ladder=LADDER)
  assert found.split == 'd'
  assert found.caveat.startswith(
    f'c with alpha 0 is cheaper, but attack {BIG} at c was still improving (its'
    ' held-out error fell by 30% in the last fifth of its epochs); raise'
  )
  steady = rows_of([0.005, 0.006, 0.0215, 0.081], BIG)
  assert zone.recommend([*rows, *steady], ladder=LADDER).split == 'c'
  # the highest error within limits: .027 is still more than .021, and .007 is not
  assert zone.recommend([*rows, *big], max_edge_params=400).split == 'd'
  far = rows_of([0.005, 0.006, 0.0215, 0.081], BIG, fall=0.6)
  found = zone.recommend([*rows, *far], max_edge_params=400)
  assert f'attack {BIG} at d was still improving' in found.reason


def test_an_attack_of_one_epoch_may_become_anything():
  rows = rows_of([0.004, 0.005, 0.021, 0.08])
  brief = rows_of([0.04] * 4, BIG, fall=math.nan, epochs=1)
  found = zone.recommend([*rows, *brief], ladder=LADDER)
  assert f'attack {BIG} at c took one epoch' in found.reason


@pytest.mark.parametrize(
  ('errors', 'fall', 'split'),
  [
    # by hand: c falls to .0071, which is 1.4 times b
    ([0.005, 0.006, 0.0215, 0.031], 0.3, 'c'),
    ([0.005, 0.006, 0.0215, 0.031], 0.05, None),
  ],
)
def test_no_zone_rests_on_an_attack_that_another_may_overtake(errors, fall, split):
  rows = [*rows_of([0.004, 0.005, 0.021, 0.03]), *rows_of(errors, BIG, fall=fall)]
  found = zone.golden_zone(rows).treatments[0]
  text = f'attack {BIG} at {split} was still improving'
  assert (text in found.sentence()) == (split is not None)
  assert (found.split is None) == (split is not None)


def test_no_zone_is_missed_before_an_attack_that_may_overtake():
  rows = rows_of([0.01, 0.011, 0.012, 0.013])
  # by hand: .2^3.106 is .007 of .012, and b is then over twice a
  big = rows_of([0.012, 0.1, 0.1, 0.1], BIG, fall=0.8)
  found = zone.golden_zone([*rows, *big]).treatments[0]
  assert f'attack {BIG} at a was still improving' in found.sentence()
  steady = rows_of([0.012, 0.1, 0.1, 0.1], BIG)
  assert 'no golden zone' in zone.golden_zone([*rows, *steady]).treatments[0].sentence()
