"""Models of the user's own: how they are called, and which output is taken."""

import sys

import jax
import jax.numpy as jnp
import numpy as np
import own_calls
import own_models as users
import pytest
from calling import IMAGE, KEY, apply, assert_cuts, images, init, make

from gpz_jax import models, partition
from gpz_jax.models import calls, own_models
from gpz_jax.types import InputError


def test_a_model_that_takes_train_is_left_alone():
  model = users.Own(3, 'noise+constants')
  assert models.adapt(model) is model


def test_deterministic_is_the_opposite_of_train_and_no_bit_changes():
  user, model = own_calls.Deterministic(3), make('Deterministic')
  variables = init(model)
  expected = user.init(jax.random.key(0), jnp.zeros((1, *IMAGE)))
  jax.tree.map(np.testing.assert_array_equal, variables, expected)
  np.testing.assert_array_equal(
    apply(model, variables, train=False), user.apply(variables, images())
  )
  found = apply(model, variables, train=True)
  expected = user.apply(
    variables,
    images(),
    deterministic=False,
    mutable=['batch_stats'],
    rngs={'dropout': KEY},
  )
  jax.tree.map(np.testing.assert_array_equal, found, expected)


def test_wrapping_a_model_changes_no_bit_and_no_name():
  user = users.Own(3, 'noise+constants+shared+remat+scan')
  model = own_models.Adapted(own_models._Held(user))
  variables = init(user)
  jax.tree.map(np.testing.assert_array_equal, init(model), variables)
  for train in (False, True):
    found, expected = (apply(each, variables, train=train) for each in (model, user))
    jax.tree.map(np.testing.assert_array_equal, found, expected)
  assert partition.find_splits(model, IMAGE) == partition.find_splits(user, IMAGE)
  modules = [
    partition.list_modules(m, IMAGE, ['stem', 'prediction']) for m in (model, user)
  ]
  assert modules == 2 * [{'stem': 'Conv', 'prediction': 'Own'}]


@pytest.mark.parametrize('name', ['Deterministic', 'Training', 'IsTraining'])
def test_every_word_for_training_is_understood(name):
  model = make(name)
  variables = init(model)
  first, again, other = (
    apply(model, variables, train=True, key=jax.random.key(i))[0] for i in (0, 0, 1)
  )
  np.testing.assert_array_equal(first, again)
  assert (first != other).any()  # dropout is at work
  still = [apply(model, variables, train=False, key=jax.random.key(i)) for i in (0, 1)]
  np.testing.assert_array_equal(*still)


def test_a_model_with_nothing_to_tell_is_called():
  model = make('Plain')
  assert own_models.describe_call(model) == 'module(images)'
  assert_cuts(model, 'stem')


def test_the_layers_of_a_sequential_are_told_whether_they_train():
  model = make('sequential')
  assert_cuts(model, 'layers_0', 'layers_1', 'layers_3', 'layers_4')
  variables = init(model)
  first, other = (
    apply(model, variables, train=True, key=jax.random.key(i)) for i in (0, 1)
  )
  assert (first[0] != other[0]).any()
  moved = first[1]['batch_stats']['layers_1']['mean']
  assert (moved != variables['batch_stats']['layers_1']['mean']).any()
  apply(model, variables, train=False)  # no dropout: it asks for no key


@pytest.mark.parametrize(
  ('form', 'output'),
  [
    ('dict', 'logits'),
    ('tuple', '0'),
    ('list', '1'),
    ('named', '1'),
    ('named', 'logits'),
    ('dataclass', 'logits'),
  ],
)
def test_one_of_several_outputs_is_chosen(form, output):
  model, plain = make('Several', output, form=form), make('Several', form='one')
  variables = init(model)
  jax.tree.map(np.testing.assert_array_equal, variables, init(plain))
  found, expected = (apply(each, variables, train=False) for each in (model, plain))
  np.testing.assert_array_equal(found, expected)
  assert_cuts(model, 'stem')


