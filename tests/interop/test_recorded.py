"""Our nets and torchvision's give the same logits under weights by formula.

`record_torchvision.py` recorded torchvision's, in float64.
"""

import json
import pathlib
from typing import Any

import formula_weights
import jax
import jax.numpy as jnp
import kinds
import numpy as np
import pytest

from gpz_jax import models
from gpz_jax.interop import names
from gpz_jax.interop.misfits import name_model
from gpz_jax.interop.torch import import_weights, infer_options, variable_shapes

FOLDER = pathlib.Path(__file__).parents[1] / 'models' / 'recorded'
# torchvision's name, which is ours as well, -> the options that make it the same net
OURS: dict[str, dict[str, Any]] = {
  **{f'resnet{depth}': {'stem': 'imagenet'} for depth in (18, 34, 50, 101, 152)},
  **{f'densenet{depth}': {'stem': 'imagenet'} for depth in (121, 161, 169, 201)},
}
RECORDED = {name: json.loads((FOLDER / f'{name}.json').read_text()) for name in OURS}
QUICK = ('resnet18', 'densenet121')


def formula_state_dict(model, image_shape, gain):
  """Weights by formula under the names of the model's table."""
  shapes = variable_shapes(model, image_shape)
  table = names.TABLES[type(model)](model, image_shape)
  wanted = {e.torch: e.layout.torch_shape(shapes[e.linen].shape) for e in table}
  return formula_weights.state_dict(wanted, gain)


@pytest.mark.ci
@pytest.mark.parametrize('name', OURS)
def test_as_many_parameters_as_torchvision(name):
  model = models.make(name, num_classes=1000, **OURS[name])
  side = RECORDED[name]['side']
  shapes = variable_shapes(model, (side, side, 3))
  count = sum(leaf.size for key, leaf in shapes.items() if key.startswith('params/'))
  assert count == RECORDED[name]['parameters']


@pytest.mark.parametrize('name', kinds.each(OURS, QUICK, pytest.mark.slow))
def test_the_logits_of_torchvision(name):
  recorded = RECORDED[name]
  side, classes = recorded['side'], recorded['num_classes']
  sizes = {'num_classes': classes, 'image_shape': (side, side, 3)}
  model = models.make(name, num_classes=classes, **OURS[name])
  state_dict = formula_state_dict(model, (side, side, 3), recorded['gain'])
  assert name_model(state_dict) == name
  options: dict[str, Any] = dict(infer_options(name, state_dict, **sizes).options)
  assert options == {'stem': 'imagenet', 'normalization': 'imagenet'}
  variables = import_weights(name, state_dict, **sizes, **options)
  model = models.make(name, num_classes=classes, **options)
  images = jnp.asarray(formula_weights.images(2, side))
  expected = np.array(recorded['logits'])
  found = jax.jit(model.apply)(variables, images)
  largest = np.abs(expected).max()
  assert np.abs(expected[0] - expected[1]).max() > 0.01 * largest  # images matter
  np.testing.assert_allclose(found, expected, atol=1e-4 * largest)
