"""A study of model inversion with tiny settings: rows, files, resuming, refusals."""

import dataclasses
import json
import math
import shutil
import types

import flax.linen as nn
import jax
import numpy as np
import own_calls
import pytest
from tiny_inversion import TINY

from gpz_jax import evaluators, generators, model_inversion, results, tradeoff
from gpz_jax.evaluators import Evaluator
from gpz_jax.generators import StyleGAN2
from gpz_jax.interop.export import export_weights
from gpz_jax.model_inversion import evaluating, given
from gpz_jax.model_inversion import plan as plan_lib
from gpz_jax.model_inversion.verify import verify
from gpz_jax.study import continuing
from gpz_jax.study import targets as study_targets
from gpz_jax.study.workdir import Workdir
from gpz_jax.training import lanes
from gpz_jax.types import InputError

pytestmark = pytest.mark.usefixtures('blank_charts')
SPEED = ('wall_seconds',)


class MeanColour(nn.Module):
  """Stands for a face embedding, which takes a while."""

  @nn.compact
  def __call__(self, x, *, train=False):
    return x.mean(axis=(1, 2))


class Pooled(nn.Module):
  """A classifier without a last layer that is given features."""

  num_classes: int

  @nn.compact
  def __call__(self, x, *, train=False):
    return nn.Conv(self.num_classes, (1, 1))(x).mean(axis=(1, 2))


own_calls.Pooled = Pooled


@pytest.fixture(scope='module', autouse=True)
def _a_small_face_embedding():
  load, toy = evaluators.load_face, MeanColour()
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(
      evaluators,
      'load_face',
      lambda path: (
        load(path)
        if path != 'toy'
        else evaluators.Evaluator('toy', toy, {}, (16, 16, 3), embeds=True)
      ),
    )
    yield


def make_config(workdir, **changes) -> model_inversion.ModelInversionConfig:
  return model_inversion.ModelInversionConfig(workdir=str(workdir), **TINY | changes)


def without_speed(rows):
  return [{k: v for k, v in row.items() if k not in SPEED} for row in rows]


@pytest.fixture(scope='module')
def found(tmp_path_factory) -> model_inversion.Results:
  return model_inversion.run(make_config(tmp_path_factory.mktemp('mi')), quiet=True)


def test_it_has_a_row_for_each_target_and_one_for_each_class(found):
  assert [row['alpha'] for row in found.rows] == [0.0, 0.3] * 2
  assert len(found.classes) == 2 * 2 * 3
  for row in found.rows:
    assert (row['num_classes'], row['num_attacked']) == (4, 3)
    assert row['num_final'] == 2
    assert row['chance_att_acc'] == 0.25
    assert 0 < row['confidence'] < 1
    assert 0 < row['delta_face'] < 3  # of colours in [0, 1]
  for row in found.rows[:2]:  # of ppa
    assert row['num_candidates'] == 3
    assert row['gradient_mean'] > 0


def test_the_generator_of_a_study_keeps_its_critic(found):
  critic = generators.load_critic(Workdir(found.workdir).generator)
  assert critic is not None
  assert critic[0].size == 16
  assert [row['attack'] for row in found.rows[2:]] == [TINY['attack'][1]] * 2


def test_scores_of_lanes_are_the_means_of_their_classes(found):
  for row in found.rows:
    who = results.inversion_key(row)
    own = [each for each in found.classes if results.inversion_key(each) == who]
    for column in ('att_acc1', 'confidence', 'delta_eval'):
      assert row[column] == pytest.approx(np.mean([each[column] for each in own]))


def test_files_hold_the_same_rows(found):
  table = results.read_parquet(found.workdir / 'inversions.parquet', results.INVERSIONS)
  assert len(table) == 4
  assert found.report.read_text().startswith('<!DOCTYPE html>')
  folder = Workdir(found.workdir)
  assert np.load(folder.privates).shape == (3, 3, 16, 16, 3)
  row = found.rows[0]
  shown = np.load(folder.reconstruction(row['lane_id'], row['attack']))
  assert shown.shape == (3, 2, 16, 16, 3)


def test_an_untrained_study_draws_no_conclusion(found):
  answer = tradeoff.conclude(found.rows, found.classes)
  assert 'onclusion' in answer.headline
  assert any('evaluator' in reason for reason in answer.reasons)


