"""The built-in targets: counts, shapes, names, errors."""

import math

import jax
import jax.numpy as jnp
import kinds
import numpy as np
import pytest

from gpz_jax import models, partition
from gpz_jax.models import layers, normalization, vgg
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


def test_cnn_has_nothing_but_dropout_between_its_linear_layers():
  images = jax.random.uniform(jax.random.key(1), (8, 16, 16, 3))
  model = models.make('cnn', num_classes=20, width=1 / 16)
  variables = jax.jit(model.init)(jax.random.key(0), images)

  def hidden(seed, train):
    logits, state = model.apply(
      variables,
      images,
      train=train,
      rngs={'dropout': jax.random.key(seed)},
      capture_intermediates=lambda module, _: module.name == 'fc_1',
      mutable=['intermediates', 'batch_stats'],
    )
    return logits, state['intermediates']['fc_1']['__call__'][0]

  logits, units = hidden(0, train=False)
  assert (units < 0).any()
  last = variables['params']['logits']
  np.testing.assert_allclose(
    logits, units @ last['kernel'] + last['bias'][None], rtol=1e-4, atol=1e-5
  )
  np.testing.assert_array_equal(logits, hidden(1, train=False)[0])
  # docs/paper.md#target-architectures: half of 800 units, within 6 deviations
  dropped = np.asarray(hidden(0, train=True)[1] == 0)
  assert abs(dropped.mean() - 0.5) < 6 * 0.5 / math.sqrt(800)
  assert (dropped != np.asarray(hidden(1, train=True)[1] == 0)).any()


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
  mean = jnp.broadcast_to(jnp.array(normalization.CIFAR10_MEAN), (2, 2, 3))
  np.testing.assert_allclose(layers.standardize(mean), 0.0, atol=1e-6)


@pytest.mark.parametrize(
  ('given', 'colour', 'grey'),
  [
    # torchvision: transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    ('imagenet', [(1 - 0.485) / 0.229, (1 - 0.456) / 0.224, (1 - 0.406) / 0.225], None),
    ('half', [1, 1, 1], 1),
    ('none', [1, 1, 1], 1),
    ('0.4/0.2', [3, 3, 3], 3),
    ('0.4,0.2', [3, 3, 3], 3),
    ('0.1/0.2/0.3/0.9/0.4/0.1', [1, 2, 7], None),
  ],
)
def test_a_normalization_by_name_or_by_numbers(given, colour, grey):
  white = jnp.ones((2, 4, 4, 3))
  np.testing.assert_allclose(
    layers.standardize(white, given)[1, 2, 3], colour, rtol=1e-5
  )
  if grey is not None:
    np.testing.assert_allclose(
      layers.standardize(white[..., :1], given), grey, rtol=1e-5
    )
  else:
    with pytest.raises(InputError, match=f"'{given}' is one of colour images"):
      layers.standardize(white[..., :1], given)


@pytest.mark.parametrize(
  'given', ['imagnet', '0.4', '0.4/0', '0.4/-1', '1/2/3', 'nan/1', '', 0.5, None]
)
@pytest.mark.parametrize('name', ['cnn', 'vgg11', 'ir50', 'resnet18', 'vit6'])
def test_every_model_refuses_an_unknown_normalization(name, given):
  with pytest.raises(InputError, match=r'normalization .* use cifar10, imagenet') as e:
    models.make(name, num_classes=3, normalization=given)
  assert '\n' not in str(e.value)


@pytest.mark.parametrize(
  'name', kinds.each(['cnn', 'vgg11', 'ir50', 'resnet18', 'vit6'], ['cnn', 'vgg11'])
)
def test_every_model_normalizes_as_its_option_says(name):
  images = jax.random.uniform(jax.random.key(1), (2, 32, 32, 3))
  plain = models.make(name, num_classes=3, width=1 / 16, normalization='none')
  variables = jax.jit(plain.init)(jax.random.key(0), images)
  half = models.make(name, num_classes=3, width=1 / 16, normalization='half')
  np.testing.assert_allclose(
    jax.jit(half.apply)(variables, images),
    jax.jit(plain.apply)(variables, 2 * images - 1),
    rtol=1e-4,
    atol=1e-5,
  )


@pytest.mark.parametrize(
  ('name', 'option', 'known'),
  [
    ('resnet18', {'stem': 'smal'}, 'small, small_pool, imagenet'),
    ('vgg11', {'head': 'tv'}, 'compact, torchvision'),
  ],
)
def test_a_word_that_an_option_does_not_have_is_refused(name, option, known):
  with pytest.raises(InputError, match=f"'{name}': .*{known}"):
    models.make(name, num_classes=3, **option)


@pytest.mark.parametrize(
  ('given', 'kept'),
  [
    *((True, True), (1, True), ('true', True), ('TRUE', True), ('1', True)),
    *((False, False), (0, False), ('false', False), ('False', False), ('0', False)),
  ],
)
def test_a_switch_is_a_bool_or_a_word_for_one(given, kept):
  """The word false, like any other, would be true."""
  model = models.make('resnet18', num_classes=3, released_stage3=given)
  assert getattr(model, 'released_stage3') is kept  # noqa: B009 of ResNet alone


@pytest.mark.parametrize(
  ('name', 'option'),
  [
    ('resnet18', {'released_stage3': 'no'}),
    ('repvgg_a0', {'fused': 'yes'}),
    ('inception_v3', {'aux_logits': 2}),
    ('inception_v3', {'transform_input': None}),
  ],
)
def test_a_switch_that_is_neither_true_nor_false_is_refused(name, option):
  (given,) = option.items()
  message = f"'{name}': {given[0]}={given[1]} is not allowed; give true or false"
  with pytest.raises(InputError, match=message):
    models.make(name, num_classes=3, **option)


@pytest.mark.parametrize(
  ('name', 'option'), [('vit6', 'dropout'), ('maxvit_t', 'stochastic_depth')]
)
@pytest.mark.parametrize('value', [-0.5, 1, 1.5, float('nan'), 'much'])
def test_a_rate_is_at_least_0_and_below_1(name, option, value):
  with pytest.raises(InputError, match=f'{option}={value} is not allowed; give a rate'):
    models.make(name, num_classes=3, **{option: value})
