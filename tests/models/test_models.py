"""The built-in targets: counts, shapes, names, errors."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gpz_jax import models, partition
from gpz_jax.models import layers, vgg
from gpz_jax.types import InputError


def count(model, size=64):
  blank = jnp.zeros((1, size, size, 3))
  variables = jax.eval_shape(lambda: model.init(jax.random.key(0), blank))
  return sum(leaf.size for leaf in jax.tree.leaves(variables['params']))


@pytest.mark.parametrize(
  ('head', 'expected'), [('compact', 45_250_378), ('torchvision', 139_622_218)]
)
def test_vgg19_has_the_published_number_of_parameters(head, expected):
  assert (
    count(models.make('vgg19', num_classes=10, head=head)) == expected
  )  # docs/paper.md#target-architectures


def test_cnn_splits_halve_the_image():
  splits = partition.list_splits(models.make('cnn', num_classes=10), (64, 64, 3))
  assert {name: shape.shape for name, shape in splits.items()} == {
    'conv_1': (32, 32, 64),
    'conv_2': (16, 16, 128),
    'conv_3': (8, 8, 256),
    'conv_4': (4, 4, 512),
    'fc_1': (50,),
  }


@pytest.mark.parametrize('name', ['vgg11', 'vgg13', 'vgg16'])
def test_vgg_depths_count_their_own_layers(name):
  splits = partition.list_splits(
    models.make(name, num_classes=10, width=0.125), (32, 32, 3)
  )
  assert len(splits) == int(name.removeprefix('vgg')) - 1  # all but the logits


def test_errors_list_what_is_known():
  with pytest.raises(InputError, match=r"did you mean 'vgg1.'\?.*Known: cnn, "):
    models.make('vgg12', num_classes=10)
  with pytest.raises(InputError, match=r"no option 'depht'; its options:.* width"):
    models.make('vgg11', num_classes=10, depht=3)


def test_adaptive_pool_enlarges_as_torch_does():
  x = jnp.arange(4.0).reshape(1, 2, 2, 1)
  rows = vgg.adaptive_average_pool(x, 7)[0, :, 0, 0]
  np.testing.assert_allclose(
    rows, [0, 0, 0, 1, 2, 2, 2]
  )  # row 3 averages, as torch 2.x does


def test_max_pool_takes_the_maximum_and_drops_an_odd_edge():
  x = jnp.arange(25.0).reshape(1, 5, 5, 1)
  np.testing.assert_allclose(layers.max_pool(x)[0, ..., 0], [[6, 8], [16, 18]])


def test_standardize_uses_cifar_statistics_for_colour_and_half_for_grey():
  grey = layers.standardize(jnp.ones((1, 2, 2, 1)))
  np.testing.assert_allclose(grey, 1.0)
  mean = jnp.broadcast_to(jnp.array(layers.CIFAR10_MEAN), (2, 2, 3))
  np.testing.assert_allclose(layers.standardize(mean), 0.0, atol=1e-6)