@pytest.mark.ci
def test_lost_rows_are_computed_again_from_what_is_kept(found):
  folder = Workdir(found.workdir)
  lines = folder.lines(results.INVERSIONS)
  lines.write_text(lines.read_text().splitlines(keepends=True)[0])
  before = folder.generator.stat().st_mtime_ns
  again = model_inversion.run(make_config(found.workdir), quiet=True)
  assert folder.generator.stat().st_mtime_ns == before
  expected, rows = without_speed(found.rows), without_speed(again.rows)
  assert [str(row) for row in rows] == [str(row) for row in expected]  # NaN is NaN
  assert len(again.classes) == len(found.classes)


def test_verification_finds_what_was_changed(found, tmp_path):
  assert verify(found.workdir).problems == []
  hurt = tmp_path / 'hurt'
  shutil.copytree(found.workdir, hurt)
  lines = Workdir(hurt).lines(results.CLASSES)
  rows = [json.loads(line) for line in lines.read_text().splitlines()]
  rows[-1]['confidence'] += 0.1
  lines.write_text(''.join(json.dumps(row) + '\n' for row in rows))
  (problem,) = verify(hurt).problems
  assert 'confidence is' in problem
  assert 'the mean of its classes' in problem


def make_session(config, workdir):
  """As much of a running study as its evaluator asks for."""
  return types.SimpleNamespace(
    plan=model_inversion.make_plan(config),
    workdir=Workdir(workdir),
    engine=config.make_engine(),
    say=lambda text: None,
  )


def test_an_evaluator_of_other_data_is_not_taken(found, tmp_path, monkeypatch):
  borrowing = make_config(tmp_path / 'new', evaluator_from=str(found.workdir))
  sessions = (
    make_session(make_config(found.workdir), found.workdir),
    make_session(borrowing, tmp_path / 'new'),
  )
  accuracy = found.rows[0]['evaluator_accuracy']
  assert evaluating.obtain(sessions[0]).accuracy == accuracy
  with monkeypatch.context() as patch:
    patch.setattr(Evaluator, 'measure_accuracy', lambda *_: accuracy + 0.9)
    for session in sessions:
      with pytest.raises(InputError, match='on the test images of now'):
        evaluating.obtain(session)
  monkeypatch.setattr(continuing, 'digest_data', lambda task: {'train': 'other'})
  for session in sessions:
    with pytest.raises(InputError, match='was trained on other images or labels'):
      evaluating.obtain(session)
  assert not (tmp_path / 'new').exists()


def test_a_target_is_not_its_own_evaluator(found, tmp_path):
  plan = model_inversion.make_plan(make_config(found.workdir))
  targets = study_targets.load(plan, Workdir(found.workdir))
  assert targets is not None
  file = tmp_path / 'target.safetensors'
  shape, variables = plan.task.image_shape, targets.best.variables
  export_weights(plan.model, lanes.take(variables, 0), file, image_shape=shape)
  alone = {'target_weights': str(file), 'alphas': (0.0,), 'target_epochs': None}
  judge = {'evaluator_options': TINY['model_options'], 'evaluator_size': None}
  given = {'evaluator_weights': str(file), 'evaluator_epochs': None, **judge}
  config = make_config(tmp_path / 'new', **alone, **given)
  with pytest.raises(InputError, match="'cnn' has the weights of a target"):
    model_inversion.run(config, quiet=True)
  assert not (tmp_path / 'new').exists()


def test_a_generator_that_was_replaced_is_refused(found, tmp_path):
  file = tmp_path / 'given.safetensors'
  shutil.copy(Workdir(found.workdir).generator, file)
  config = make_config(tmp_path / 'new', generator=str(file))
  session = make_session(config, tmp_path / 'new')
  session.workdir.samples.mkdir(parents=True)
  given.check(session)
  given.check(session)
  generator, variables = session.plan.given
  other = jax.tree.map(lambda leaf: leaf + 1, variables)
  plan = dataclasses.replace(session.plan, given=(generator, other))
  session = types.SimpleNamespace(plan=plan, workdir=session.workdir)
  with pytest.raises(InputError, match='holds other weights than when'):
    given.check(session)


def test_a_generator_of_other_public_images_is_not_borrowed(found, tmp_path):
  kept = shutil.copytree(found.workdir, tmp_path / 'kept')
  path = Workdir(kept).generator
  config = make_config(tmp_path / 'new', prior_from=str(kept))
  plan = model_inversion.make_plan(config)
  assert generators.files.read_trained_on(path) == plan.public_digest
  generator, critic = generators.load(path), generators.load_critic(path)
  generators.save(path, *generator, critic, trained_on='other images')
  with pytest.raises(InputError, match='trained on other public images than there'):
    model_inversion.run(config, quiet=True)
  assert not (tmp_path / 'new').exists()


