"""Every kind of attack, imported and foreign targets, through the whole sweep."""

import dataclasses
import math
import shutil
import types

import numpy as np
import pytest
import tiny
from PIL import Image
from safetensors.numpy import save_file

from gpz_jax import metrics, models, results, sweep, zone
from gpz_jax.attacks.activation.protocol import Outcome
from gpz_jax.study import continuing
from gpz_jax.sweep import attack as attack_lib
from gpz_jax.sweep import make_plan
from gpz_jax.types import Dataset, InputError
from gpz_jax.zone.worth import best_blind_guess

pytestmark = pytest.mark.usefixtures('blank_charts')
ATTACKS = (
  'inversion',
  'inversion:enhance=normalize_input+nn_concat:attention=aac+se:at=conv_1',
  'inversion:decoder=reversed_ir:at=conv_2',
  'inversion:act=tanh:decoder=inversion4:at=conv_1',
  'inversion:input=prediction_log',
  'rmle:steps=3:images=2:at=conv_1',
  'query_free:steps=3:images=2:at=conv_1',
)
PLAIN = {'model_options': ()}


@pytest.fixture(scope='module')
def config(tmp_path_factory):
  """The smallest sweep there is: 3 classes of 8 images, 16x16, one epoch."""
  root = tmp_path_factory.mktemp('images')
  rng = np.random.default_rng(0)
  for subset, count in (('train', 12), ('test', 3)):
    for k in range(3):
      folder = root / subset / str(k)
      folder.mkdir(parents=True)
      for i in range(count):
        image = rng.integers(0, 255, (16, 16, 3), np.uint8)
        Image.fromarray(image).save(folder / f'{i}.png')
  return tiny.sweep_config(
    tmp_path_factory.mktemp('runs') / 'attacks',
    dataset=f'folder:{root}',
    splits=('conv_1', 'conv_2'),
    attack=ATTACKS,
    train_limit=None,
    val_limit=None,
    test_limit=None,
    aux_limit=None,
    decoder_batch_size=4,
  )


@pytest.fixture(scope='module')
def found(config):
  """Results of one sweep with every kind of attack."""
  return sweep.run(config, quiet=True)


def test_every_attack_has_its_finite_rows(found):
  places = [(row['attack'], row['split']) for row in found.rows]
  assert sorted(places) == sorted(
    [
      (ATTACKS[0], 'conv_1'),
      (ATTACKS[0], 'conv_2'),
      (ATTACKS[1], 'conv_1'),
      (ATTACKS[2], 'conv_2'),
      (ATTACKS[3], 'conv_1'),
      (ATTACKS[4], 'prediction'),
      (ATTACKS[5], 'conv_1'),
      (ATTACKS[6], 'conv_1'),
    ]
  )
  for row in found.rows:
    is_search = row['decoder'] == 'none'
    assert math.isfinite(row['test_mse'])
    assert math.isfinite(row['aux_mse']) != is_search
    assert row['n_test'] == (2 if is_search else 9)
    assert row['status'] == 'done'
  decoders = {row['attack']: row['decoder'] for row in found.rows}
  assert decoders[ATTACKS[2]] == 'ReversedIR'
  assert decoders[ATTACKS[4]] == 'VectorDecoder'
  index = {row['split']: row['split_index'] for row in found.rows}
  assert index == {'conv_1': 0, 'conv_2': 1, 'prediction': 5}  # of all splits
  whole = next(row for row in found.rows if row['split'] == 'prediction')
  assert (whole['edge_params_share'], whole['payload_bytes']) == (1.0, 4 * 3)


def test_the_report_compares_the_attacks(found):
  page = found.report.read_text()
  assert 'The attacks compared' in page
  assert all(attack in page for attack in ATTACKS)
  assert 'The strongest attack at each split' in page


def test_targets_of_another_sweep_give_the_same_rows(config, found, tmp_path):
  again = dataclasses.replace(
    config, workdir=str(tmp_path / 'again'), targets_from=config.workdir
  )
  again = dataclasses.replace(again, attack=('inversion',), splits=('conv_2',))
  (row,) = sweep.run(again, quiet=True).rows
  assert sweep.find_targets(again, [found.workdir]) is None  # it has its own by now
  rows = {(row['attack'], row['split']): row for row in found.rows}
  assert row['test_mse'] == rows['inversion', 'conv_2']['test_mse']


