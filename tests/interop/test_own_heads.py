"""Weights for models of the user's own, whose last layer has a name of its own."""

import flax.linen as nn
import jax
import numpy as np
import own_calls
import pytest
from flax import traverse_util

from gpz_jax import models
from gpz_jax.interop.torch import import_weights, variable_shapes
from gpz_jax.models import penultimate
from gpz_jax.types import InputError

SHAPE = (16, 16, 3)


class Scan(nn.Module):
  """A model without a last layer that could be seen."""

  num_classes: int

  @nn.compact
  def __call__(self, x):
    kernel = self.param('kernel', nn.initializers.ones, (x[0].size, self.num_classes))
    return x.reshape(len(x), -1) @ kernel


def make_arrays(name, num_classes=7, **options):
  model = models.make(f'own_calls:{name}', num_classes=num_classes, **options)
  rng = np.random.default_rng(0)
  return {
    key: rng.uniform(0.1, 1, leaf.shape).astype(np.float32)
    for key, leaf in variable_shapes(model, SHAPE).items()
  }


def load(name, arrays, num_classes=5, **options):
  given = {'num_classes': num_classes, 'image_shape': SHAPE}
  found = import_weights(f'own_calls:{name}', arrays, **given, **options)
  return traverse_util.flatten_dict(found, sep='/')


CASES = [
  ('Headed', {}, 'params/head/'),
  ('Plain', {}, 'params/Dense_0/'),
  ('wrapped', {}, 'params/net/logits/'),
  ('Twice', {}, 'params/logits/'),
]


@pytest.mark.parametrize(('name', 'options', 'head'), CASES)
def test_a_last_layer_of_any_name_is_drawn_anew(name, options, head):
  arrays = make_arrays(name, **options)
  found = load(name, arrays, new_head=True, **options)
  assert found[f'{head}kernel'].shape[-1] == 5
  assert np.ptp(found[f'{head}kernel']) > 0
  for key, array in arrays.items():
    if not key.startswith(head):
      np.testing.assert_array_equal(found[key], array)
  omitted = load(name, arrays, new_head=True, omits_new_head=True, **options)
  assert arrays.keys() - omitted.keys() == {f'{head}kernel', f'{head}bias'}
  kept = load(name, arrays, num_classes=7, new_head=True, **options)
  jax.tree.map(np.testing.assert_array_equal, kept, arrays)


@pytest.mark.parametrize(('name', 'options', 'head'), CASES)
def test_weights_of_other_classes_are_told_apart(name, options, head):
  del head
  with pytest.raises(InputError, match='have 7 classes and the data has 5: replace'):
    load(name, make_arrays(name), **options)


def test_a_misfit_of_a_model_that_tells_no_classes_is_one_line():
  arrays = make_arrays('Twice', num_classes=5)
  del arrays['params/stem/bias']
  with pytest.raises(InputError, match=r'1 missing \(params/stem/bias\)$'):
    load('Twice', arrays)


def test_a_new_head_is_refused_where_no_layer_is_the_last_one(monkeypatch):
  monkeypatch.setattr(own_calls, 'Scan', Scan, raising=False)
  arrays = make_arrays('Scan')
  with pytest.raises(InputError, match=r'--new_head finds no last layer: .*Scan'):
    load('Scan', arrays, new_head=True)
  with pytest.raises(InputError, match=r'weights do not fit .* 1 of wrong shape'):
    load('Scan', arrays)


def test_the_last_layer_of_nnx_is_found_in_a_list():
  model = models.make('own_calls:Stacked', num_classes=3)
  assert penultimate.find_layer(model, SHAPE) == 'layers/1'
