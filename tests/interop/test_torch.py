import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy
from flax import traverse_util

from gpz_jax import models
from gpz_jax.interop import names
from gpz_jax.interop.torch import import_weights, load_state_dict
from gpz_jax.types import InputError

OPTIONS = {'num_classes': 4, 'width': 1 / 16}


def _variable_shapes(name, image_shape):
  model = models.make(name, **OPTIONS)
  image = jnp.zeros((1, *image_shape))
  variables = jax.eval_shape(lambda: model.init(jax.random.key(0), image, train=False))
  return model, variables


def _state_dict(name, image_shape=(32, 32, 3)):
  """Random arrays under the names and in the shapes the table asks for."""
  rng = np.random.default_rng(0)
  model, variables = _variable_shapes(name, image_shape)
  shapes = {
    '/'.join(part.key for part in path): leaf.shape
    for path, leaf in jax.tree_util.tree_leaves_with_path(variables)
  }
  return {
    # variances are not negative
    entry.torch: abs(rng.normal(size=entry.layout.torch_shape(shapes[entry.linen])))
    for entry in names.TABLES[type(model)](model, image_shape)
  }


@pytest.fixture(scope='module')
def vgg11():
  return _state_dict('vgg11')


def _import(name, state_dict, **options):
  return import_weights(
    name, state_dict, image_shape=(32, 32, 3), **{**OPTIONS, **options}
  )


@pytest.mark.parametrize('name', ['vgg11', 'resnet18'])
def test_import_gives_what_init_gives(name):
  variables = _import(name, _state_dict(name))
  expected = _variable_shapes(name, (32, 32, 3))[1]
  assert jax.tree.structure(variables) == jax.tree.structure(expected)
  for ours, shape in zip(
    jax.tree.leaves(variables), jax.tree.leaves(expected), strict=True
  ):
    assert (ours.shape, ours.dtype) == (shape.shape, jnp.float32)


def test_counters_and_parallel_prefix_are_ignored(vgg11):
  plain = _import('vgg11', vgg11)
  wrapped = {f'module.{name}': array for name, array in vgg11.items()}
  wrapped['module.features.1.num_batches_tracked'] = np.asarray(7)
  same = jax.tree.map(np.array_equal, plain, _import('vgg11', wrapped))
  assert all(jax.tree.leaves(same))


@pytest.mark.parametrize(
  'prefix',
  ['module.', '_orig_mod.', 'module._orig_mod.', 'model.', 'resnet.', 'net.a.b.'],
)
def test_a_prefix_of_all_names_is_taken_off(vgg11, prefix):
  wrapped = {f'{prefix}{name}': array for name, array in vgg11.items()}
  wrapped['n_averaged'] = np.asarray(3)  # SWA puts its counter beside the names
  chex.assert_trees_all_equal(_import('vgg11', wrapped), _import('vgg11', vgg11))


def test_data_parallel_around_a_part_of_the_net(vgg11):
  wrapped = {
    name.replace('features.', 'features.module.'): array
    for name, array in vgg11.items()
  }
  chex.assert_trees_all_equal(_import('vgg11', wrapped), _import('vgg11', vgg11))


def test_a_misfit_behind_a_prefix_is_named_without_it(vgg11):
  wrapped = {f'module.{name}': array for name, array in vgg11.items()}
  del wrapped['module.features.0.weight']
  with pytest.raises(InputError, match=r': 1 missing \(features\.0\.weight\)$'):
    _import('vgg11', wrapped)


def test_names_that_do_not_fit_are_three_examples_and_one_difference(vgg11):
  foreign = {f'_orig_mod.{name}_x': array for name, array in vgg11.items()}
  with pytest.raises(InputError) as caught:
    _import('vgg11', foreign)
  message = str(caught.value)
  assert f"all {len(vgg11)} names begin with '_orig_mod.'" in message
  assert f'{len(vgg11)} missing (features.0.weight, ' in message
  assert len(message) < 500


