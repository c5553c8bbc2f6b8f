"""Both threats in one table: by hand, on rows with chosen numbers."""

import csv
import re

import forked
import made_up_inversions
import pytest
from made_up_threats import make_faces, make_many, make_sweep
from PIL import Image

from gpz_jax import results, threats
from gpz_jax.report.threats import figures
from gpz_jax.results.inversions import INVERSIONS
from gpz_jax.threats.crossing import DOUBTFUL, LEAKS, MODEL, OPEN, PROTECTS
from gpz_jax.types import InputError, Treatment

SKIPS, FREE = 'alpha 0, skips 1110', 'no loss of accuracy'
BOTH = 'These protect against both threats'
NONE = 'No treatment was shown to protect against'
IN_PART = f'{NONE} both threats; these protect in part: {SKIPS}'


def cross(sweep, faces):
  return threats.cross(sweep, faces, made_up_inversions.make_classes(faces))


def effects_of(crossing, number=1):
  return {effect.threat: effect for effect in crossing.treatments[number].effects}


def test_each_threat_is_judged_by_its_own_attack():
  crossing = cross(make_sweep(), make_faces())
  assert crossing.baseline == Treatment()
  assert crossing.splits == ('a', 'b')
  untreated, treated = crossing.treatments
  assert [each.verdict for each in untreated.effects] == ['', '', '']
  assert untreated.effects[0].found.mean == pytest.approx(0.01)
  found = {effect.threat: effect for effect in treated.effects}
  # By hand: 1.3 * (0.98, 1, 1.02) over (0.99, 1, 1.01), less 1.
  gains = [1.3 * 0.98 / 0.99 - 1, 0.3, 1.3 * 1.02 / 1.01 - 1]
  assert found['a'].change.mean == pytest.approx(sum(gains) / 3)
  assert found['a'].change.over == '3 seeds'
  assert found[MODEL].change.mean == pytest.approx(0.4)
  assert {effect.verdict for effect in treated.effects} == {PROTECTS}
  text = threats.format_crossed(crossing)
  assert (
    f'These protect against both threats: {SKIPS} (at a and b, for {FREE}).' in text
  )
  assert 'AttAcc@1 -40.0 points, for no loss of accuracy' in text


@pytest.mark.parametrize(
  ('treated', 'att_acc', 'verdicts', 'headline'),
  [
    (
      *(0.7, 0.8, (LEAKS, LEAKS, OPEN)),
      f'{NONE} either threat; these leak more: {SKIPS} (at a and b, for {FREE})',
    ),
    (
      *(1.0, 0.95, (OPEN, OPEN, LEAKS)),
      f'{NONE} either threat; these leak more: {SKIPS} (under {MODEL}, for {FREE})',
    ),
    (
      *(1.3, 0.79, (PROTECTS, PROTECTS, OPEN)),
      f'{IN_PART} (at a and b, for {FREE})',
    ),
    (
      *(1.0, 0.3, (OPEN, OPEN, PROTECTS)),
      f'{IN_PART} (under {MODEL}, for {FREE})',
    ),
    (1.0, 0.8, (OPEN, OPEN, OPEN), 'No conclusion can be drawn from these results'),
  ],
)
def test_a_verdict_needs_an_interval_on_one_side(treated, att_acc, verdicts, headline):
  crossing = cross(make_sweep(treated), make_faces(att_acc))
  assert tuple(e.verdict for e in crossing.treatments[1].effects) == verdicts
  assert threats.conclude(crossing).headline == headline
  assert f'\n{headline}.\n' in threats.format_crossed(crossing)


def test_what_cannot_be_told_says_what_to_run():
  def advise(*made):
    return threats.conclude(cross(*made)).advice

  seeds = 'To tell more, run more seeds (--seeds)'
  assert advise(make_sweep(), make_faces()) == ''
  assert advise(make_sweep(1.0), make_faces()) == seeds
  classes = f'{seeds} or attack more classes (--classes)'
  assert advise(make_sweep(), make_faces(0.8)) == classes
  alone = [row for row in make_faces() if row['skips'] == 'intact']
  assert '--treatments' in advise(make_sweep(), alone)
  # A doubt says by itself what to raise.
  assert advise(make_sweep(guess_mse=0.001), make_faces()) == ''


def test_one_seed_decides_nothing_of_activations():
  crossing = cross(make_sweep(seeds=(0,)), make_faces(seeds=(0,)))
  found = effects_of(crossing)
  assert found['a'].verdict == OPEN
  assert found[MODEL].verdict == PROTECTS  # its classes are many


