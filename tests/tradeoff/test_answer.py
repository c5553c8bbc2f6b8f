import math

import pytest
from made_up_inversions import make_classes, make_inversion, make_study

from gpz_jax import tradeoff
from gpz_jax.types import Treatment


def make_pair(att_acc=0.5, *, seeds=(0, 1, 2), fall=0.2, noise=0.01, **changes):
  """Untreated targets, and those without the last stage's skips."""
  rows = []
  for seed in seeds:
    own = noise * (seed - 1)
    rows.append(make_inversion(0.9, att_acc, seed=seed, **changes))
    treated = {'skips': '1110', **changes}
    rows.append(make_inversion(0.88, att_acc - fall + own, seed=seed, **treated))
  return rows


def test_the_best_trade_is_named():
  rows = make_study()
  found = tradeoff.conclude(rows, make_classes(rows))
  # by hand, see make_study: 83 to 59 at 2.1 points
  assert found.headline == (
    'Removing the skips of the last stage costs 2.1 points of accuracy and takes'
    ' AttAcc@1 from 83% to 59%'
  )
  assert found.best.point.treatment == Treatment(skips='1110')
  falls, accuracy = found.reasons
  assert falls.startswith('AttAcc@1 falls by 24.0 points (')
  assert 'over 3 seeds), class by class by 24.0 points (' in falls
  assert accuracy.startswith('Accuracy falls by 2.1 points (')
  assert len(found.comparisons) == 6


def test_a_trade_without_a_cost_says_so():
  rows = make_pair()
  for row in rows:
    row['target_accuracy'] = 0.9
  found = tradeoff.conclude(rows)
  assert 'costs no accuracy and takes AttAcc@1 from 50% to 30%' in found.headline
  assert math.isnan(found.best.delta)


def test_one_seed_rests_on_classes():
  rows = make_pair(seeds=(0,))
  classes = make_classes(rows)
  found = tradeoff.conclude(rows, classes)
  assert found.best is not None
  assert not found.best.fall.has_interval
  assert found.best.fall_of_classes.over == '6 classes'
  assert 'one seed says nothing of how much it varies' in found.reasons[1]
  # Without rows of classes, the intervals of the two rows decide: each is 0.1 wide.
  assert tradeoff.conclude(rows).best is not None
  close = make_pair(seeds=(0,), fall=0.08, noise=0.0)
  assert tradeoff.conclude(close).best is None


@pytest.mark.parametrize('with_classes', [True, False])
def test_one_class_says_nothing_of_others(with_classes):
  rows = make_pair(num_attacked=1)
  classes = [row for row in make_classes(rows) if row['label'] == 0]
  found = tradeoff.conclude(rows, classes if with_classes else ())
  assert found.best is None
  assert found.comparisons[0].fall.is_above_0
  assert 'the classes are too few to tell how much they vary' in found.reasons[0]


@pytest.mark.parametrize(
  ('changes', 'reason'),
  [
    ({'evaluator_accuracy': 0.79}, 'the evaluator names 79.0% of private test images'),
    ({'chance_att_acc': 0.5}, 'was clearly better than chance'),
    ({'chance_accuracy': 0.91}, 'is within reach of guessing (up to 91.0%)'),
  ],
)
def test_a_doubt_of_the_study_forbids_a_conclusion(changes, reason):
  found = tradeoff.conclude(make_pair(**changes))
  assert found.headline == 'No conclusion can be drawn from these results'
  assert found.best is None
  assert reason in found.reasons[0]


def test_an_attack_whose_own_generator_failed_says_nothing_of_a_treatment():
  failed = "the attack's own generator makes no images like the public ones (FID 90)"
  rows = make_pair()
  assert tradeoff.conclude(rows).best is not None
  for doubted in ('intact', '1110'):
    marked = [
      row | {'doubt': failed if row['skips'] == doubted else ''} for row in rows
    ]
    found = tradeoff.conclude(marked)
    assert found.best is None
    assert any(failed in reason for reason in found.reasons)
  other = [row | {'doubt': 'public images show the same people'} for row in rows]
  assert tradeoff.conclude(other).best is not None
  # What a row says of its target and evaluator is no doubt of its generator.
  guessing = [row | {'target_accuracy': 0.1} for row in rows]
  told = [row | {'doubt': tradeoff.describe_row(row)} for row in guessing]
  assert not any('generator_steps' in r for r in tradeoff.conclude(told).reasons)


