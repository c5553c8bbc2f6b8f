"""Which modules are splits, which are none and why, and how splits are named."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
import pytest

from gpz_jax import partition
from gpz_jax.types import InputError


class Spectral(nn.Module):
  @nn.compact
  def __call__(self, x, *, train=False):
    x = nn.Conv(4, (3, 3), strides=2, name='first')(x)
    x = nn.SpectralNorm(nn.Conv(4, (3, 3)), name='second')(x, update_stats=train)
    return nn.Dense(3, name='logits')(x.mean(axis=(1, 2)))


class Complex(nn.Module):
  @nn.compact
  def __call__(self, x, *, train=False):
    x = Spectrum(name='fft')(nn.Conv(4, (3, 3), strides=2, name='first')(x))
    return nn.Dense(3, name='logits')(jnp.abs(x).mean(axis=(1, 2)))


class Spectrum(nn.Module):
  @nn.compact
  def __call__(self, x):
    return jnp.fft.fft2(x, axes=(1, 2))


def test_layers_that_cannot_be_initialised_while_outputs_are_captured():
  found = list(partition.list_splits(Spectral(), (8, 8, 3)))
  assert found == ['first', 'Conv_0', 'second']


def test_complex_activations_are_no_splits():
  found = partition.find_splits(Complex(), (8, 8, 3))
  assert list(found.shapes) == ['first']
  assert 'is complex' in found.left_out['fft']


class Headed(nn.Module):
  """The last child gives as many numbers as there are classes; a function follows."""

  head: str
  wrap: Callable[..., Any] = lambda block: block

  @nn.compact
  def __call__(self, x, *, train=False):
    x = nn.relu(nn.Conv(4, (3, 3), strides=4, name='conv')(x))
    x = self.wrap(nn.Dense)(5, name='last')(x.reshape(len(x), -1))
    match self.head:
      case 'none':
        return x
      case 'softmax':
        return nn.log_softmax(x)
      case 'scale':
        return x * self.param('scale', nn.initializers.ones, (1, 5))
      case 'product':
        return nn.relu(x) @ self.param('w', nn.initializers.lecun_normal(), (5, 5))
    raise AssertionError(self.head)


@pytest.mark.parametrize('wrap', [lambda block: block, nn.jit, nn.remat])
@pytest.mark.parametrize(
  ('head', 'names'),
  [
    ('none', ['conv']),
    ('softmax', ['conv']),  # no layer is left for the cloud
    ('scale', ['conv']),
    ('product', ['conv', 'last']),
  ],
)
def test_features_as_many_as_classes_are_no_logits(head, names, wrap):
  found = partition.find_splits(Headed(head, wrap), (8, 8, 3))
  assert list(found.shapes) == names
  assert found.left_out == {}


class Scaled(nn.Module):
  """Wraps a net, whose answer it scales by a number that is learned."""

  @nn.compact
  def __call__(self, x, *, train=False):
    scale = self.param('scale', nn.initializers.ones, ())
    return scale * Headed('none', name='net')(x, train=train)


def test_a_wrapper_that_scales_the_answer_has_the_splits_of_its_net():
  found = partition.find_splits(Scaled(), (8, 8, 3))
  assert list(found.shapes) == ['net/conv']


def test_select_splits_by_name_number_and_glob():
  splits = ('feat_3', 'feat_13', 'fc_1', 'fc_2')
  assert partition.select_splits(('fc_*', '13'), splits) == ('feat_13', 'fc_1', 'fc_2')
  with pytest.raises(InputError, match=r"'feat_14' is not in .* 'feat_13'.*Known"):
    partition.select_splits(('feat_14',), splits)


def test_numbers_are_positions_where_names_agree():
  splits = ('input_layer', 'unit_2', 'unit_3')
  assert partition.select_splits(['1', '3'], splits) == ('input_layer', 'unit_3')
  with pytest.raises(InputError, match="split '4' is not in the model"):
    partition.select_splits(['4'], splits)
  with pytest.raises(InputError, match="split '3' is not"):  # which of the two?
    partition.select_splits(['3'], ('conv_1', 'conv_2', 'fc_1'))


def test_the_class_of_each_split():
  class Small(nn.Module):
    @nn.compact
    def __call__(self, x, *, train):
      x = nn.Conv(4, (3, 3), name='conv')(x)
      x = nn.Dropout(0.5, deterministic=not train, name='drop')(x)
      return nn.Dense(3)(x.reshape(len(x), -1))

  found = partition.list_modules(
    Small(), (8, 8, 3), ('conv', 'drop', partition.PREDICTION)
  )
  assert found == {'conv': 'Conv', 'drop': 'Dropout', partition.PREDICTION: 'Small'}
