"""What rows say of the second paper's findings."""

import dataclasses

import pytest
from made_up_skips import study

from gpz_jax.tradeoff import contrasts, judging
from gpz_jax.tradeoff.published import Finding, StudyRows
from gpz_jax.types import InputError, Treatment

FALLS = Finding(
  name='f',
  text='Skips help.',
  kind='falls',
  column='att_acc1',
  runs=('mi_a',),
  before=('none',),
  after=('rolss',),
  margin=0.02,
  within=0.02,
)


def judge(finding, values, **options):
  return judging.judge_finding(finding, {'mi_a': study(values, **options)})


@pytest.mark.parametrize(
  ('after', 'verdict', 'words'),
  [
    ((0.94, 0.6), 'holds', 'changes by -23.0 points'),
    ((0.94, 0.829), 'does not hold', 'changes by -0.1 points'),
    ((0.94, 0.9), 'does not hold', 'changes by +7.0 points'),
    ((0.90, 0.6), 'cannot decide', 'accuracy falls by 5.0 points'),
    ((0.99, 0.9), 'cannot decide', 'accuracy rises by 4.0 points'),
  ],
)
def test_a_fall_is_judged_by_its_margin_and_its_accuracy(after, verdict, words):
  found = judge(FALLS, {'intact': (0.95, 0.83), '1110': after})
  assert found.verdict == verdict
  assert words in found.reason
  assert found.sentence().startswith(f'Skips help. {verdict.capitalize()}: ')


def test_a_change_about_the_margin_cannot_be_told():
  # A change of 2.1 points whose classes differ by 5 points either way.
  found = judge(
    FALLS,
    {'intact': (0.95, 0.83), '1110': (0.95, 0.809)},
    spread=(-0.05, -0.03, -0.01, 0.01, 0.03, 0.05),
  )
  assert found.verdict == 'cannot decide'
  assert 'not clearly on one side of 2 points' in found.reason


def test_one_seed_against_the_others_forbids_a_verdict():
  rows = study({'intact': (0.95, 0.83), '1110': (0.95, 0.6)})
  for row in (*rows.rows, *rows.classes):
    if row['skips'] == '1110' and row['seed'] == 2:
      row['att_acc1'] = 0.84
  found = judging.judge_finding(FALLS, {'mi_a': rows})
  (one,) = found.contrasts
  assert found.verdict == 'cannot decide'
  # By hand: 0.6 - 0.83 for two seeds, whose jitter cancels, and 0.84 - 0.834.
  assert one.by_seed == pytest.approx((-0.23, -0.23, 0.006))
  assert one.change.mean == pytest.approx((-0.23 * 2 + 0.006) / 3)
  assert one.cost == pytest.approx(0)


@pytest.mark.parametrize(
  ('options', 'words'),
  [
    ({'seeds': (0,)}, '1 of their seeds and 6 of their classes in common'),
    ({'evaluator_accuracy': 0.5}, 'the evaluator names 50.0%'),
    ({'chance_accuracy': 0.99}, 'within reach of guessing'),
    ({'status': 'diverged'}, 'has finished'),
  ],
)
def test_rows_that_mean_nothing_decide_nothing(options, words):
  found = judge(FALLS, {'intact': (0.95, 0.83), '1110': (0.95, 0.6)}, **options)
  assert found.verdict == 'cannot decide'
  assert words in found.reason


@pytest.mark.parametrize(
  'changes', [{'evaluator_accuracy': 0.05}, {'chance_att_acc': 0.9}]
)
@pytest.mark.parametrize('which', [0, 1])
def test_a_doubt_of_either_study_forbids_a_verdict(changes, which):
  values = ({'intact': (0.95, 0.83)}, {'intact': (0.95, 0.6)})
  treatment = Treatment(skips='intact')
  sound = [(study(each), treatment) for each in values]
  assert contrasts.contrast(FALLS, 'two', *sound).verdict == 'holds'
  sides = [*sound]
  sides[which] = (study(values[which], **changes), treatment)
  assert contrasts.contrast(FALLS, 'two', *sides).verdict == 'cannot decide'


@pytest.mark.parametrize(
  ('column', 'value'),
  [
    ('evaluator', 'other'),
    ('evaluator_accuracy', 0.9),
    ('generator', 'other'),
    ('generator_fid', 2.0),
    ('model', 'vgg'),
    ('dataset', 'other'),
  ],
)
def test_two_runs_that_differ_otherwise_decide_nothing(column, value):
  finding = dataclasses.replace(FALLS, after=('none',), against=('mi_b',))
  runs = {
    'mi_a': study({'intact': (0.95, 0.83)}),
    'mi_b': study({'intact': (0.95, 0.6)}),
  }
  assert judging.judge_finding(finding, runs).verdict == 'holds'
  for row in runs['mi_b'].rows:
    row[column] = value
  found = judging.judge_finding(finding, runs)
  assert found.verdict == 'cannot decide'
  assert f'the runs differ in {column}: ' in found.reason


def test_targets_that_hardly_trained_decide_nothing():
  found = judge(FALLS, {'intact': (0.95, 0.83), '1110': (0.4, 0.1)})
  assert found.verdict == 'cannot decide'
  assert 'hardly trained: their accuracy is 40.' in found.reason


