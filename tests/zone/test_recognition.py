"""Zones that leave images recognisable, and zones that move with the seed, say so."""

import math

import pytest
from made_up import make_rows

from gpz_jax import zone
from gpz_jax.types import Treatment
from gpz_jax.zone import recognition

JUMP = [0.01, 0.012, 0.05, 0.06]  # a zone from c on


def seen(rows, share, **changes):
  """Rows whose target recognises a share; of real images it knows 0.9."""
  return [row | {'recognised': share} | changes for row in rows]


# By hand: halfway between 0.2 and 0.9 is 0.55.
@pytest.mark.parametrize(
  ('share', 'is_said'), [(0.56, True), (0.54, False), (math.nan, False)]
)
def test_a_zone_says_whether_images_stay_recognisable(share, is_said):
  (found,) = zone.golden_zone(seen(make_rows(JUMP), share)).treatments
  said = (
    'Images stay recognisable there: the target still gives 56% of the reconstructions'
    ' at c to the right class, and 90% of the images themselves.'
  )
  assert (said in found.sentence()) == is_said
  assert (found.recognisable != '') == is_said


def test_the_target_is_compared_with_what_it_says_of_images_that_nothing_changed():
  # A defence or few bits lower the accuracy of what is sent to 0.45; the target that is
  # asked of reconstructions knows 0.9 of the images. By hand: the mark lies at 0.55.
  rows = seen(make_rows(JUMP, accuracy=0.45), 0.4, clean_accuracy=0.9)
  assert recognition.describe(rows, Treatment(), 'c') == ''
  rows = [row | {'recognised': 0.6} for row in rows]
  text = recognition.describe(rows, Treatment(), 'c')
  assert text.endswith(
    '60% of the reconstructions at c to the right class, and 90% of'
    ' the images themselves.'
  )


def test_rows_without_a_clean_accuracy_are_read_by_that_of_what_is_sent():
  old = seen(make_rows(JUMP, accuracy=0.5), 0.6)
  new = seen(make_rows(JUMP, accuracy=0.5, seed=1), 0.6, clean_accuracy=0.7)
  assert math.isnan(old[0]['clean_accuracy'])
  (share,) = recognition.list_shares([*old, *new], Treatment(), 'c')
  assert share.accuracy == pytest.approx(0.6)  # by hand: the mean of 0.5 and 0.7


def test_the_recommendation_says_so_too():
  ladder = {'thumbnail_4': {'mse': 0.015, 'ssim': 0.6}}
  rows = seen(make_rows(JUMP), 0.8)
  found = zone.recommend(rows, ladder=ladder)
  assert found.split == 'c'
  assert 'the target still gives 80% of the reconstructions at c' in found.caveat
  header, *lines = zone.format_candidates(found).splitlines()
  assert header.split()[-1] == 'recognised'
  assert {line.split()[-1] for line in lines} == {'80.0%'}


def test_the_attack_that_is_recognised_best_counts():
  rows = seen(make_rows(JUMP), 0.3)
  other = seen(make_rows([2 * e for e in JUMP]), 0.7, attack='other')
  (share,) = recognition.list_shares([*rows, *other], Treatment(), 'c')
  assert share.recognised == 0.7
  assert share.is_recognisable


def test_a_judge_speaks_beside_the_target():
  judged = {'judge_recognised': 0.7, 'judge_accuracy': 0.8}
  rows = seen(make_rows(JUMP), 0.3, **judged)
  text = recognition.describe(rows, Treatment(), 'c')
  assert text == (
    'Images stay recognisable there: the judge still gives 70% of the reconstructions'
    ' at c to the right class, and 80% of the images themselves.'
  )
  both = [row | {'recognised': 0.8} for row in rows]
  assert 'themselves; and the judge' in recognition.describe(both, Treatment(), 'c')


def test_where_single_seeds_have_the_zone_is_said():
  assert ' seeds ' not in zone.golden_zone(make_rows(JUMP)).sentence()
  rows = [
    *make_rows(JUMP),
    *make_rows(JUMP, seed=1),
    *make_rows([0.01, 0.03, 0.07, 0.07], seed=2),
    *make_rows([0.01, 0.015, 0.025, 0.04], seed=3),
  ]
  (found,) = zone.golden_zone(rows).treatments
  # By hand: the means are 0.01, 0.01725, 0.04875; b jumps 1.7x and c 2.8x.
  assert found.split == 'c'
  assert found.starts == (('c', 2), ('b', 1), (None, 1))
  assert found.sentence().endswith(
    'Of 4 seeds it starts at c in 2, at b in 1 and nowhere in 1.'
  )


def test_seeds_that_have_a_zone_on_their_own_are_told_where_the_mean_has_none():
  rows = [*make_rows([0.01, 0.021, 0.022]), *make_rows([0.01, 0.016, 0.025], seed=1)]
  (found,) = zone.golden_zone(rows).treatments
  assert found.split is None
  assert found.sentence().endswith('Of 2 seeds it starts at b in 1 and nowhere in 1.')
