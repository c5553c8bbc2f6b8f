"""Fields of a config say what they are, and their scope decides what may differ."""

import dataclasses
import json

import pytest
import tiny

from gpz_jax.study import borrowing, fields
from gpz_jax.study.config import StudyConfig
from gpz_jax.study.serialization import from_json, to_json
from gpz_jax.study.workdir import Workdir
from gpz_jax.sweep import SweepConfig
from gpz_jax.types import InputError

# By hand, field by field: what a change of it changes.
TARGETS = {
  *('dataset', 'image_size', 'train_limit', 'val_limit', 'data_seed', 'model'),
  *('channels', 'test_share', 'model_output', 'batches', 'bn_refresh', 'new_head'),
  *('finetune', 'paired'),
  *('model_options', 'target_weights', 'smoothing', 'target_recipe', 'target_epochs'),
  *('target_batch_size', 'target_learning_rate', 'flip', 'jitter', 'precision'),
  'shift',
}
ROWS = {
  *('aux_dataset', 'aux_exclude', 'aux_limit', 'test_limit', 'alphas', 'seeds'),
  *('splits', 'split_where', 'attack', 'decoder_epochs', 'decoder_batch_size'),
  *('skips', 'defence', 'one_at_a_time', 'treatments', 'at_accuracy'),
  *(
    'decoder_learning_rate',
    'decoder_schedule',
    'amsgrad',
    'selection',
    'activation_dtype',
    'payload_bits',
    'judge',
    'judge_model',
    'judge_options',
  ),
}
SPEED = {
  *('workdir', 'data_dir', 'targets_from', 'strategy', 'conv', 'tune', 'devices'),
  *('compile_cache', 'profile', 'save_seconds', 'cache', 'cache_budget_gb'),
}
REPORT = {
  *('theory', 'theory_limit', 'theory_every', 'note', 'max_edge_params'),
  *('expect_accuracy', 'keep_checkpoints'),
  *('max_edge_flops', 'max_payload_bytes', 'min_accuracy', 'private_enough'),
}
# Another value for each field, where the type alone does not give one.
OTHER = {
  'dataset': 'mnist',
  'model': 'cnn',
  'model_options': ('width=0.5',),
  'smoothing': 'code',
  'target_recipe': 'vgg_adamw',
  'precision': 'bfloat16',
  'splits': ('conv_1',),
  'attack': ('rmle',),
  'selection': 'test',
  'activation_dtype': 'float16',
  'payload_bits': 8,
  'decoder_schedule': 'cosine',
  'alphas': (0.7,),
  'seeds': (5,),
  'skips': ('1110',),
  'flip': True,
  'at_accuracy': 0.5,
  'defence': ('bido',),
  'treatments': ('alpha:0.5',),
  'batches': '4x4',
  'strategy': 'vmap',
  'conv': 'lax',
  'cache': 'disk',
  'min_accuracy': 0.5,
  'private_enough': '8x8',
  'judge_model': 'vgg11',
  'judge_options': ('width=0.5',),
  'jitter': 0.5,
  'channels': 1,
  'test_share': 0.2,
}


# What a field is allowed beside alone; these need one that is looked at first, or set
# others.
UNALONE = {'new_head', 'finetune', 'treatments', 'judge_model', 'judge_options'}
NEEDS = {
  'at_accuracy': {'keep_checkpoints': 8},
  'judge_model': {'judge': 'other'},
  'judge_options': {'judge': 'other'},
}


def other(name: str):
  """A value of the field that is not its default."""
  if name in OTHER:
    return OTHER[name]
  default = getattr(SweepConfig(), name)
  if isinstance(default, bool):
    return not default
  if isinstance(default, int | float):
    return default + 1
  kind = SweepConfig.__dataclass_fields__[name].type
  return 17 if 'int' in str(kind) or 'float' in str(kind) else 'other'