def test_the_evaluator_of_the_treated_targets_counts_too():
  rows = make_pair()
  for row in rows:
    if row['skips'] == '1110':
      row['evaluator_accuracy'] = 0.35
  found = tradeoff.conclude(rows)
  assert found.best is None
  assert found.reasons[-1].startswith('the evaluator names 35.0% of private test')


def test_an_evaluator_is_good_enough_from_where_the_rule_says():
  assert tradeoff.conclude(make_pair(evaluator_accuracy=0.8)).best is not None


def test_two_seeds_that_differ_have_both_beaten_chance():
  # Student's interval over two values is so wide that it holds chance.
  rows = [
    make_inversion(0.9, found, seed=seed) for seed, found in enumerate((0.4, 0.7))
  ]
  assert tradeoff.points.list_points(rows)[0].att_acc.low == 0
  assert 'no other treatment' in tradeoff.conclude(rows).headline
  rows[0] |= {'att_acc1': 0.05, 'att_acc1_low': 0.0}
  (reason,) = tradeoff.conclude(rows).reasons
  assert 'with seed 0 was clearly better than chance' in reason


def test_chance_is_measured_against_the_interval():
  # One seed: the row's interval over classes is 0.45 to 0.55.
  row = make_inversion(0.9, 0.5, chance_att_acc=0.44)
  assert 'no other treatment' in tradeoff.conclude([row]).headline
  row = make_inversion(0.9, 0.5, chance_att_acc=0.45)
  assert 'better than chance' in tradeoff.conclude([row]).reasons[0]
  # Without an interval it must be twice as good as chance.
  row |= {'att_acc1_low': math.nan, 'att_acc1_high': math.nan}
  assert 'better than chance' in tradeoff.conclude([row]).reasons[0]
  row |= {'chance_att_acc': 0.24}
  assert tradeoff.conclude([row]).reasons == ()


def test_intervals_that_hold_0_forbid_a_conclusion():
  found = tradeoff.conclude(make_pair(fall=0.02, noise=0.05))
  assert found.headline == 'No conclusion can be drawn from these results'
  assert found.reasons[0].startswith('no treatment can be told from the untreated')
  # Seeds agree, and classes do not.
  rows = make_pair(fall=0.02, noise=0.001)
  assert tradeoff.conclude(rows).best is not None
  spread = (-0.3, -0.2, 0.0, 0.0, 0.2, 0.3)
  treated = [row for row in rows if row['skips'] != 'intact']
  plain = [row for row in rows if row['skips'] == 'intact']
  classes = [*make_classes(plain, (0.0,) * 6), *make_classes(treated, spread)]
  assert tradeoff.conclude(rows, classes).best is None


def test_a_treatment_that_guesses_is_not_the_answer():
  rows = make_pair()
  rows += [
    make_inversion(0.1, 0.0, seed=seed, defence='bido', chance_accuracy=0.2)
    for seed in range(3)
  ]
  found = tradeoff.conclude(rows)
  assert found.best.point.treatment == Treatment(skips='1110')
  assert 'defence bido is within reach of guessing' in found.reasons[-1]


def test_one_seed_whose_targets_guess_forbids_a_conclusion():
  rows = make_pair()
  for row in rows:
    if row['seed'] == 1 and row['skips'] == 'intact':
      row |= {'target_accuracy': 0.1}
  found = tradeoff.conclude(rows)
  assert found.best is None
  assert (
    'the accuracy of 10.0% of the target with alpha 0 and seed 1 is within reach of'
    ' guessing (up to 20.0%), so an attack has nothing to find; leave that seed out'
  ) in ' '.join(found.reasons)


@pytest.mark.parametrize(('share', 'is_usable'), [(0.51, True), (0.49, False)])
def test_a_treatment_that_breaks_the_training_says_nothing(share, is_usable):
  rows = make_pair()
  usual = tradeoff.conclude(rows).baseline.accuracy.mean
  rows += [
    make_inversion(share * usual, 0.0, seed=seed, defence='bido') for seed in range(3)
  ]
  found = tradeoff.conclude(rows)
  reasons = [text for text in found.reasons if 'hardly trained: their acc' in text]
  assert (reasons == []) == is_usable
  assert is_usable or 'the targets with alpha 0, defence bido' in reasons[0]


