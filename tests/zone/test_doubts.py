"""Rows that carry no conclusion: nothing is concluded from them."""

import math

import pytest
from made_up import ERRORS as JUMP
from made_up import change, make_rows

from gpz_jax import zone
from gpz_jax.results.tables import format_table
from gpz_jax.types import Treatment
from gpz_jax.zone import doubts


def test_a_sound_sweep_has_no_doubts():
  rows = make_rows(JUMP)
  assert zone.golden_zone(rows).treatments[0].doubts == ()
  found = zone.recommend(rows)
  assert (found.split, found.doubts) == ('c', ())


@pytest.mark.parametrize(
  ('values', 'reason'),
  [
    (
      {'target_accuracy': 0.156, 'chance_accuracy': 0.19},
      "the target's accuracy of 15.6% is within reach of guessing (up to 19.0%); train",
    ),
    # By hand: the least error per element is 0.01 / 3, over 0.9 of the guess.
    (
      {'guess_mse': 0.0037},
      'no attack did clearly better than the mean image or the class mean at any split'
      ' (at best MSE 0.0033, at a, against 0.0037)',
    ),
    (
      {'loss_fall': 0.23},
      'the decoder at c was still improving (its held-out error fell by 23% in the last'
      ' fifth of its epochs); raise --decoder_epochs',
    ),
  ],
)
def test_nothing_is_concluded_from_doubtful_rows(values, reason):
  rows = change(make_rows(JUMP), **values)
  found = zone.golden_zone(rows).treatments[0]
  assert (found.split, found.start_index) == (None, None)
  assert found.sentence().startswith('alpha 0: no conclusion, because ')
  assert reason in found.sentence()
  for limits in ({}, {'max_edge_params': 300}):
    advice = zone.recommend(rows, **limits)
    assert (advice.split, advice.treatment) == (None, None)
    assert advice.sentence().startswith('No conclusion: ')
    assert reason in advice.sentence()
  assert zone.vote(rows).treatments[0].votes == ()


def test_a_treatment_that_is_left_out_is_named_beside_what_is_said_of_the_others():
  rows = [
    *make_rows(JUMP),
    *make_rows([0.06] * 4, seed=1, accuracy=0.1),
    *make_rows([0.01] * 4, alpha=0.3),
  ]
  said = zone.recommend(rows, private_enough=0.05).sentence()
  assert said.startswith('No cut is private enough: ')
  assert (
    "alpha 0 is left out, because the target's accuracy of 10.0% with seed 1 is within"
    ' reach of guessing'
  ) in said
  assert (
    'left out' not in zone.recommend(make_rows(JUMP), private_enough=0.05).sentence()
  )


def test_one_seed_whose_target_guesses_forbids_a_conclusion():
  flat = make_rows([0.06] * 4, seed=1, accuracy=0.1)
  for good in (JUMP, [0.01, 0.012, 0.013, 0.014]):
    rows = [*make_rows(good), *flat]
    for text in (
      zone.golden_zone(rows).sentence(),
      zone.recommend(rows, private_enough=0.01).sentence(),
    ):
      assert (
        "the target's accuracy of 10.0% with seed 1 is within reach of guessing"
        ' (up to 20.0%); leave that seed out (--seeds), or train longer'
      ) in text
  # a target that diverged is in no mean, and a defence may break one seed at one split
  lost = change(flat, status='diverged', test_mse=math.nan, test_mse_paper=math.nan)
  assert zone.golden_zone([*make_rows(JUMP), *lost]).treatments[0].split == 'c'
  rows = [*make_rows(JUMP), *make_rows(JUMP, seed=1), *make_rows(JUMP, seed=2)]
  for row in rows:
    row['target_accuracy'] = 0.1 if (row['seed'], row['split']) == (1, 'c') else 0.9
  assert 'the target with seed 1 has an accuracy of 10.0% with what it sends at c' in (
    zone.golden_zone(rows).sentence()
  )


def test_an_attack_that_works_somewhere_may_fail_elsewhere():
  # Deep splits that are no better than the guess are what a golden zone is.
  rows = change(make_rows(JUMP), guess_mse=0.05 / 3)
  assert zone.recommend(rows).split == 'c'


def test_one_doubtful_treatment_leaves_the_other():
  rows = [
    *change(make_rows(JUMP), target_accuracy=0.1),
    *make_rows(JUMP, alpha=0.3),
  ]
  found = zone.recommend(rows)
  assert (found.split, found.treatment) == ('c', Treatment(0.3))
  assert [one.treatment for one in found.alternatives] == 4 * [Treatment(0.3)]
  first, second = zone.golden_zone(rows).treatments
  assert first.doubts
  assert second.split == 'c'


def test_treatments_with_the_same_doubt_share_a_sentence():
  rows = [
    *change(make_rows(JUMP), target_accuracy=0.1),
    *change(make_rows(JUMP, alpha=0.1), target_accuracy=0.15),
    *change(make_rows(JUMP, alpha=0.2), loss_fall=0.5),
    *make_rows(JUMP, alpha=0.3),
  ]
  found = zone.golden_zone(rows)
  texts = [finding.text for finding in found.list_findings()]
  assert len(texts) == 3
  assert texts[0].startswith(
    "alpha 0; alpha 0.1: no conclusion, because every target's accuracy, 15.0% at best,"
    ' is within reach of guessing (up to 20.0%);'
  )
  assert texts[1].startswith('alpha 0.2: no conclusion, because the decoder at c ')
  assert texts[2].startswith('alpha 0.3: golden zone from c on')
  assert found.sentence() == ' '.join(texts)