def test_a_crop_is_taken_of_a_stylegan2_alone(found, tmp_path):
  file = str(found.workdir / 'generator.safetensors')
  config = make_config(tmp_path / 'x', generator=file, generator_crop=0.5)
  with pytest.raises(InputError, match=r'generator_crop=0\.5 is for a StyleGAN2'):
    model_inversion.make_plan(config)
  style = StyleGAN2(resolution=16)
  assert plan_lib._crop(style, config).centre_crop == 0.5
  assert plan_lib._crop(style, dataclasses.replace(config, generator_crop=1.0)) is style


def test_an_attack_that_asks_the_critic_needs_one(found, tmp_path):
  kept = shutil.copytree(found.workdir, tmp_path / 'kept')
  path, alone = Workdir(kept).generator, tmp_path / 'alone.safetensors'
  generators.save(alone, *generators.load(path))
  config = make_config(tmp_path / 'new', generator=str(alone))
  with pytest.raises(InputError, match=r"'gmi:.*alone.* holds none; leave out --gen"):
    model_inversion.run(config, quiet=True)
  assert not (tmp_path / 'new').exists()
  shutil.copy(alone, path)  # as versions before kept it
  with pytest.raises(InputError, match='holds none; remove the file'):
    model_inversion.make_plan(make_config(kept))
  less = make_config(
    tmp_path / 'new', generator=str(alone), attack=('gmi:prior_weight=0',)
  )
  assert model_inversion.make_plan(less).given_critic is None


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({'public_dataset': TINY['dataset']}, 'is the private dataset'),
    ({'defence': ('none', 'noise:sigma=1')}, 'changes only what is sent'),
    ({'generator_crop': 0.5}, 'crop=0.5 is for a given --generator'),
    ({'attack': ('ppa:views=8',)}, 'views= averages nothing without adaptive'),
    ({'classes': 5}, '--classes=5 is more than the 4 classes'),
    ({'kes': True, 'classes': 1}, r"--kes, attack 'ppa.*two classes and two .*got 1 a"),
    ({'kes': True, 'attack': ('gmi:candidates=1',)}, 'images of each, got 3 and 1;'),
    ({'evaluator': 'own_calls:Pooled', 'evaluator_options': ()}, 'has no features'),
    ({'generator': 'absent.safetensors'}, 'absent.safetensors'),
    ({'face_embedding': 'absent.pt'}, 'absent.pt'),
    ({'channels': 1}, 'face_embedding takes colour images'),
    ({'image_size': 20}, 'size of a DCGAN'),
    ({'evaluator': 'vgg11'}, 'vgg11'),
    ({'targets_from': 'absent'}, 'absent'),
    ({'attack': ('kedmi:preset=small',)}, 'give width=2:z_dim=100, or start=scratch'),
  ],
  ids=str,
)
def test_refusals_come_before_anything_is_written(tmp_path, changes, message):
  workdir = tmp_path / 'study'
  with pytest.raises(InputError, match=message):
    model_inversion.run(make_config(workdir, **changes), quiet=True)
  assert not workdir.exists()


def test_drawn_faces_are_refused_as_public_images_of_other_data(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  config = model_inversion.ModelInversionConfig(dataset='./photos')
  with pytest.raises(InputError, match=r'the kind that --dataset=\./photos') as caught:
    model_inversion.run(config, quiet=True)
  assert str(caught.value).startswith('--public_dataset=portraits/public32 is not')
  assert not list(tmp_path.iterdir())
  for changes in (
    {'public_dataset': './others'},
    {'generator': 'faces.safetensors'},
    {'prior_from': 'runs/before'},
    {'dataset': 'portraits/private64'},
  ):
    dataclasses.replace(config, **changes).check_begins()


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({'attack': ('pppa',)}, "did you mean 'ppa'"),
    ({'seeds': (1000,)}, 'evaluator_seed=1000'),
    ({'evaluator': 'vgg12'}, 'vgg12'),
    ({'sure': math.nan}, 'sure'),
  ],
  ids=str,
)
def test_a_config_refuses_what_it_can_tell_alone(tmp_path, changes, message):
  with pytest.raises(InputError, match=message):
    make_config(tmp_path, **changes)