def test_a_defence_may_be_all_there_is_to_compare_with():
  rows = [
    make_inversion(accuracy, 0.4, seed=seed, defence=defence)
    for defence, accuracy in (('bido', 0.4), ('vib', 0.95))
    for seed in range(2)
  ]
  found = tradeoff.conclude(rows)
  assert found.headline == 'No conclusion can be drawn from these results'
  assert 'with alpha 0, defence bido hardly trained' in found.reasons[0]
  assert 'with alpha 0, defence vib it is 95.0%' in found.reasons[0]


def test_rows_that_diverged_are_left_out():
  rows = make_pair()
  for row in rows:
    if row['skips'] != 'intact':
      row['status'] = 'diverged'
  found = tradeoff.conclude(rows)
  assert found.comparisons == ()
  assert found.headline == (
    '50% of reconstructions from targets with alpha 0 show the attacked class, and'
    ' there is no other treatment to compare with'
  )
  for row in rows:
    row['status'] = 'diverged'
  assert tradeoff.conclude(rows).reasons == (
    'no attack has finished without going astray',
  )


def attack_twice(plg=(0.9, 0.89)):
  """PPA scores 50% whatever is done, and PLG 90% on untreated targets."""
  rows = []
  for seed in (0, 1, 2):
    own = 0.004 * (seed - 1)
    for skips, strong in zip(('intact', '1110'), plg, strict=True):
      for attack, found in (('ppa', 0.5 + own), ('plg', strong + own)):
        rows.append(make_inversion(0.9, found, seed=seed, skips=skips, attack=attack))
  return rows


def is_lost(row, seeds):
  is_treated = row['skips'] == '1110'
  return is_treated and row['attack'] == 'plg' and row['seed'] in seeds


@pytest.mark.parametrize('seeds', [(2,), (0, 1, 2)])
@pytest.mark.parametrize('diverged', [True, False])
def test_an_attack_that_is_lost_on_one_side_does_not_protect_it(seeds, diverged):
  rows = attack_twice()
  if diverged:
    rows = [r | {'status': 'diverged'} if is_lost(r, seeds) else r for r in rows]
  else:
    rows = [row for row in rows if not is_lost(row, seeds)]
  found = tradeoff.conclude(rows, make_classes(rows))
  assert found.best is None
  (one,) = found.comparisons
  assert one.baseline.attack == one.point.attack == 'ppa'
  assert one.fall.mean == pytest.approx(0)
  assert any(
    reason.startswith('plg has AttAcc@1 90.0% on alpha 0, more than any attack')
    and f'did not finish on alpha 0, skips 1110 with seed {seeds[0]};' in reason
    for reason in found.reasons
  )


def test_an_attack_that_is_lost_and_weaker_is_no_doubt():
  rows = [row for row in attack_twice((0.3, 0.2)) if not is_lost(row, (2,))]
  (one,) = tradeoff.conclude(rows).comparisons
  assert (one.point.attack, one.doubt) == ('ppa', '')


def test_each_side_has_its_strongest_attack_of_those_that_both_have():
  """PPA falls below PLG, which is what a defender then has to reckon with."""
  rows = attack_twice((0.45, 0.4))
  for row in rows:
    if row['skips'] == '1110' and row['attack'] == 'ppa':
      row['att_acc1'] -= 0.3
  (one,) = tradeoff.conclude(rows).comparisons
  assert (one.baseline.attack, one.point.attack, one.doubt) == ('ppa', 'plg', '')
  assert one.fall.mean == pytest.approx(0.1)


def test_treatments_without_a_common_attack_are_not_compared():
  rows = [
    row
    for row in attack_twice((0.9, 0.2))
    if (row['attack'] == 'plg') == (row['skips'] == '1110')
  ]
  found = tradeoff.conclude(rows)
  assert found.best is None
  assert 'have no finished attack in common (plg and ppa)' in found.reasons[-1]


def test_a_treatment_that_helps_the_attack_is_no_answer():
  found = tradeoff.conclude(make_pair(fall=-0.2))
  assert found.best is None
