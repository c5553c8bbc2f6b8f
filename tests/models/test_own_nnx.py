"""NNX modules of the user's own: their splits, their training and the bridge."""

import jax
import jax.numpy as jnp
import numpy as np
import own_calls
import pytest
from calling import IMAGE, apply, assert_cuts, images, init, make
from flax import errors

from gpz_jax import models, partition
from gpz_jax.models import calls
from gpz_jax.types import InputError


def test_a_module_that_is_not_linen_is_not_adapted():
  with pytest.raises(InputError, match='the model is a Twice, not a module of'):
    models.adapt(own_calls.ready_made(3))


def test_an_nnx_module_has_splits_and_draws_by_seed():
  model = make('Twice')
  assert_cuts(model, 'stem', 'units_0', 'units_1', 'dropout')
  splits = partition.find_splits(model, IMAGE)
  assert splits.left_out == {'twice': 'it is called more than once'}
  deep = partition.list_splits(model, IMAGE, where='*/*')
  assert tuple(deep) == tuple(
    f'units_{i}/{n}' for i in (0, 1) for n in ('conv', 'norm')
  )
  names = ['units_0', 'prediction']
  assert list(partition.list_modules(model, IMAGE, names).values()) == ['Unit', 'Twice']
  variables = init(model)
  assert set(variables['params']['units']) == {'0', '1'}
  other = calls.init(model, jax.random.key(1), jnp.zeros((1, *IMAGE)))
  kernels = [v['params']['stem']['kernel'] for v in (variables, other)]
  assert (kernels[0] != kernels[1]).all()


def test_an_nnx_module_trains_and_evaluates():
  model = make('Twice')
  variables = init(model)
  first, again, other = (
    apply(model, variables, train=True, key=jax.random.key(i)) for i in (0, 0, 1)
  )
  np.testing.assert_array_equal(first[0], again[0])
  assert (first[0] != other[0]).any()
  moved = first[1]['batch_stats']['units']['0']['norm']['mean']
  assert (moved != variables['batch_stats']['units']['0']['norm']['mean']).any()
  with pytest.raises(errors.InvalidRngError, match='default'):
    model.apply(variables, images(), train=True, mutable=True)  # no key, no dropout
  still = [apply(model, variables, train=False, key=jax.random.key(i)) for i in (0, 1)]
  np.testing.assert_array_equal(*still)


def test_the_bridge_computes_what_the_nnx_module_does():
  model = make('Twice')
  module = own_calls.ready_made(3)
  module.eval()
  variables = init(model)
  params, stats = variables['params'], variables['batch_stats']
  for i, unit in enumerate(module.units):
    unit.conv.kernel[...] = params['units'][str(i)]['conv']['kernel']
    unit.norm.mean[...] = stats['units'][str(i)]['norm']['mean']
  for name in ('stem', 'twice', 'logits'):
    getattr(module, name).kernel[...] = params[name]['kernel']
  np.testing.assert_allclose(
    apply(model, variables, train=False), module(images()), rtol=1e-5, atol=1e-6
  )


def test_a_child_in_a_transform_of_nnx_is_no_split():
  assert_cuts(make('Remat'), 'stem')