def test_an_attack_that_one_treatment_lacks_decides_nothing():
  weak = study({'intact': (0.95, 0.5), '1110': (0.95, 0.5)})
  strong = study({'intact': (0.95, 0.9), '1110': (0.95, 0.89)})
  for row in (*strong.rows, *strong.classes):
    row['attack'] = 'plg'
  kept = [r for r in strong.rows if r['skips'] == 'intact' or r['seed'] != 1]
  both = StudyRows([*weak.rows, *kept], [*weak.classes, *strong.classes])
  found = judging.judge_finding(FALLS, {'mi_a': both})
  assert found.verdict == 'cannot decide'
  assert 'plg has AttAcc@1 90.0% on alpha 0, more than any' in found.reason
  # Where the attack is what differs between two runs, there is none in common.
  adaptive = dataclasses.replace(
    FALLS, kind='rises', before=('none',), after=('the same',), against=('mi_b',)
  )
  runs = {'mi_a': weak, 'mi_b': StudyRows(kept, strong.classes)}
  assert judging.judge_finding(adaptive, runs).verdict == 'holds'


def test_every_earlier_stage_and_every_run_must_agree():
  last = dataclasses.replace(FALLS, before=('stages',))
  values = {
    'intact': (0.95, 0.83),
    '0111': (0.95, 0.80),
    '1011': (0.95, 0.78),
    '1110': (0.95, 0.6),
  }
  found = judge(last, values)
  assert found.verdict == 'holds'
  assert len(found.contrasts) == 2
  assert '2 of 2 comparisons say so' in found.reason
  assert judge(last, values | {'1011': (0.95, 0.6)}).verdict == 'does not hold'
  two = dataclasses.replace(last, runs=('mi_a', 'mi_b'))
  found = judge(two, values)
  assert found.verdict == 'cannot decide'
  assert found.reason == ('The run mi_b is missing; 1 of 3 comparisons are open.')


@pytest.mark.parametrize(
  ('after', 'verdict'),
  [(0.835, 'holds'), (0.9, 'does not hold'), (0.7, 'does not hold')],
)
def test_equality_is_a_margin_too(after, verdict):
  equal = dataclasses.replace(
    FALLS, kind='equal', after=('none',), against=('mi_b',), within=None
  )
  runs = {
    'mi_a': study({'intact': (0.95, 0.83)}),
    'mi_b': study({'intact': (0.9, after)}),
  }
  assert judging.judge_finding(equal, runs).verdict == verdict


def test_a_wide_interval_says_neither_equal_nor_different():
  equal = dataclasses.replace(FALLS, kind='equal')
  change = contrasts.Estimate(0.01, -0.03, 0.05)
  assert contrasts.judge_change(equal, change, (0.0, 0.02), change) == 'cannot decide'


def test_one_of_many_comparisons_fails_only_by_a_wider_interval():
  """The change of +6.4 points is more than -2 at a level of 95%, and not at 98.3%."""
  spread = (-0.14, -0.08, -0.03, 0.03, 0.08, 0.14)
  values = {'intact': (0.95, 0.6), '1110': (0.95, 0.664)}
  one = judge(FALLS, values, spread=spread)
  assert one.verdict == 'does not hold'
  assert one.contrasts[0].change.over == '3 seeds and 6 classes'
  # Two more that hold, and so do not decide
  values |= {'1111/0.2': (0.95, 0.1), '1110@1': (0.95, 0.1)}
  three = dataclasses.replace(FALLS, after=('rolss', 'ssf', 'tts'))
  assert judge(three, values, spread=spread).verdict == 'cannot decide'
  values['1110'] = (0.95, 0.9)
  failed = judge(three, values, spread=spread)
  assert failed.verdict == 'does not hold'
  assert '98.3% interval, 3 seeds and 6 classes' in failed.reason


def test_tts_of_a_short_training_stands_for_that_of_the_paper():
  rows = study({'intact': (0.95, 0.83), '1110@1': (0.95, 0.6)})
  (found,) = judging.resolve('tts', rows)
  assert found.skips == '1110@1'
  (found,) = judging.resolve('tts+bido', rows)
  assert found.skips == '1110@5'  # the rows have none


def test_runs_of_a_name_are_one_study_and_must_be_alike():
  parts = {
    'mi_net': study({'intact': (0.95, 0.83)}),
    'mi_net_rolss': study({'1110': (0.95, 0.6)}),
    'mi_net2': study({'0111': (0.95, 0.6)}),
    'mi_net_small': study({'1011': (0.95, 0.6)}),
  }
  assert {row['skips'] for row in judging.gather(parts, 'mi_net').rows} == {
    'intact',
    '1110',
  }
  parts['mi_net_rolss'].rows[0]['evaluator'] = 'other'
  with pytest.raises(InputError, match='differ in evaluator: other and x'):
    judging.gather(parts, 'mi_net')
  parts['mi_net_rolss'].rows[0] |= {'evaluator': 'x', 'evaluator_accuracy': 0.35}
  with pytest.raises(InputError, match=r'evaluator_accuracy: 0\.35 and 0\.95'):
    judging.gather(parts, 'mi_net')


def test_a_copy_of_a_run_gives_no_more_seeds():
  rows = study({'intact': (0.95, 0.83)})
  copied = {'mi_net': rows, 'mi_net_old': rows}
  with pytest.raises(InputError, match='mi_net and mi_net_old both hold ppa on'):
    judging.gather(copied, 'mi_net')
  apart = {'mi_net': rows, 'mi_net_1': study({'intact': (0.95, 0.83)}, seeds=(7,))}
  assert len(judging.gather(apart, 'mi_net').rows) == 4
