"""SweepConfig: validation, recipes, flagfiles."""

import dataclasses
import json
import pathlib

import numpy as np
import pytest

from gpz_jax import sweep
from gpz_jax.commands.sweep import parse_config
from gpz_jax.study.model_options import parse_model_options
from gpz_jax.study.serialization import from_json, to_flags, to_json
from gpz_jax.sweep import SweepConfig, make_plan
from gpz_jax.types import InputError

IMPORTED = {'target_weights': 'a.safetensors', 'alphas': (0.0,)}


def test_flags_of_a_training_are_taken_beside_imported_weights():
  tuned = SweepConfig(**IMPORTED, finetune=True, bn_refresh=True, theory_every=1)
  plain = SweepConfig(**IMPORTED, target_epochs=3, flip=True, keep_checkpoints=8)
  for config in (tuned, plain):
    config.check_begins()
  assert tuned.list_idle() == ()
  assert plain.list_idle() == ('target_epochs', 'flip', 'keep_checkpoints')


def test_what_an_attack_or_the_theory_takes_is_not_idle():
  given = {'target_epochs': 3, 'paired': True, 'smoothing': 'code'}
  attacks = ('inversion', 'query_free:at=conv_2')
  config = SweepConfig(**IMPORTED, **given, attack=attacks, theory=True)
  assert config.list_idle() == ('paired',)
  assert SweepConfig(**IMPORTED, **given).list_idle() == tuple(given)


def test_a_preset_serves_imported_weights_too():
  given = ['--preset=quickstart', '--target_weights=a.safetensors', '--alphas=0']
  config = parse_config(given)
  config.check_begins()
  idle = ('target_epochs', 'target_batch_size', 'target_learning_rate')
  assert config.list_idle() == idle


def test_the_default_config_is_valid():
  assert SweepConfig().alphas == (0.0, 0.3, -0.05)


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({'alphas': (0.0, 1.5)}, '--alphas=1.5 is not allowed; give numbers between'),
    ({'alphas': (float('nan'),)}, '--alphas=nan is not allowed'),
    ({'seeds': ()}, r'--seeds=\(\) is not allowed; give at least one value'),
    ({'seeds': (1, 1)}, 'none of them twice'),
    ({'seeds': (-1,)}, '--seeds=-1 is not allowed; give at least 0'),
    ({'model': 'vgg12'}, "model 'vgg12' is not known; did you mean 'vgg1"),
    ({'attack': ('rmle:steps=x',)}, 'steps=x is not allowed'),
    ({'smoothing': 'none'}, 'one of standard, code, table1'),
    ({'image_size': 4}, '--image_size=4 is not allowed; give at least 11'),
    ({'image_size': '48x4'}, '--image_size=48x4 is not allowed; give at least 11'),
    ({'image_size': '48x'}, '--image_size=48x is .* give a side such as 32, or height'),
    ({'image_size': True}, '--image_size=True is not allowed; give a side'),
    ({'channels': 2}, r'--channels=2 is not allowed; give 1 \(grey\) or 3 \(colour\)'),
    ({'test_share': 0.0}, '--test_share=0.0 is not allowed; give numbers between 0 an'),
    ({'aux_limit': 0}, '--aux_limit=0 is not allowed; give at least 1'),
    ({'decoder_learning_rate': float('inf')}, '--decoder_learning_rate=inf'),
    ({'strategy': 'pmap'}, "strategy 'pmap' is not known"),
    ({'conv': 'gem'}, '--conv=gem is not allowed'),
    ({'precision': 'int8'}, '--precision=int8 is not allowed'),
    (
      {'tune': True, 'conv': 'lax'},
      '--conv=lax is not allowed; give auto, or --notune',
    ),
    ({'cache': 'tape'}, '--cache=tape is not allowed; give one of auto, device'),
    ({'model_options': ('width',)}, '--model_options=width is not allowed'),
    ({'model_options': ('width=4', 'width=8')}, 'give width once'),
    ({'workdir': ''}, '--workdir= is not allowed'),
    ({'expect_accuracy': 0.9}, 'give it together with --target_weights'),
    ({'selection': 'val'}, 'one of aux, test'),
  ],
)
def test_bad_fields_are_named_with_their_value(changes, message):
  with pytest.raises(InputError, match=message) as caught:
    dataclasses.replace(SweepConfig(), **changes)
  assert '\n' not in str(caught.value)


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    (
      {'workdir': 'runs/x # mine'},
      "--workdir=runs/x # mine is .* give a path without ' #'; in a flagfile",
    ),
    (
      {'judge_model': 'cnn'},
      '--judge_model=cnn is not allowed; give it together with --judge',
    ),
    (
      {'judge_options': ('width=2',)},
      r'--judge_options=\(width=2\) is .* with --judge',
    ),
    ({**IMPORTED, 'bn_refresh': True}, '--bn_refresh=True is not allowed; give --nobn'),
    (
      {**IMPORTED, 'theory_every': 1},
      '--theory_every=1 is .* where targets are trained',
    ),
    ({'targets_from': 'runs/x', 'theory_every': 1}, '--theory_every=1 is not allowed'),
  ],
)
def test_what_would_be_passed_over_is_refused_where_a_study_begins(
  changes, message, tmp_path, monkeypatch
):
  monkeypatch.chdir(tmp_path)
  config = dataclasses.replace(SweepConfig(), **changes)  # of an earlier version
  with pytest.raises(InputError, match=message) as caught:
    config.check_begins()
  assert '\n' not in str(caught.value)
  with pytest.raises(InputError, match=message):
    sweep.run(config, quiet=True)
  assert not list(tmp_path.iterdir())


