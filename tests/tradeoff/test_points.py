import math

import numpy as np
import pytest
from made_up_inversions import LABELS, make_classes, make_inversion

from gpz_jax import estimates, intervals, tradeoff
from gpz_jax.types import Treatment


def make_points(*pairs):
  """A point for each pair of accuracy and AttAcc@1."""
  rows = [make_inversion(a, b, alpha=i / 10) for i, (a, b) in enumerate(pairs)]
  return tradeoff.list_points(rows)


def test_the_front_by_hand():
  points = make_points(
    (0.95, 0.80),  # the most accurate
    (0.94, 0.70),  # on it
    (0.93, 0.75),  # outdone by the one before
    (0.90, 0.50),  # on it
    (0.90, 0.60),  # as accurate as the one before, and less safe
    (0.80, 0.50),  # as safe, and less accurate
  )
  front = tradeoff.front(points)
  assert [p.treatment.alpha for p in front] == pytest.approx([0.0, 0.1, 0.3])


def test_equal_points_are_both_on_the_front():
  assert len(tradeoff.front(make_points((0.9, 0.5), (0.9, 0.5)))) == 2


@pytest.mark.parametrize(
  ('accuracy', 'att_acc', 'delta'),
  [
    # the published rows of docs/paper.md#trade-off, with their Delta
    (0.9138, 0.7186, 5.72),
    (0.9421, 0.7979, 22.90),
    (0.9440, 0.8165, 31.48),
    (0.9469, 0.7, math.nan),  # accuracy did not fall
    (0.95, 0.7, math.nan),  # it rose
  ],
)
def test_delta(accuracy, att_acc, delta):
  rows = [
    make_inversion(0.9469, 0.9078),
    make_inversion(accuracy, att_acc, skips='1110'),
  ]
  baseline, point = tradeoff.list_points(rows)
  found = tradeoff.compare(point, baseline).delta
  assert round(found, 2) == pytest.approx(delta, nan_ok=True)


def test_a_delta_that_is_not_against_untreated_targets_says_so():
  defended = [make_inversion(0.9, 0.6, defence='bido', seed=seed) for seed in (0, 1)]
  cut = [make_inversion(0.88, 0.5, skips='1110', seed=seed) for seed in (0, 1)]
  named = 'Delta is against alpha 0, defence bido: no untreated target has a finished'
  table = tradeoff.format_table([*defended, *cut])
  assert named in table
  assert table.splitlines()[2].split()[-1] == '5'  # 10 points for 2, by hand
  assert 'Delta is against' not in tradeoff.format_table(defended)  # there is no Delta
  untreated = [make_inversion(0.95, 0.8, seed=seed) for seed in (0, 1)]
  assert 'Delta is against' not in tradeoff.format_table([*untreated, *defended])
  untreated = [row | {'status': 'diverged'} for row in untreated]
  assert named in tradeoff.format_table([*untreated, *defended, *cut])


def test_two_seeds_that_agree_tell_nothing_of_how_seeds_vary():
  rows = [make_inversion(0.9, 0.5, seed=seed) for seed in (0, 1)]
  rows += [make_inversion(0.9, 0.4, seed=seed, skips='1110') for seed in (0, 1)]
  baseline, point = tradeoff.list_points(rows)
  assert point.att_acc.mean == pytest.approx(0.4)
  assert point.att_acc.over == '6 classes'  # the interval that a row has of itself
  assert not tradeoff.compare(point, baseline).fall.has_interval
  assert not tradeoff.compare(point, baseline).is_fall_clear
  rounded = np.float32([0.9, 0.95]) - np.float32([0.85, 0.9])
  assert rounded[0] != rounded[1]
  assert not estimates.of_values(rounded.tolist(), 'seeds').has_interval


