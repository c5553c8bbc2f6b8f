"""Our nets and torchvision's give the same logits under weights by formula.

`record_torchvision.py` recorded torchvision's, in float64.
"""

import json
import pathlib

import formula_weights
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gpz_jax import models
from gpz_jax.interop import names
from gpz_jax.interop.inference import name_model
from gpz_jax.interop.torch import import_weights, infer_options, variable_shapes

FOLDER = pathlib.Path(__file__).parents[1] / 'models' / 'recorded'
RECORDED = {
  file.stem: json.loads(file.read_text()) for file in sorted(FOLDER.glob('*.json'))
}
# torchvision's name -> ours and the options that make it the same net, without those
# that the weights tell
OURS = {
  **{f'resnet{n}': (f'resnet{n}', {}) for n in (18, 34, 50, 101, 152)},
  **{f'densenet{n}': (f'densenet{n}', {}) for n in (121, 161, 169, 201)},
}
QUICK = ('resnet18', 'densenet121')


def slow_unless(quick):
  """Every recorded net, those but a few marked as slow."""
  return [
    name if name in quick else pytest.param(name, marks=pytest.mark.slow)
    for name in RECORDED
  ]


def formula_state_dict(model, image_shape, gain):
  """Weights by formula under the names of the model's table."""
  shapes = variable_shapes(model, image_shape)
  table = names.TABLES[type(model)](model, image_shape)
  wanted = {e.torch: e.layout.torch_shape(shapes[e.linen].shape) for e in table}
  return formula_weights.state_dict(wanted, gain)


def test_every_recorded_net_is_one_of_ours():
  assert set(RECORDED) == set(OURS)


@pytest.mark.parametrize('name', OURS)
def test_as_many_parameters_as_torchvision(name):
  ours, options = OURS[name]
  if ours.startswith(('resnet', 'densenet')):
    options = options | {'stem': 'imagenet'}
  model = models.make(ours, num_classes=1000, **options)
  side = RECORDED[name]['side']
  shapes = variable_shapes(model, (side, side, 3))
  count = sum(leaf.size for key, leaf in shapes.items() if key.startswith('params/'))
  assert count == RECORDED[name]['parameters']


@pytest.mark.parametrize('name', slow_unless(QUICK))
def test_the_logits_of_torchvision(name):
  recorded, (ours, options) = RECORDED[name], OURS[name]
  side, classes = recorded['side'], recorded['num_classes']
  sizes = {'num_classes': classes, 'image_shape': (side, side, 3)}
  if ours.startswith(('resnet', 'densenet')):
    options = options | {'stem': 'imagenet'}
  model = models.make(ours, num_classes=classes, **options)
  state_dict = formula_state_dict(model, (side, side, 3), recorded['gain'])
  assert name_model(state_dict) in (ours, None)
  options |= infer_options(ours, state_dict, **sizes, **options).options
  variables = import_weights(ours, state_dict, **sizes, **options)
  model = models.make(ours, num_classes=classes, **options)
  images = jnp.asarray(formula_weights.images(2, side))
  expected = np.array(recorded['logits'])
  found = jax.jit(model.apply)(variables, images)
  largest = np.abs(expected).max()
  assert np.abs(expected[0] - expected[1]).max() > 0.01 * largest  # images matter
  np.testing.assert_allclose(found, expected, atol=1e-4 * largest)