def test_a_clear_rise_leaks_more_without_rows_of_classes_too():
  faces = make_faces(0.95)
  assert effects_of(threats.cross(make_sweep(), faces))[MODEL].verdict == LEAKS
  one = make_faces(0.97, seeds=(0,))
  assert effects_of(cross(make_sweep(seeds=(0,)), one))[MODEL].verdict == LEAKS


def test_a_split_that_leaks_more_is_no_protection():
  sweep = make_sweep()
  for row in sweep:
    if row['skips'] != 'intact' and row['split'] == 'b':
      row['test_mse'] *= 0.5
  crossing = cross(sweep, make_faces())
  verdicts = [effect.verdict for effect in crossing.treatments[1].effects]
  assert verdicts == [PROTECTS, LEAKS, PROTECTS]
  assert threats.conclude(crossing).headline == (
    f'{IN_PART} (at a and under {MODEL}, for {FREE}, but leaks more at b)'
  )


def test_what_is_sent_has_a_cost_of_its_own():
  noisy = {'skips': 'intact', 'defence': 'noise'}
  sweep, faces = make_sweep(), make_faces()
  for row in (*sweep, *faces):
    if row['skips'] != 'intact':
      row |= noisy
  for row in sweep:
    if row['defence'] == 'noise':
      row['target_accuracy'] = 0.3
  crossing = cross(sweep, faces)
  found = effects_of(crossing)
  assert found['a'].cost.mean == pytest.approx(0.6)
  assert found[MODEL].cost.mean == pytest.approx(0)
  text = threats.format_crossed(crossing)
  assert 'noise (error +30%, for 60.0 points of accuracy)' in text
  assert 'noise (at a and b, for up to 60.0 points of accuracy).' in text
  assert crossing.notes == ()


def test_a_headline_names_the_cheapest_and_counts_the_others():
  crossing = cross(*make_many(4))
  verdicts = {e.verdict for each in crossing.treatments[1:] for e in each.effects}
  assert verdicts == {PROTECTS}
  assert threats.conclude(crossing).headline == (
    f'{BOTH}: '
    + ', '.join(
      f'alpha {alpha}, skips 1110 (at every split, for {cost} of accuracy)'
      for alpha, cost in ((0.3, '1.0 point'), (0.2, '2.0 points'))
    )
    + ' and 3 more'
  )


def test_the_answer_is_no_split():
  sweep = make_sweep()
  for row in sweep:
    row['split'] = {'a': 'a', 'b': 'prediction'}[row['split']]
  assert cross(sweep, make_faces()).splits == ('a',)


def test_the_strongest_attack_counts():
  weak = make_sweep(attacks=('inversion', 'other'))
  for row in weak:
    row['test_mse'] *= 2 if row['attack'] == 'other' else 1
  found = effects_of(cross(weak, make_faces()), 0)
  assert found['a'].found.mean == pytest.approx(0.01)


def test_an_attack_that_one_side_lacks_protects_nothing():
  sweep = make_sweep(1.0, attacks=('inversion', 'other'))
  for row in sweep:
    row['test_mse'] *= 3 if row['attack'] == 'other' else 1
  faces = [
    row | {'attack': attack, 'att_acc1': row['att_acc1'] - fall}
    for row in make_faces(0.79)
    for attack, fall in (('plg', 0), ('ppa', 0.4))
  ]
  lost = {'intact': False, '1110': True}
  sweep = [
    row | {'status': 'diverged'}
    if lost[row['skips']] and row['attack'] == 'inversion' and row['seed'] < 2
    else row
    for row in sweep
  ]
  faces = [
    row
    for row in faces
    if not (lost[row['skips']] and row['attack'] == 'plg' and row['seed'] == 0)
  ]
  found = effects_of(cross(sweep, faces))
  assert [effect.verdict for effect in found.values()] == [DOUBTFUL] * 3
  assert found['b'].doubt.startswith(
    'inversion is the strongest attack at b on alpha 0'
  )
  assert 'plg has AttAcc@1 80.0% on alpha 0, more than' in found[MODEL].doubt