def test_seeds_are_compared_in_pairs():
  # Both vary by 0.1 between seeds, and together: the difference does not vary.
  rows = []
  for seed, level in enumerate((0.5, 0.6, 0.7)):
    rows.append(make_inversion(0.9, level, seed=seed))
    rows.append(make_inversion(0.88, level - 0.1, seed=seed, skips='1110'))
  rows.append(make_inversion(0.88, 0.0, seed=7, skips='1110'))  # a seed of one alone
  baseline, point = tradeoff.list_points(rows)
  found = tradeoff.compare(point, baseline)
  assert found.fall == pytest.approx((0.1, 0.1, 0.1, '3 seeds'))
  assert found.cost.mean == pytest.approx(0.02)
  assert found.is_fall_clear
  assert baseline.att_acc[:3] == pytest.approx(
    (0.6, *intervals.mean_interval([0.5, 0.6, 0.7]))
  )


def test_one_seed_has_the_interval_of_its_row():
  (point,) = tradeoff.list_points([make_inversion(0.9, 0.98)])
  # 0.93 to 1.03, and no share is above 1
  assert point.att_acc == pytest.approx((0.98, 0.93, 1.0, '6 classes'))
  assert not point.accuracy.has_interval


def test_classes_are_compared_over_seeds():
  rows = [
    make_inversion(0.9, level - fall, seed=seed, skips=skips)
    for seed, level in enumerate((0.5, 0.6))
    for skips, fall in (('intact', 0.0), ('1110', 0.2))
  ]
  baseline, point = tradeoff.list_points(rows)
  found = tradeoff.compare(point, baseline, make_classes(rows)).fall_of_classes
  assert (found.mean, found.over) == (pytest.approx(0.2), '6 classes')
  scores = tradeoff.of_classes(baseline, make_classes(rows), 'att_acc1')
  assert list(scores) == list(LABELS)
  assert scores[0] == pytest.approx(0.55 - 0.05)


def test_the_strongest_attack_counts():
  rows = [
    make_inversion(0.9, 0.4, attack='gmi'),
    make_inversion(0.9, 0.6, attack='ppa'),
    make_inversion(0.9, 0.4, attack='gmi', seed=1),
    make_inversion(0.9, 0.6, attack='ppa', seed=1),
    make_inversion(0.9, 0.99, attack='if_gmi'),  # on fewer seeds
  ]
  assert tradeoff.strongest_attack(rows, Treatment()) == 'ppa'
  (point,) = tradeoff.list_points(rows)
  assert (point.attack, point.seeds) == ('ppa', (0, 1))


@pytest.mark.parametrize(
  ('treatment', 'stage'),
  [
    (Treatment(skips='1110'), 4),
    (Treatment(skips='0111'), 1),
    (Treatment(skips='1100'), None),
    (Treatment(skips='1111/0.5'), None),
    (Treatment(skips='1110@5'), None),
    (Treatment(skips='1110:attention'), None),
    (Treatment(skips='111l'), None),
    (Treatment(skips='1110', defence='bido'), None),
    (Treatment(), None),
  ],
)
def test_the_stage_that_is_removed(treatment, stage):
  assert tradeoff.removed_stage(treatment, Treatment()) == stage


@pytest.mark.parametrize(
  ('treatment', 'text'),
  [
    (Treatment(skips='1110'), 'removing the skips of the last stage'),
    (Treatment(skips='0011'), 'removing the skips of stages 1 and 2'),
    (Treatment(skips='0000'), 'removing all skips'),
    (
      Treatment(skips='111s/0.2@5'),
      'scaling by 0.2 the skips of the last stage from epoch 6 on',
    ),
    (Treatment(skips='10:mlp'), 'removing the mlp skips of the last stage'),
    (Treatment(skips='111l'), 'learning the factor of the skips of the last stage'),
    (
      Treatment(0.1, '1110', 'bido'),
      'removing the skips of the last stage, label smoothing of 0.1 and the defence'
      ' bido',
    ),
  ],
)
def test_treatments_in_words(treatment, text):
  assert tradeoff.phrase(treatment, Treatment()) == text


def test_labels_are_short():
  assert tradeoff.label(Treatment(), Treatment()) == 'untreated'
  assert tradeoff.label(Treatment(skips='1110'), Treatment()) == 'skips 1110'
  assert tradeoff.label(Treatment(0.1), Treatment()) == 'alpha 0.1'
  assert tradeoff.label(Treatment(0.1), Treatment(0.1)) == 'alpha 0.1'