def test_the_advice_names_whom_a_doubt_is_about():
  some = [
    *change(make_rows(JUMP), guess_mse=0.0037),
    *change(make_rows(JUMP, alpha=0.3), target_accuracy=0.1, guess_mse=0.0035),
  ]
  found = zone.recommend(some)
  # By hand: 0.01 / 3 is 0.90 of 0.0037 and 0.95 of 0.0035: the first is the better.
  assert found.reason.count('no attack did clearly better') == 1
  assert '(at best MSE 0.0033, at a, against 0.0037)' in found.reason
  assert "; and with alpha 0.3, the target's accuracy of 10.0% is" in found.reason
  assert found.tells_all_of(zone.golden_zone(some))
  sound = [*some, *make_rows(JUMP, alpha=0.5)]
  assert not zone.recommend(sound).tells_all_of(zone.golden_zone(sound))


def test_rows_and_table_name_their_doubts():
  rows = make_rows(JUMP)
  assert doubts.describe_row(rows[0]) == ''
  rows = change(rows, target_accuracy=0.1)
  rows[2]['loss_fall'] = 0.3
  for row in rows:
    row['doubt'] = doubts.describe_row(row)
  assert rows[2]['doubt'] == 'target near chance; loss still falling'
  assert format_table(rows).splitlines()[-2:] == [
    'doubtful, target near chance: every split with alpha 0',
    'doubtful, loss still falling: c with alpha 0',
  ]


def test_the_whole_model_on_the_device_is_called_so_and_taken_last():
  rows = make_rows([0.01, 0.03, 0.07])
  rows[2]['edge_flops_share'] = 0.999
  assert zone.recommend(rows, max_edge_params=300).split == 'b'
  found = zone.recommend(rows, max_payload_bytes=2000)
  assert found.split == 'c'
  assert 'it keeps the whole model on the device, which is no partition' in found.reason


def test_a_dropout_module_is_called_so():
  rows = make_rows(JUMP)
  rows[2]['split_module'] = 'Dropout'
  assert '(Dropout module, MSE 0.0167' in zone.recommend(rows).reason


def test_a_defence_that_ruins_the_model_at_a_split_is_no_cut():
  rows = make_rows([0.03, 0.06, 0.09, 0.15])
  for row in rows[1:3]:
    row['target_accuracy'] = 0.1
  found = zone.recommend(rows, max_edge_params=300)
  assert found.verdict == 'No conclusion'
  assert 'an accuracy of 10.0% with what it sends at c' in found.reason
  for row in rows:
    row['doubt'] = doubts.describe_row(row)
  lines = format_table(rows).splitlines()
  assert 'doubtful, target near chance: b with alpha 0, c with alpha 0' in lines
  assert any(
    line.split() == ['test', 'accuracy', '0.100', 'to', '0.900'] for line in lines
  )


def test_a_defence_that_halves_the_accuracy_is_recommended_only_where_asked_for():
  ladder = {'thumbnail_4': {'mse': 0.02, 'ssim': 0.6}}
  weak = change(make_rows([0.1] * 4), defence='noise:sigma=3', target_accuracy=0.44)
  rows = [*make_rows([0.01, 0.012, 0.07, 0.08]), *weak]
  found = zone.recommend(rows, ladder=ladder)
  assert (found.split, found.treatment) == ('c', Treatment())
  assert 'the cheapest such cut within min_accuracy=0.45 (' in found.reason
  # By hand: half of 90%.
  assert found.caveat.endswith(
    'Cuts with an accuracy below 45.0%, half of the best, are left out;'
    ' --min_accuracy=0 takes them in.'
  )
  assert zone.recommend(rows, ladder=ladder, min_accuracy=0).split == 'a'
  rows = change(rows, target_accuracy=0.9)
  assert 'left out' not in zone.recommend(rows, ladder=ladder).sentence()


def test_a_defence_that_halves_the_accuracy_is_most_private_only_where_asked_for():
  ladder = {'thumbnail_4': {'mse': 0.02, 'ssim': 0.6}}
  errors = [0.01, 0.012, 0.013, 0.2]
  weak = change(make_rows(errors), defence='noise:sigma=3', target_accuracy=0.44)
  rows = [*make_rows([0.01, 0.012, 0.07, 0.08]), *weak]
  for bar, split in (('4x4', 'c'), (0.9, None)):
    limits = {'ladder': ladder, 'private_enough': bar}
    found = zone.recommend(rows, **limits)
    assert found.split == split
    private = found.most_private
    assert (private.split, private.treatment) == ('d', Treatment())
    assert found.caveat.endswith('--min_accuracy=0 takes them in.')
    assert all(one.treatment == Treatment() for one in found.alternatives)
    found = zone.recommend(rows, **limits, min_accuracy=0)
    assert (found.split, found.most_private.treatment) == (split, Treatment.of(weak[0]))
    assert 'left out' not in found.sentence()