def test_every_field_has_the_scope_that_was_meant():
  found = {scope: set(fields.in_scope(SweepConfig, scope)) for scope in fields.SCOPES}
  assert found == {'targets': TARGETS, 'rows': ROWS, 'speed': SPEED, 'report': REPORT}


def test_a_field_without_a_scope_cannot_be_declared():
  with pytest.raises(TypeError, match='scope'):
    fields.field(0, 'A number.')  # pyright: ignore[reportCallIssue] that is the point
  with pytest.raises(ValueError, match="scope 'colour' is none of"):
    fields.field(0, 'A number.', 'colour')  # pyright: ignore[reportArgumentType] as above


def test_a_plain_field_has_no_meaning():
  @dataclasses.dataclass(frozen=True)
  class Forgetful(StudyConfig):
    forgotten: int = 0

  with pytest.raises(KeyError, match='meaning'):
    Forgetful()


@pytest.fixture(scope='module')
def begun(tmp_path_factory):
  """The workdir of a sweep with the default of everything."""
  workdir = Workdir(tmp_path_factory.mktemp('runs') / 'run')
  workdir.path.mkdir()
  workdir.write_identity(SweepConfig(workdir=str(workdir)))
  return workdir


@pytest.mark.parametrize('name', sorted((TARGETS | ROWS) - UNALONE))
def test_a_workdir_belongs_to_one_choice_of_targets_and_rows(begun, name):
  config = SweepConfig(
    **{'workdir': str(begun), **NEEDS.get(name, {}), name: other(name)}
  )
  with pytest.raises(InputError, match=f'holds another sweep: {name} is '):
    begun.check(config)


@pytest.mark.parametrize(
  'name', sorted((SPEED | REPORT) - {'workdir', 'expect_accuracy'})
)
def test_what_touches_speed_or_report_may_differ_in_a_workdir(begun, name):
  begun.check(SweepConfig(**{'workdir': str(begun), name: other(name)}))


@pytest.mark.parametrize(
  'name', sorted(TARGETS - UNALONE - {'target_weights', 'precision'})
)
def test_targets_are_not_borrowed_from_where_they_differ(begun, tmp_path, name):
  given = {'workdir': str(tmp_path), 'targets_from': str(begun), name: other(name)}
  with pytest.raises(InputError, match=f'has other targets: {name} is '):
    borrowing.locate(SweepConfig(**given))


@pytest.mark.parametrize('name', [*sorted(ROWS), 'precision'])
def test_targets_may_be_borrowed_for_other_rows(begun, tmp_path, name):
  given = {'workdir': str(tmp_path), 'targets_from': str(begun), name: other(name)}
  given |= NEEDS.get(name, {}) if name in UNALONE else {}
  with pytest.raises(InputError, match='lacks the targets of'):  # none were trained
    borrowing.locate(SweepConfig(**given))


def test_a_config_survives_json():
  config = tiny.sweep_config('runs/x', alphas=(0.25, -0.1), note='a, b', flip=True)
  assert from_json(SweepConfig, json.loads(json.dumps(to_json(config)))) == config


def test_help_is_in_sentences_and_choices_are_listed():
  for name, meaning in fields.meanings(SweepConfig).items():
    assert meaning.help[0].isupper() or meaning.help.startswith('$'), name
    assert meaning.help.endswith('.'), name


@pytest.mark.parametrize(
  ('span', 'value', 'is_in'),
  [
    (fields.Range(0.0, 1.0), 0.0, True),
    (fields.Range(0.0, 1.0), 1.0, False),
    (fields.Range(-1.0, 1.0, excludes_least=True), -1.0, False),
    (fields.Range(-1.0, 1.0, excludes_least=True), -0.999, True),
    (fields.Range(0.0), float('inf'), False),
    (fields.Range(0.0), float('nan'), False),
    (fields.COUNT, 2**31 - 1, True),
    (fields.COUNT, 2**31, False),
  ],
)
def test_ranges_hold_their_ends(span, value, is_in):
  assert span.admits(value) is is_in