def test_an_attack_that_makes_no_images_is_named(monkeypatch):
  for name in ('make_fingerprint', 'make_scenario'):
    monkeypatch.setattr(attack_lib, name, lambda *_, **__: None)
  bright = types.SimpleNamespace(
    text='users:bright', run=lambda _: Outcome.of(np.full((1, 1, 2, 2, 1), 255.0))
  )
  run = attack_lib.Run(types.SimpleNamespace(), bright, (2, 2, 4))
  with pytest.raises(InputError, match=r'attack users:bright: .* from 0 to 255; give'):
    run.run([], types.SimpleNamespace(aux=None), None, None)


@pytest.mark.ci
def test_targets_are_attacked_in_another_precision(config, found, tmp_path, capsys):
  again = dataclasses.replace(
    config,
    workdir=str(tmp_path / 'again'),
    targets_from=str(found.workdir),
    precision='bfloat16',
    attack=('inversion',),
    splits=('conv_2',),
  )
  (row,) = sweep.run(again).rows
  assert row['precision'] == 'bfloat16'
  assert row['changed'] == 'precision float32, now bfloat16'
  said = 'they were trained in float32, and are attacked in bfloat16'
  assert said in capsys.readouterr().out
  assert sweep.run(again, quiet=True).rows == [row]  # nothing is left to do


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({'splits': ('paper',)}, '--splits=paper: the paper attacks vgg19, ir152, vit6'),
    ({'attack': ('inversion:at=fc_1',)}, "--splits does not choose 'fc_1'"),
    ({'attack': ('inversion:at=fc_9',)}, "split 'fc_9' is not in the model"),
    ({'attack': ('inversion:input=cls',)}, "at split 'conv_1': input 'cls' reads"),
    ({'split_where': 'nothing_*'}, '--split_where=nothing_'),
    (
      {'model': 'tiny:absent', **PLAIN},
      "model 'tiny:absent' cannot be imported",
    ),
    (
      {'model': 'tiny:task', **PLAIN},
      "model 'tiny:task' cannot be made with num_classes=3",
    ),
    ({'model': 'tiny:Stubborn', **PLAIN}, 'cannot be called as module'),
    (
      {'model': 'tiny:Wide', **PLAIN},
      r'logits \[B, 3\]; it returns \(2, 4\)',
    ),
    ({'model_options': ('name=x',)}, '--model_options=name=x is not allowed'),
    ({'target_weights': 'a.pth', 'seeds': (0, 1)}, 'give one value each'),
    ({'target_weights': 'a.pth'}, "weights 'a.pth': no such file"),
    ({'targets_from': '/nowhere'}, '--targets_from=/nowhere'),
    ({'aux_limit': 1}, '--aux_limit must leave 2 at least'),
  ],
)
def test_bad_requests_are_refused_before_anything_is_written(
  config, tmp_path, changes, message
):
  workdir = tmp_path / 'run'
  with pytest.raises(InputError, match=message):
    sweep.run(dataclasses.replace(config, workdir=str(workdir), **changes), quiet=True)
  assert not workdir.exists()


def test_the_prediction_is_no_place_to_cut(found):
  assert found.zone.treatments[0].split != 'prediction'
  only = [row for row in found.rows if row['split'] == 'prediction']
  assert zone.recommend(only).split is None
  assert 'only the prediction' in zone.recommend(only).sentence()
  assert zone.golden_zone(only).treatments[0].split is None
  # The target is too small to be more than guessing, which forbids any advice.
  assert zone.recommend(found.rows, max_edge_params=1e9).doubts
  sure = {'chance_accuracy': 0.0, 'guess_mse': 1.0, 'loss_fall': 0.0}
  sound = [row | sure for row in found.rows]
  advice = zone.recommend(sound, max_edge_params=1e9)
  assert advice.split in ('conv_1', 'conv_2')


def test_a_guess_is_scored_on_the_images_that_were_attacked(found, config):
  task = make_plan(config).task
  guesses = {row['n_test']: row['guess_mse'] for row in found.rows}
  assert guesses.keys() == {2, 9}
  for count, guess in guesses.items():
    first = Dataset(task.test.image[:count], task.test.label[:count])
    ladder = metrics.ladder(task.aux, first, shared_labels=True)
    assert guess == pytest.approx(best_blind_guess(ladder), rel=1e-5)
  assert guesses[2] != pytest.approx(guesses[9], rel=1e-3)