def test_doubts_of_either_study_are_told():
  found = effects_of(cross(make_sweep(guess_mse=0.001), make_faces()))
  assert found['b'].verdict == DOUBTFUL
  assert found[MODEL].verdict == PROTECTS
  falling = effects_of(cross(make_sweep(loss_fall=0.5), make_faces()))
  assert falling['a'].doubt.startswith('the decoder at a was still improving')
  broken = make_faces()
  for row in broken:
    row['target_accuracy'] = 0.9 if row['skips'] == 'intact' else 0.3
  assert 'hardly trained' in effects_of(cross(make_sweep(), broken))['a'].doubt
  crossing = cross(make_sweep(), make_faces(evaluator_accuracy=0.5))
  assert effects_of(crossing)[MODEL].verdict == DOUBTFUL
  assert 'doubtful: the evaluator names 50.0%' in threats.format_crossed(crossing)


def test_other_targets_are_told():
  assert cross(make_sweep(), make_faces()).notes == ()
  crossing = cross(make_sweep(target_accuracy=0.8), make_faces())
  (note,) = crossing.notes
  assert 'With alpha 0 and seed 0 the accuracy is 80.0% in a sweep and 90.0%' in note
  assert cross(make_sweep(target_accuracy=0.905), make_faces()).notes == ()


def test_what_only_one_study_has_is_named():
  sweep = [*make_sweep(), *(row | {'alpha': 0.3} for row in make_sweep())]
  crossing = cross(sweep, make_faces())
  assert [each.treatment for each in crossing.treatments] == [
    Treatment(),
    Treatment(skips='1110'),
  ]
  assert crossing.notes[0] == (
    'left out, without a finished row in both studies: alpha 0.3; alpha 0.3, skips 1110'
  )


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({'model': 'resnet18'}, 'the sweep has model resnet18 and the study of .* vgg'),
    ({'dataset': 'dogs'}, 'dataset dogs'),
    ({'skips': '0111', 'alpha': 0.7}, 'no treatment has a finished row in both'),
    ({'status': 'diverged'}, 'no treatment has a finished row in both'),
  ],
)
def test_studies_of_other_targets_are_refused(changes, message):
  with pytest.raises(InputError, match=message):
    cross(make_sweep(**changes), make_faces())


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({'aux_dataset': 'other'}, 'the sweeps differ in aux_dataset: other and x'),
    ({'n_aux': 48}, "was fitted to 1 of the attacker's images against alpha 0, and"),
    ({'epochs': 60}, 'had 20 epochs or steps against'),
    ({'n_test': 7}, 'attack inversion at a was scored on 1 test images against'),
  ],
)
def test_sweeps_that_cannot_be_compared_are_refused(changes, message):
  sweep = [*make_sweep(), *make_sweep(alpha=0.3, **changes)]
  with pytest.raises(InputError, match=message):
    cross(sweep, make_faces())


@pytest.mark.parametrize(
  ('changes', 'difference'),
  [
    ({'status': 'diverged'}, 'status: diverged and done'),
    ({'num_candidates': 99}, 'num_candidates: 16 and 99'),
    ({'evaluator_accuracy': 0.35}, 'evaluator_accuracy: 0.35 and 0.95'),
    ({'target_accuracy': 0.8}, 'target_accuracy: 0.8 and 0.9'),
    ({'att_acc1': 0.2}, 'att_acc1: 0.2 and 0.79'),
  ],
)
def test_two_studies_do_not_hold_one_attack_with_other_results(changes, difference):
  faces = make_faces()
  other = [faces[0] | changes]
  for studies in ({'a': faces, 'b': other}, {'a': other, 'b': faces}):
    with pytest.raises(
      InputError, match=f'a and b both attacked alpha 0 .*{difference}'
    ):
      threats.join(studies, results.inversion_key)


def test_rows_that_two_studies_agree_on_count_once():
  faces = make_faces()
  again = [faces[0] | {'att_acc1': 0.8, 'wall_seconds': 9.0, 'version': 'other'}]
  found = threats.join({'a': faces, 'b': again}, results.inversion_key)
  assert [row for row, _ in found.values()] == faces
  assert {study for _, study in found.values()} == {'a'}
  sweep = make_sweep()
  with pytest.raises(InputError, match='differ in activation_shape: 8x8 and x'):
    threats.join(
      {'a': sweep, 'b': [sweep[0] | {'activation_shape': '8x8'}]}, results.row_key
    )


