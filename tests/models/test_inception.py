import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from gpz_jax import models, partition
from gpz_jax.types import InputError


def make(**options):
  return models.make('inception_v3', num_classes=3, **options)


def shapes(model, side):
  image = jnp.zeros((1, side, side, 3))
  return jax.eval_shape(lambda: model.init(jax.random.key(0), image))['params']


def test_maps_and_features():
  splits = partition.list_splits(make(), (299, 299, 3))
  expected = {
    'conv_1a': (149, 149, 32),
    'conv_4a': (71, 71, 192),
    'mixed_5d': (35, 35, 288),
    'mixed_6e': (17, 17, 768),
    'mixed_7c': (8, 8, 2048),
    'features': (2048,),
  }
  assert {name: splits[name].shape for name in expected} == expected
  assert list(splits)[-1] == 'features'


def test_the_auxiliary_head_is_there_where_it_is_asked_for():
  whole = shapes(make(aux_logits=True), 299)
  assert set(whole) - set(shapes(make(), 299)) == {'aux'}
  with pytest.raises(InputError, match=r'map of 17x17, got 3x3.*aux_logits=False'):
    shapes(make(aux_logits=True), 75)


@pytest.mark.ci
def test_torchvisions_transform_of_the_input_is_a_normalization():
  images = jax.random.uniform(jax.random.key(0), (2, 75, 75, 3))
  options = {'width': 1 / 16, 'normalization': 'imagenet', 'transform_input': True}
  model = make(**options)
  variables = tiny.random_variables(model, images)
  half = make(width=1 / 16, normalization='half')

  def features(model):
    _, found = partition.capture(model, variables, images, ['features'])
    return found['features']

  np.testing.assert_allclose(
    jax.jit(features, static_argnums=0)(model),
    jax.jit(features, static_argnums=0)(half),
    rtol=1e-4,
  )
