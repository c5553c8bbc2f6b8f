"""SweepConfig with any values: a plan, or one line that names the field."""

import dataclasses
import functools
import pathlib
from typing import get_args, get_origin, get_type_hints

import numpy as np
import pytest
import tiny
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gpz_jax import data, partition
from gpz_jax.attacks.activation import attention, decoders, inputs, specs
from gpz_jax.commands import sweep as sweep_flags
from gpz_jax.data import exclusions, sizes, sources
from gpz_jax.study import fields, model_check, serialization
from gpz_jax.sweep import SweepConfig
from gpz_jax.sweep import plan as plan_lib
from gpz_jax.types import InputError
from gpz_jax.vocabulary import CONVOLUTIONS

HINTS = get_type_hints(SweepConfig)  # of the fields, and of the class variable
EXAMPLES = 500
TEXTS = st.one_of(
  st.sampled_from(
    [
      *(
        '',
        ' ',
        '.',
        '..',
        '/',
        '~',
        '~no_such_user/x',
        '../../x',
        '/etc',
        '/dev/null/x',
      ),
      *(
        'a\nb',
        'a\r--seeds=3',
        'a\x00b',
        'x ',
        '\ufeff--x',
        '\udcff',
        'ümläut',
        '日本',
      ),
      *('x' * 300, 'x' * 5000, '<script>', '{x}', '%s', "it's", '*', '[', 'a,b', '#'),
      *('os:system', 'json:loads', 'a:b:c', 'folder:', 'folder:/nowhere', 'shapes/99'),
    ]
  ),
  st.text(max_size=20),
)
NUMBERS = st.one_of(
  st.sampled_from([0, 1, 2, 7, 8, 1024, 1025, 2**31 - 1, 2**31, 2**63, 10**5000, -1]),
  st.sampled_from([0.0, -0.0, 0.3, -0.05, 1.0, -1.0, 1e-300, 1e300, 5e-324]),
  st.sampled_from([float('nan'), float('inf'), -float('inf')]),
  st.sampled_from([np.float32(0.25), np.float64(0.5), np.int64(3), np.bool_(True)]),
  st.integers(),
  st.floats(),
)
OTHERS = st.one_of(
  st.none(),
  st.booleans(),
  st.sampled_from([b'bytes', [], {}, object(), 1j, set(), pathlib.Path('runs'), len]),
)
# Values that may well be right, so that a good part of the configs is valid.
WORDS = {
  'dataset': ['shapes', 'shapes/4_low', 'nowhere', 'mnist/x'],
  'model': ['cnn', 'vgg11', 'tiny:Branched', 'tiny:Wide', 'tiny:Stubborn', 'tiny:no'],
  'splits': ['*', 'conv_*', 'conv_2', '2', 'fc_1', 'paper', '0', '-1', 'left', 'stem'],
  'split_where': ['*', '*/*', '*/*/*', 'conv_?', '**'],
  'model_options': [
    *('width=0.0625', 'width=0.5', 'width=0', 'width=-1', 'width=nan', 'width=1e9'),
    *('width=[1]', 'depth=11', 'head=compact', 'head=1', 'name=x', '=', 'width=1e400'),
    *(f'width={"(" * 300}', f'width={"-" * 3000}1', 'width={[]:1}', "width='\\d'"),
  ],
  'attack': [
    *specs.ATTACKS,
    *(f'inversion:decoder={kind}' for kind in get_args(decoders.Kind)),
    *(f'inversion:input={name}' for name in inputs.INPUTS),
    *(f'inversion:attention={name}' for name in attention.BLOCKS),
    *('inversion:enhance=nn_concat', 'inversion:at=conv_*', 'inversion:at=nowhere'),
    *('rmle:steps=2', 'rmle:steps=99999999999', 'rmle:tv=nan', 'rmle:l2=-1'),
    *('rmle:images=', 'query_free:at=[', 'inversion:at=|', 'inversion:act=\u0000'),
  ],
  'strategy': ['auto', 'map', 'chunk:2', 'chunk:0', 'chunk:x', f'chunk:{"9" * 4000}'],
  'conv': [*CONVOLUTIONS],
  'target_weights': ['nowhere.pth', '/etc/passwd', '.'],
  'targets_from': ['nowhere', '/etc'],
  'compile_cache': ['/etc/passwd', 'programs'],
  'data_dir': ['/nowhere', '/etc/passwd'],
}
# What a message may call a field by, other than its own name.
ALIASES = {
  'target_weights': 'weights',
  'splits': 'split',
  'split_where': 'split',
  'model_options': 'option',
  'data_dir': 'dataset',
  'aux_dataset': 'dataset',
}


