"""What a user's own model may do: random streams, collections, boxes, transforms."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import own_models
import pytest
import tiny
from flax import traverse_util

from gpz_jax import checkpoints, models, partition, targets
from gpz_jax.attacks.activation import interception
from gpz_jax.attacks.activation.cohorts import AttackLane
from gpz_jax.interop.torch import import_weights
from gpz_jax.models import calls
from gpz_jax.training.engine import Engine
from gpz_jax.training.recipe import IR
from gpz_jax.types import InputError, Lane, Treatment

IMAGE = (16, 16, 3)
LANES = [Lane('tiny', 'own', Treatment(0.0), seed) for seed in (0, 1)]


def make(kinds: str) -> own_models.Own:
  return own_models.Own(num_classes=3, kinds=kinds)


def train(model):
  recipe = dataclasses.replace(IR, epochs=1, batch_size=64)
  task = tiny.task(train=64)
  return targets.train(model, task, LANES, recipe, engine=Engine('map'))[0]


def intercept(model, found, images):
  lanes = [AttackLane(i, lane, 'body') for i, lane in enumerate(LANES)]
  variables = found.best.variables
  return np.asarray(
    interception.intercept(model, variables, lanes, images, engine=Engine('map'))
  )


@pytest.fixture(scope='module')
def noisy():
  model = make('noise+constants+boxed')
  return model, train(model)


def test_a_defence_by_noise_draws_the_same_in_every_run(noisy):
  model, found = noisy
  images = np.repeat(tiny.dataset(0, 1).image, 2 * interception.CHUNK, axis=0)
  sent = intercept(model, found, images)
  np.testing.assert_array_equal(sent, intercept(model, found, images))
  flat = sent[0].reshape(len(images), -1)
  assert len(np.unique(flat, axis=0)) == len(images)  # one image, noise of each its own
  first = targets.evaluate(model, found, tiny.dataset(1, 30), engine=Engine('map'))
  again = targets.evaluate(model, found, tiny.dataset(1, 30), engine=Engine('map'))
  jax.tree.map(np.testing.assert_array_equal, first, again)


def test_the_cloud_draws_what_the_whole_model_draws(noisy):
  model, found = noisy
  variables = jax.tree.map(lambda leaf: leaf[0], found.best.variables)
  images = jax.random.uniform(jax.random.key(0), (2, *IMAGE))
  assert partition.true_cuts(model, variables, images, ('stem', 'body')) == {
    'stem': True,
    'body': True,
  }


def test_training_draws_by_lane_and_step():
  rngs = {}

  def note(found):
    rngs.update(found)
    return make('noise').apply(
      calls.init(make('noise'), jax.random.key(0), jnp.zeros((1, *IMAGE))),
      jnp.zeros((1, *IMAGE)),
      train=True,
      rngs=found,
    )

  key = jax.random.key(5)
  calls.lend_keys(note, key, dropout=key)
  assert sorted(rngs) == ['dropout', 'mask', 'noise']
  assert rngs['dropout'] is key  # what it always was
  assert len({str(jax.random.key_data(each)) for each in rngs.values()}) == 3


def test_a_model_without_streams_is_called_once():
  seen = []
  calls.lend_keys(seen.append)
  assert seen == [{}]


def test_constants_are_those_of_the_lane_and_do_not_train(noisy, tmp_path):
  model, found = noisy
  orders = np.asarray(found.best.variables['constants']['order'])
  for lane, order in zip(LANES, orders, strict=True):
    key = jax.random.fold_in(lane.key(), 0)
    fresh = calls.init(model, key, jnp.zeros((1, *IMAGE)))
    np.testing.assert_array_equal(order, fresh['constants']['order'])
  checkpoints.save(tmp_path / 'targets', found, {})
  like = jax.eval_shape(lambda: targets.blank(model, IMAGE, 2))
  restored = checkpoints.restore(tmp_path / 'targets', like)
  assert restored is not None
  jax.tree.map(np.testing.assert_array_equal, restored[0], found)


def test_a_model_without_constants_is_saved_as_ever():
  like = jax.eval_shape(lambda: targets.blank(make(''), IMAGE, 2))
  assert set(vars(like.best)) == {'value', 'epoch', 'params', 'batch_stats'}
  assert like.best.batch_stats == {}


def test_constants_are_imported_with_the_weights():
  model = make('constants')
  variables = calls.init(model, jax.random.key(1), jnp.zeros((1, *IMAGE)))
  arrays = {
    jax.tree_util.keystr(path, simple=True, separator='/'): np.asarray(leaf)
    for path, leaf in jax.tree_util.tree_leaves_with_path(variables)
  }
  options = {'num_classes': 3, 'image_shape': IMAGE, 'kinds': 'constants'}
  found = import_weights('own_models:Own', arrays, **options)
  jax.tree.map(np.testing.assert_array_equal, found, variables)
  assert found['constants']['order'].dtype == variables['constants']['order'].dtype
  del arrays['constants/order']
  with pytest.raises(InputError, match=r'1 missing \(constants/order\)'):
    import_weights('own_models:Own', arrays, **options)


@pytest.mark.parametrize('kind', ['boxed', 'logical'])
def test_boxes_are_taken_off(kind):
  boxed, plain = make(kind), make('')
  init = boxed.init(jax.random.key(0), jnp.zeros((1, *IMAGE)))
  assert isinstance(init['params']['stem']['kernel'], nn.meta.AxisMetadata)
  state, expected = train(boxed).best, train(plain).best
  jax.tree.map(np.testing.assert_array_equal, state.variables, expected.variables)


def test_the_list_of_splits_is_what_can_be_captured():
  model = make('vmap+shared+remat+jit+scan')
  splits = partition.find_splits(model, IMAGE)
  assert set(splits.shapes) == {'stem', 'remat', 'jit', 'scan', 'body'}
  assert 'nn.vmap' in splits.left_out['rows']
  assert splits.left_out['twice'] == 'it is called more than once'
  deep = partition.find_splits(model, IMAGE, where='*/*')
  assert set(deep.shapes) == {'remat/Dense_0', 'jit/Dense_0', 'body/Dense_0'}
  assert 'nn.scan' in deep.left_out['scan/steps']
  images = jax.random.uniform(jax.random.key(0), (2, *IMAGE))
  variables = partition.arbitrary_variables(model, IMAGE)
  names = (*splits.shapes, *deep.shapes)
  _, sent = partition.capture(model, variables, images, names)
  for name, form in (splits.shapes | deep.shapes).items():
    assert sent[name].shape == (2, *form.shape)
  assert all(partition.true_cuts(model, variables, images, ('stem', 'scan')).values())


def test_weights_of_an_nnx_module_are_named_as_linen_names_them():
  model = models.make('own_calls:Twice', num_classes=3)
  variables = calls.init(model, jax.random.key(1), jnp.zeros((1, *IMAGE)))
  arrays = traverse_util.flatten_dict(variables, sep='/')
  assert 'params/units/0/conv/kernel' in arrays
  found = import_weights('own_calls:Twice', arrays, num_classes=3, image_shape=IMAGE)
  jax.tree.map(np.testing.assert_array_equal, found, variables)