def test_an_attack_on_fewer_images_does_not_decide(found):
  strongest = {row['split']: row for row in results.strongest(found.rows)}
  assert strongest['conv_1']['n_test'] == 9
  assert strongest['conv_1']['test_mse'] == min(
    row['test_mse']
    for row in found.rows
    if (row['split'], row['n_test']) == ('conv_1', 9)
  )


def test_targets_of_data_that_changed_are_refused(config, found, tmp_path, monkeypatch):
  monkeypatch.setattr(continuing, 'digest_data', lambda task: {'train': 'other'})
  theirs = str(found.workdir)
  borrowing = dataclasses.replace(
    config, workdir=str(tmp_path / 'again'), targets_from=theirs
  )
  with pytest.raises(InputError, match=f'of --targets_from={theirs} were trained on o'):
    sweep.run(borrowing, quiet=True)
  # A run that was interrupted before its first row goes on from its targets.
  begun = tmp_path / 'begun'
  shutil.copytree(found.workdir, begun)
  for rows in begun.glob('results.*'):
    rows.unlink()
  with pytest.raises(InputError, match=f'of --workdir={begun} were trained on other'):
    sweep.run(dataclasses.replace(config, workdir=str(begun)), quiet=True)


def test_another_target_than_the_borrowed_one_is_refused(config, found, tmp_path):
  other = dataclasses.replace(
    config,
    workdir=str(tmp_path / 'run'),
    targets_from=str(found.workdir),
    target_epochs=2,
  )
  with pytest.raises(InputError, match='target_epochs is 1 there and 2 here'):
    sweep.make_plan(other)


def test_a_foreign_module_is_cut_where_it_can_be(config, tmp_path):
  plan = sweep.make_plan(
    dataclasses.replace(
      config,
      workdir=str(tmp_path / 'run'),
      model='tiny:Branched',
      model_options=(),
      splits=('*',),
      attack=('inversion',),
    )
  )
  assert plan.splits == ('stem', 'sum')
  assert 'no true cut' in plan.dropped['left']


def test_imported_weights_are_attacked_untrained(config, tmp_path):
  import jax
  import jax.numpy as jnp

  model = models.make('cnn', num_classes=3, width=0.0625)
  variables = model.init(jax.random.key(5), jnp.zeros((1, 16, 16, 3)))
  flat = {
    '/'.join(part.key for part in path): np.asarray(leaf)
    for path, leaf in jax.tree_util.tree_leaves_with_path(variables)
  }
  head = {name: leaf for name, leaf in flat.items() if leaf.shape[-1:] == (3,)}
  assert len(head) == 2
  flat |= {name: np.zeros_like(leaf) for name, leaf in head.items()}  # always class 0
  save_file(flat, tmp_path / 'weights.safetensors')
  imported = dataclasses.replace(
    config,
    workdir=str(tmp_path / 'run'),
    target_weights=str(tmp_path / 'weights.safetensors'),
    attack=('inversion',),
    splits=('conv_2',),
  )
  plan = sweep.make_plan(imported)
  kept = plan.weights['params']['conv_1']
  jax.tree.map(np.testing.assert_array_equal, kept, variables['params']['conv_1'])
  (row,) = sweep.run(imported, quiet=True).rows
  assert math.isfinite(row['test_mse'])
  wrong = dataclasses.replace(
    imported, workdir=str(tmp_path / 'wrong'), expect_accuracy=0.93
  )
  with pytest.raises(InputError, match=r'on test, not --expect_accuracy=0\.93; see'):
    sweep.run(wrong, quiet=True)
  assert not (tmp_path / 'wrong').exists()


def test_what_only_the_report_shows_may_change_when_all_is_done(config, found):
  changed = dataclasses.replace(config, note='shown to the board', min_accuracy=0.99)
  again = sweep.run(changed, quiet=True)
  assert repr(again.rows) == repr(found.rows)  # repr: NaN is NaN
  page = again.report.read_text()
  assert 'shown to the board' in page
  assert '<dt>min_accuracy</dt><dd>0.99</dd>' in page
