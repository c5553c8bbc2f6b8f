"""Nets under weights by formula give the logits that torchvision's give.

`record_torchvision.py` recorded them.
"""

import json
import pathlib

import formula_weights
import jax
import jax.numpy as jnp
import kinds
import numpy as np
import pytest

from gpz_jax import models
from gpz_jax.interop import names
from gpz_jax.interop.torch import import_weights

RECORDED = pathlib.Path(__file__).parent / 'recorded'
# torchvision: `num_params` in the metadata of each net's weights
COUNTS = {
  'efficientnet_b0': 5_288_548,
  'maxvit_t': 30_919_624,
  'vit_b_16': 86_567_656,
  'inception_v3': 27_161_264,
}
SIDES = {'efficientnet_b0': 224, 'maxvit_t': 224, 'vit_b_16': 224, 'inception_v3': 299}
OPTIONS = {'inception_v3': {'aux_logits': True}}


def count(name, side, **options):
  model = models.make(name, num_classes=1000, **options)
  image = jnp.zeros((1, side, side, 3))
  variables = jax.eval_shape(lambda: model.init(jax.random.key(0), image))
  return sum(leaf.size for leaf in jax.tree.leaves(variables['params']))


@pytest.mark.parametrize('name', COUNTS)
def test_the_published_number_of_parameters(name):
  assert count(name, SIDES[name], **OPTIONS.get(name, {})) == COUNTS[name]


def state_dict(model, shape, gain):
  """The arrays of the net in torchvision that is ours."""
  shapes = jax.eval_shape(lambda: model.init(jax.random.key(0), jnp.zeros((1, *shape))))
  leaves = jax.tree_util.tree_leaves_with_path(shapes)
  sizes = {
    jax.tree_util.keystr(path, simple=True, separator='/'): leaf.shape
    for path, leaf in leaves
  }
  table = names.TABLES[type(model)](model, shape)
  found = {entry.torch: entry.layout.torch_shape(sizes[entry.linen]) for entry in table}
  return formula_weights.state_dict(found, gain)


@pytest.mark.ci
@pytest.mark.parametrize('name', kinds.each(COUNTS, ['efficientnet_b0', 'vit_b_16']))
def test_the_logits_are_those_of_torchvision(name):
  recorded = json.loads((RECORDED / f'{name}.json').read_text())
  side = recorded['side']
  shape, classes = (side, side, 3), recorded['num_classes']
  model = models.make(name, num_classes=classes, normalization='imagenet')
  arrays = state_dict(model, shape, recorded['gain'])
  variables = import_weights(
    name, arrays, num_classes=classes, image_shape=shape, normalization='imagenet'
  )
  expected = np.array(recorded['logits'])
  images = jnp.asarray(formula_weights.images(len(expected), side))
  logits = jax.jit(model.apply)(variables, images)
  np.testing.assert_allclose(logits, expected, atol=1e-4 * np.abs(expected).max())