def test_negative_variances_and_what_float32_cannot_hold_are_refused(vgg11):
  broken = {**vgg11, 'features.1.running_var': -vgg11['features.1.running_var']}
  with pytest.raises(
    InputError, match=r'1 of negative variances \(features.1.running_'
  ):
    _import('vgg11', broken)
  broken = {**vgg11, 'features.0.bias': vgg11['features.0.bias'] + 1e300}
  with pytest.raises(
    InputError, match=r'1 not of finite real numbers \(features.0.bia'
  ):
    _import('vgg11', broken)


def test_weights_of_a_quantised_net_are_refused(vgg11):
  name = 'features.0.weight'
  whole = {**vgg11, name: (100 * vgg11[name]).astype(np.int8)}
  with pytest.raises(InputError, match=rf'1 of whole numbers, .*scale \({name}\)'):
    _import('vgg11', whole)


def test_boxed_parameters_are_unboxed():
  boxed = Boxed(num_classes=3)
  image = jnp.ones((1, 4, 4, 3))
  variables = nn.meta.unbox(boxed.init(jax.random.key(0), image))
  arrays = traverse_util.flatten_dict(variables, sep='/')
  imported = import_weights(
    f'{__name__}:Boxed', arrays, num_classes=3, image_shape=(4, 4, 3)
  )
  chex.assert_trees_all_equal(imported, variables)
  assert boxed.apply(imported, image).shape == (1, 3)


class Boxed(nn.Module):
  num_classes: int

  @nn.compact
  def __call__(self, x, *, train=False):
    init = nn.with_partitioning(nn.initializers.ones, (None, 'model'))
    return nn.Dense(self.num_classes, kernel_init=init)(x.reshape(len(x), -1))


def test_released_ir_wraps_its_backbone_and_an_unused_head():
  plain = _state_dict('ir50')
  released = {
    name if name.startswith(('output_layer', 'fc_layer')) else f'feature.{name}': array
    for name, array in plain.items()
  }
  released['feature.output_layer.3.weight'] = np.zeros((10, 100352))
  same = jax.tree.map(np.array_equal, _import('ir50', plain), _import('ir50', released))
  assert all(jax.tree.leaves(same))
  with pytest.raises(InputError, match=r"'input_layer.0.weight' twice"):
    _import('ir50', {**plain, **released})


def test_every_misfit_is_listed_in_one_line(vgg11):
  broken = dict(vgg11)
  del broken['features.0.weight'], broken['features.1.running_mean']
  broken['extra.weight'] = np.zeros(3)
  broken['classifier.6.weight'] = np.zeros((7, 256))
  with pytest.raises(InputError) as caught:
    _import('vgg11', broken)
  message = str(caught.value)
  assert '\n' not in message
  assert '2 missing (features.0.weight, features.1.running_mean)' in message
  assert '1 unexpected (extra.weight)' in message
  assert 'classifier.6.weight is (7, 256), expected (4, 256)' in message


def test_the_wrong_head_and_the_wrong_model_are_refused(vgg11):
  with pytest.raises(InputError, match=r'classifier.0.weight is \(256, 32\), expected'):
    _import('vgg11', vgg11, head='torchvision')
  with pytest.raises(InputError, match=r'missing .*unexpected'):
    _import('resnet18', vgg11)
  with pytest.raises(InputError, match="'cnn' has no table of torch names"):
    _import('cnn', vgg11)


def test_safetensors_round_trip(tmp_path, vgg11):
  path = tmp_path / 'vgg11.safetensors'
  half = {name: array.astype(np.float16) for name, array in vgg11.items()}
  half['features.1.num_batches_tracked'] = np.asarray(7)
  safetensors.numpy.save_file(half, path)
  loaded = load_state_dict(path)
  assert loaded['features.0.weight'].dtype == np.float32
  assert loaded.keys() == half.keys()
  np.testing.assert_array_equal(
    loaded['features.0.weight'], half['features.0.weight'].astype(np.float32)
  )
  _import('vgg11', loaded)