@pytest.mark.parametrize(
  ('form', 'output', 'message'),
  [
    ('dict', 'logit', "a dict of features, logits; did you mean 'logits'"),
    ('tuple', '2', 'a tuple of 0, 1'),
    ('dataclass', '0', 'a Found of logits, name'),
    ('one', '0', 'returns one array; leave the flag out'),
  ],
)
def test_an_output_that_is_not_there_is_refused(form, output, message):
  model = make('Several', output, form=form)
  variables = init(own_models.unwrap(model))
  with pytest.raises(InputError, match=f'--model_output={output}: .*{message}'):
    apply(model, variables, train=False)


def test_built_in_models_have_one_output():
  with pytest.raises(InputError, match='is for models of your own; cnn returns'):
    models.make('cnn', num_classes=3, model_output='0')


@pytest.mark.parametrize('depth', [1, 2])
def test_a_wrapper_lists_the_blocks_of_its_net(depth):
  path = '/'.join(['net'] * depth)
  model = make('wrapped', depth=depth)
  assert_cuts(model, f'{path}/first', f'{path}/second')


def test_a_wrapper_can_be_cut_where_a_glob_says():
  model = make('wrapped')
  assert not partition.list_splits(model, IMAGE, where='ne*')
  deep = partition.list_splits(model, IMAGE, where='*/second/*')
  assert tuple(deep) == tuple(
    f'net/second/{name}' for name in ('Conv_0', 'BatchNorm_0', 'Dropout_0')
  )


@pytest.mark.parametrize(
  ('name', 'message'),
  [
    (
      'without_classes',
      r'num_classes=3, which every factory must take, as in'
      r' without_classes\(num_classes, width=8\); it takes width',
    ),
    ('instance', r'is a Plain, not a class or function .*instance\(num_classes\)'),
    (
      'ready_made',
      r'let the factory take rngs, as in ready_made\(num_classes, \*, rngs',
    ),
    ('LIGHT', 'cannot be made with num_classes=3'),
    ('IMAGE', 'cannot be imported'),
  ],
)
def test_a_factory_that_cannot_be_used_is_told_what_is_expected(name, message):
  with pytest.raises(InputError, match=message) as caught:
    make(name)
  assert '\n' not in str(caught.value)


@pytest.mark.parametrize(
  ('name', 'end'),
  [
    ('own_pack.inner.Net', "; did you mean 'own_pack.inner:Net'?"),
    ('own_pack.Net', "; did you mean 'own_pack:Net'?"),
    ('own_pack.absent.Net', ''),
    ('nowhere.Net', ''),
    ('..', ''),
  ],
)
def test_a_name_without_colon_gets_a_hint_and_imports_nothing(
  name, end, tmp_path, monkeypatch
):
  package = tmp_path / 'own_pack'
  package.mkdir()
  for file in ('__init__.py', 'inner.py'):
    (package / file).write_text('raise AssertionError("it was imported")')
  monkeypatch.syspath_prepend(tmp_path)
  with pytest.raises(InputError) as caught:
    models.check_name(name)
  assert str(caught.value).endswith(f'is package.module:factory{end}')
  assert 'own_pack' not in sys.modules


@pytest.mark.parametrize(
  ('name', 'streams', 'unknown'),
  [
    ('own_calls:Inference', ['dropout'], ['inference']),
    ('own_calls:Noisy', ['default'], ['mode']),
    ('own_calls:Asking', [], ['temperature']),
    ('own_calls:Deterministic', [], []),
    ('own_calls:Training', [], []),
    ('own_calls:Twice', [], []),
    ('own_calls:sequential', [], []),
    ('tiny:Noisy', ['noise'], []),
  ],
)
def test_what_a_model_draws_in_evaluation(name, streams, unknown):
  model = models.make(name, num_classes=3)
  assert calls.list_drawn(model, IMAGE) == streams
  assert own_models.list_unknown(model) == unknown


def test_a_switch_of_the_users_own_is_read_as_one():
  params = init(make('Switched', is_deep='false'))['params']
  assert len(params) == 2
  assert len(init(make('Switched', is_deep='true'))['params']) == 3
  with pytest.raises(InputError, match='is_deep=no is not allowed; give true or false'):
    make('Switched', is_deep='no')