def test_devices_that_are_not_there_are_refused_where_it_runs():
  config = SweepConfig(devices=99)  # may be meant for another machine
  with pytest.raises(InputError, match='devices=99 is not allowed'):
    config.make_engine()
  with pytest.raises(InputError, match='devices=99 is not allowed'):
    make_plan(config)


@pytest.mark.parametrize(
  ('given', 'kept'),
  [
    (32, 32), ('32', 32), ('48x32', '48x32'), ('32x32', 32), ((48, 32), '48x32'),
    ([32, 32], 32), (np.int64(32), 32), ('', None), (None, None),
  ],
)  # fmt: skip
def test_a_square_image_size_is_one_number(given, kept):
  size = SweepConfig(image_size=given).image_size
  assert size == kept
  assert type(size) is type(kept)


@pytest.mark.parametrize('size', [32, '48x32'])
def test_an_image_size_survives_its_files(size, tmp_path):
  config = SweepConfig(image_size=size, channels=1, test_share=0.25)
  assert from_json(SweepConfig, json.loads(json.dumps(to_json(config)))) == config
  file = tmp_path / 'run.flags'
  file.write_text(to_flags(config))
  assert parse_config([f'--flagfile={file}']) == config
  assert f'--image_size={size}\n' in file.read_text()


def test_recipes_follow_the_family_and_the_given_values():
  config = SweepConfig(model='vgg19', target_epochs=7, flip=True)
  recipe = config.make_target_recipe()
  assert (recipe.b1, recipe.weight_decay) == (
    0.5,
    5e-4,
  )  # docs/paper.md#target-training
  assert (recipe.epochs, recipe.flip, recipe.learning_rate) == (7, True, 3e-4)
  assert SweepConfig(target_recipe='short', shift=4).make_target_recipe().shift == 4
  assert SweepConfig(target_recipe='short').make_target_recipe().shift == 2
  decoder = SweepConfig(amsgrad=False).make_decoder_recipe()
  assert (decoder.epochs, decoder.b1, decoder.amsgrad) == (
    100,
    0.5,
    False,
  )  # docs/paper.md#decoders
  assert decoder.schedule == 'plateau'
  short = SweepConfig(decoder_schedule='cosine', decoder_epochs=9).make_decoder_recipe()
  assert (short.epochs, short.schedule, short.b1) == (9, 'cosine', 0.5)


def test_model_options_are_literals_or_words():
  parsed = parse_model_options(('width=0.25', 'head=torchvision'))
  assert parsed == {'width': 0.25, 'head': 'torchvision'}


def test_values_become_plain_ones_of_their_type():
  config = SweepConfig(
    workdir=pathlib.Path('runs') / 'a',
    alphas=[0, -0.0 + 1e-9, np.float32(0.5)],
    seeds=[np.int64(3)],
    data_dir='',
    flip=np.bool_(True),
  )
  assert repr((config.workdir, config.data_dir)) == "('runs/a', None)"
  assert repr((config.alphas, config.seeds)) == '((0.0, 1e-09, 0.5), (3,))'
  assert config.flip is True
  # by hand: one lane, one name, however its numbers were spelled
  ids = {
    SweepConfig(alphas=alphas).list_lanes()[0].lane_id
    for alphas in ((0.0,), (-0.0,), (0,), (np.float64(0),))
  }
  assert len(ids) == 1


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({'splits': 'conv_1'}, '--splits=conv_1 is not allowed; give a tuple'),
    ({'seeds': (True,)}, '--seeds=True is not allowed; give a whole number'),
    ({'seeds': (1.0,)}, '--seeds=1.0 is not allowed; give a whole number'),
    ({'seeds': (10**5000,)}, '--seeds=a number of more than 64 bits is not allowed'),
    ({'alphas': ('0',)}, '--alphas=0 is not allowed; give a number'),
    ({'flip': 1}, '--flip=1 is not allowed; give True or False'),
    ({'note': 'a\n--seeds=3'}, r'--note=a\\n--seeds=3 is not allowed; give one line'),
    ({'note': 'x' * 5000}, r'x\.\.\. is not allowed; give at most 4096 characters'),
    ({'workdir': 'a '}, "--workdir='a ' is not allowed; give text without a space"),
    (
      {'splits': ('a,b',)},
      "--splits='a,b' is not allowed; give entries without",
    ),
    ({'model': None}, '--model=None is not allowed; give text'),
  ],
)
def test_values_of_another_type_are_refused(changes, message):
  with pytest.raises(InputError, match=message) as caught:
    dataclasses.replace(SweepConfig(), **changes)
  assert len(str(caught.value)) < 500


def test_treatments_can_be_changed_one_at_a_time():
  given = {'alphas': (0, 0.3), 'skips': ('1111', '1110'), 'defence': ('none', 'bido')}
  crossed = SweepConfig(**given, seeds=(0, 1)).list_lanes()
  assert len(crossed) == 16
  few = SweepConfig(**given, seeds=(0, 1), one_at_a_time=True).list_lanes()
  told = [str(lane.treatment) for lane in few if lane.seed == 1]
  bido = few[2].treatment.defence
  assert bido.startswith('bido')
  assert told == [
    'alpha 0',
    f'alpha 0, defence {bido}',
    'alpha 0, skips 1110',
    'alpha 0.3',
  ]
  assert set(few) < set(crossed)