def test_attackers_of_models_must_be_alike_too():
  faces = [
    row | {'num_candidates': 99} if row['skips'] == '1110' else row
    for row in make_faces()
  ]
  with pytest.raises(InputError, match='had 16 candidates against'):
    cross(make_sweep(), faces)


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({'evaluator_accuracy': 0.35}, 'differ in evaluator_accuracy: 0.35 and 0.95'),
    ({'evaluator': 'vgg11'}, 'differ in evaluator: vgg11 and x'),
    ({'generator_fid': 40.0}, 'searched a generator of FID 0.5 against'),
  ],
)
def test_studies_with_other_judges_or_generators_are_refused(changes, message):
  faces = [row | changes if row['skips'] == '1110' else row for row in make_faces()]
  with pytest.raises(InputError, match=message):
    cross(make_sweep(), faces)
  # What another device may find, or nobody has measured, is no difference.
  same = {'evaluator_accuracy': 0.945, 'generator_fid': float('nan')}
  faces = [row | same if row['skips'] == '1110' else row for row in make_faces()]
  assert effects_of(cross(make_sweep(), faces))[MODEL].verdict == PROTECTS


def test_what_judges_faces_says_nothing_of_activations():
  found = effects_of(cross(make_sweep(), make_faces(evaluator_accuracy=0.5)))
  assert [effect.verdict for effect in found.values()] == [PROTECTS, PROTECTS, DOUBTFUL]


def test_a_running_study_is_read_as_far_as_it_is(tmp_path):
  sweep = [row for row in make_sweep() if row['seed'] == 0 or row['skips'] == 'intact']
  faces = [row for row in make_faces() if row['seed'] == 0 or row['skips'] == 'intact']
  crossing = cross(sweep, faces)
  found = effects_of(crossing)
  assert found['a'].verdict == OPEN  # one seed in common
  # Both sides of the classes are those of the seed in common: 0.79 and 0.38.
  assert found[MODEL].change.mean == pytest.approx(0.41)
  assert found[MODEL].change.low < 0.41 < found[MODEL].change.high
  figures.draw(crossing, 'a').savefig(tmp_path / 'threats.png')


def test_the_command_prints_and_writes_the_same(tmp_path):
  sweep, faces, out = tmp_path / 'sweep', tmp_path / 'faces', tmp_path / 'new' / 'out'
  sweep.mkdir()
  faces.mkdir()
  results.write_parquet(sweep / 'results.parquet', make_sweep())
  made_up_inversions.write(faces, make_faces())
  # A folder that is given twice counts once.
  flags = [f'--sweep={sweep},{sweep}/', f'--model_inversion={faces},{faces}/']
  done = forked.run('threats', *flags, f'--workdir={out}')
  assert (done.returncode, done.stderr) == (0, '')
  assert (out / 'threats.txt').read_text() == done.stdout
  with (out / 'threats.csv').open(newline='') as file:
    lines = list(csv.DictReader(file))
  assert [line['threat'] for line in lines] == ['a', 'b', MODEL] * 2
  assert float(lines[-1]['change']) == pytest.approx(0.4)
  assert lines[-1]['inversion_seeds'] == '3'
  assert lines[-1]['verdict'] == PROTECTS
  with Image.open(out / 'threats.png') as picture:
    assert picture.width > 1000
  headline = re.search('<h1>(.*)</h1>', (out / 'threats.html').read_text())
  assert headline
  assert f'\n{headline[1]}\n' in done.stdout
  names = {'threats.csv', 'threats.html', 'threats.png', 'threats.txt'}
  assert {path.name for path in out.iterdir()} == names
  alone = [row for row in make_faces() if row['skips'] == 'intact']
  results.write_parquet(faces / 'inversions.parquet', alone, INVERSIONS)
  done = forked.run('threats', *flags, f'--workdir={out}')
  assert (done.returncode, done.stderr) == (0, '')
  assert 'There is no treatment beside alpha 0 to compare with.' in done.stdout
  other = tmp_path / 'other'
  other.mkdir()
  made_up_inversions.write(other, [row | {'att_acc1': 0.1} for row in alone])
  for arguments, message in (
    ([flags[0], f'{flags[1]},{other}'], 'both attacked alpha 0 with seed 0 by ppa'),
    (flags[:1], '--model_inversion is missing'),
    ([*flags, '--split=c'], "split 'c' is not known"),
    ([*flags, f'--workdir={sweep}/results.parquet/x'], 'cannot be made'),
  ):
    refused = forked.run('threats', *arguments)
    assert refused.returncode == 2
    assert message in refused.stderr
    assert refused.stderr.count('\n') == 1


def test_rows_of_the_two_studies_share_these_columns():
  for schema in (results.RESULTS, INVERSIONS):
    assert {'model', 'dataset', 'model_options'} <= set(schema.types)
