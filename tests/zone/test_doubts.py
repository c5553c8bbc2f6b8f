"""Rows that carry no conclusion: nothing is concluded from them."""

import math

import pytest
from made_up import make_rows

from gpz_jax import zone
from gpz_jax.results.tables import format_table
from gpz_jax.types import Treatment
from gpz_jax.zone import doubts

JUMP = [0.01, 0.012, 0.05, 0.06]  # a zone from c on, where nothing is doubtful


def change(rows, **values):
  return [row | values for row in rows]


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


def test_a_falling_loss_matters_where_the_conclusion_rests_on_it():
  rows = make_rows(JUMP)
  rows[0]['loss_fall'] = 0.5  # before the zone: there the error would only be lower
  assert zone.recommend(rows).split == 'c'
  rows[3]['loss_fall'] = 0.5
  assert zone.recommend(rows).split == 'c'
  assert zone.recommend(rows, max_edge_params=400).split is None


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


def test_unknown_falls_are_no_doubt():
  rows = change(make_rows(JUMP), loss_fall=math.nan)
  assert zone.recommend(rows).split == 'c'


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


def test_what_the_seeds_cannot_tell_apart_is_said():
  one = zone.recommend(make_rows([0.03, 0.06, 0.0417, 0.0423]), max_edge_params=400)
  assert one.split == 'b'
  assert one.caveat == ''
  one = zone.recommend(make_rows([0.03, 0.0417, 0.0423]), max_edge_params=400)
  assert one.caveat == (
    'One seed cannot tell its error from that of b with alpha 0 (MSE 0.0139); run more'
    ' seeds.'
  )
  seeds = [
    row
    for seed, shift in enumerate((0, 0.01, -0.012))
    for row in make_rows([0.03, 0.0417 + shift, 0.0423], seed=seed)
  ]
  assert 'The seeds cannot tell its error from that of b' in (
    zone.recommend(seeds, max_edge_params=400).caveat
  )
  steady = [
    row
    for seed, shift in enumerate((0, 0.0001, -0.0001))
    for row in make_rows([0.03, 0.0400 + shift, 0.0423], seed=seed)
  ]
  assert zone.recommend(steady, max_edge_params=400).caveat == ''


def test_in_how_many_seeds_the_zone_starts_there():
  assert 'This is one seed' in zone.recommend(make_rows(JUMP)).caveat
  rows = [*make_rows(JUMP), *make_rows([0.01, 0.03, 0.07, 0.07], seed=1)]
  found = zone.recommend(rows)
  # By hand: the means are 0.01, 0.021, 0.06: b jumps 2.1x.
  assert found.split == 'b'
  assert found.caveat == 'The zone starts there in 1 of 2 seeds.'


def test_a_decoder_before_the_zone_that_may_begin_it():
  # By hand: a fell by 60%, and as many epochs again would leave 0.4^3.106 = 0.058 of
  # it. Then b, above 0.02, would be over twice a, and the zone would begin there.
  rows = make_rows([0.013, 0.022, 0.06, 0.07])
  assert zone.golden_zone(rows).treatments[0].split == 'c'
  rows[0]['loss_fall'] = 0.6
  found = zone.golden_zone(rows).treatments[0]
  assert found.split is None
  assert 'the decoder at a was still improving' in found.sentence()
  rows[0]['loss_fall'] = 0.12  # 0.88^3.106 = 0.67: b would be 2.5 times a
  assert zone.golden_zone(rows).treatments[0].doubts
  rows[0]['loss_fall'] = 0.05
  assert zone.golden_zone(rows).treatments[0].split == 'c'


def test_no_zone_is_concluded_from_decoders_that_may_begin_one():
  rows = change(make_rows([0.03, 0.04, 0.05]), loss_fall=0.4)
  found = zone.golden_zone(rows).treatments[0]
  assert 'no conclusion, because the decoder at a was still improving' in (
    found.sentence()
  )
  rows = change(rows, loss_fall=0.0)
  assert 'no golden zone' in zone.golden_zone(rows).treatments[0].sentence()


def test_one_epoch_tells_nothing_of_the_next():
  rows = change(make_rows(JUMP), loss_fall=math.nan, epochs=1)
  assert doubts.describe_row(rows[0]) == 'one epoch only'
  assert 'the attack at c took one epoch' in zone.recommend(rows).reason


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


def test_errors_on_different_images_are_no_jump():
  rows = make_rows(JUMP)
  for row in rows[2:]:
    row |= {'n_test': 32, 'guess_mse': 0.3}
  found = zone.golden_zone(rows).treatments[0]
  assert found.split is None
  assert 'at b and c were scored on different test images (1 and 32)' in (
    found.sentence()
  )


def search(rows, error, **changes):
  """An attack on the first of the test images, for each row."""
  few = {'attack': 'rmle', 'n_test': 32, 'guess_mse': 2 * rows[0]['guess_mse']}
  found = {'test_mse': error / 3, 'test_mse_paper': error}
  return [row | few | found | changes for row in rows]


def test_a_search_on_few_images_may_contradict_a_zone():
  rows = change(make_rows(JUMP), n_test=10_000)
  assert zone.golden_zone([*rows, *search(rows[2:3], 0.09)]).treatments[0].split == 'c'
  # The few are twice as hard to guess. By hand: 0.045 / 2 is not over 2 x 0.012.
  found = zone.golden_zone([*rows, *search(rows[2:3], 0.045)]).treatments[0]
  assert found.split is None
  assert (
    'attack rmle did better at c, on the 32 test images that it was scored on'
    in found.sentence()
  )


def test_a_search_beside_unknown_guesses_is_compared_as_it_is():
  rows = change(make_rows(JUMP), n_test=10_000, guess_mse=math.nan)
  found = [*rows, *search(rows[2:3], 0.09)]
  assert zone.golden_zone(found).treatments[0].split == 'c'