def scalars(field: dataclasses.Field):
  """What one value of a field may be tried with, by its type."""
  kind = fields.scalar_kind(HINTS[field.name])
  kind = get_args(kind)[0] if get_origin(kind) is tuple else kind
  words = [*WORDS.get(field.name, ()), *field.metadata['meaning'].choices]
  likely = {
    bool: st.booleans(),
    int: st.integers(1, 64),
    float: st.floats(-0.9, 0.9),
    str: st.sampled_from(words) if words else TEXTS,
    fields.SIZE: st.one_of(
      st.integers(1, 64), st.sampled_from(['32', '16x24', '24x16', '20x4', '9x', 'x9'])
    ),
  }[kind]
  typed = TEXTS if kind is str else NUMBERS
  return st.one_of(*6 * [likely], typed, st.one_of(TEXTS, NUMBERS, OTHERS))


def candidates(field: dataclasses.Field):
  """Anything for a field: right, at a bound, or of another type altogether."""
  value = scalars(field)
  if get_origin(HINTS[field.name]) is tuple:
    several = st.lists(value, min_size=1, max_size=2)
    return st.one_of(*4 * [several.map(tuple)], several, value, st.just(()))
  return st.one_of(value, st.just(field.default))


FIELDS = {field.name: field for field in dataclasses.fields(SweepConfig)}
CHANGES = st.lists(st.sampled_from(sorted(FIELDS)), max_size=3, unique=True).flatmap(
  lambda names: st.fixed_dictionaries({n: candidates(FIELDS[n]) for n in names})
)


def load_tiny(name, *, data_dir, image_size, aux_dataset, aux_exclude, **limits):
  """`data.load` with everything but the reading of images."""
  del limits  # checked by the config
  folder = sources.expand('data_dir', data_dir) if data_dir else sources.default_dir()
  for each in filter(None, (name, aux_dataset)):
    sources.find(each, folder)
  height, width = sizes.parse(image_size or 16)
  task = tiny_task(min(height, 32), min(width, 32))
  if aux_exclude:
    exclusions.without(task.aux, task.class_names, aux_exclude)
  return task


@functools.cache
def tiny_task(height: int, width: int):
  return tiny.task(height, train=16, width=width)


def cached(function, key):
  """`function`, called once for each `key(*arguments)`."""
  known = {}

  @functools.wraps(function)
  def call(*args, **kwargs):
    try:
      found = key(*args, **kwargs)
      hash(found)
    except TypeError:  # a model with a list for an option
      return function(*args, **kwargs)
    if found not in known:
      known[found] = function(*args, **kwargs)
    return known[found]

  return call


@pytest.fixture(scope='module')
def _quick(tmp_path_factory):
  """Tracing a model is kept: what it is traced with hardly varies."""
  with pytest.MonkeyPatch.context() as patch:
    patch.chdir(tmp_path_factory.mktemp('here'))
    patch.setenv('TFDS_DATA_DIR', str(tmp_path_factory.mktemp('data')))
    patch.setattr(data, 'load', load_tiny)
    patch.setattr(
      model_check,
      'check_model',
      cached(
        model_check.check_model,
        lambda config, model, task: (model, config.model, task.image_shape),
      ),
    )
    for name, key in (
      ('find_splits', lambda model, shape, *, where: (model, shape, where)),
      ('arbitrary_variables', lambda model, shape: (model, shape)),
      ('true_cuts', lambda model, v, images, splits: (model, images.shape, *splits)),
      ('split_costs', lambda model, shape, classes, splits: (model, shape, *splits)),
    ):
      patch.setattr(partition, name, cached(getattr(partition, name), key))
    yield


@pytest.mark.ci
@pytest.mark.usefixtures('_quick')
@given(changes=CHANGES)
@settings(
  max_examples=EXAMPLES,
  derandomize=True,
  deadline=None,
  database=None,
  suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
def test_any_values_give_a_plan_or_one_line_that_names_a_field(changes):
  try:
    config = dataclasses.replace(tiny.sweep_config('run'), **changes)
    plan = plan_lib.make_plan(config)
  except InputError as error:
    message = str(error)
    assert message.isprintable()
    assert len(message) < 5000
    named = {*changes, *(ALIASES[name] for name in changes if name in ALIASES)}
    assert any(name in message for name in named), message
  else:
    assert plan.total == len(plan.lanes) * sum(map(len, plan.attacked.values())) > 0
    assert_spelled_alike(config)
  assert not pathlib.Path('run').exists()


def assert_spelled_alike(config: SweepConfig) -> None:
  """run.flags and config.json say what the config says, types and all."""
  flagfile = pathlib.Path('spelled.flags')
  flagfile.write_text(serialization.to_flags(config), encoding='utf-8')
  parsed = sweep_flags.parse_config([f'--flagfile={flagfile}'])
  assert repr(parsed) == repr(config)
