import os
import pathlib
import pickle
import zipfile

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
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
  safetensors = pytest.importorskip('safetensors.numpy')
  path = tmp_path / 'vgg11.safetensors'
  half = {name: array.astype(np.float16) for name, array in vgg11.items()}
  half['features.1.num_batches_tracked'] = np.asarray(7)
  safetensors.save_file(half, path)
  loaded = load_state_dict(path)
  assert loaded['features.0.weight'].dtype == np.float32
  assert loaded.keys() == half.keys()
  np.testing.assert_array_equal(
    loaded['features.0.weight'], half['features.0.weight'].astype(np.float32)
  )
  _import('vgg11', loaded)


def test_safetensors_in_bfloat16(tmp_path):
  torch = pytest.importorskip('torch', reason='torch is an optional extra')
  safetensors = pytest.importorskip('safetensors.torch')
  path = tmp_path / 'bfloat16.safetensors'
  safetensors.save_file({'weight': torch.tensor([1.5, -2.0]).bfloat16()}, path)
  loaded = load_state_dict(path)['weight']
  assert loaded.dtype == np.float32
  np.testing.assert_array_equal(loaded, [1.5, -2.0])


@pytest.mark.parametrize('ending', ['.pth', '.pth.tar', '.ckpt', '.th', '.bin', '.x'])
@pytest.mark.parametrize(
  'wrapper',
  [None, 'model', 'state_dict', 'net', 'model_state_dict', 'state_dict_ema'],
)
def test_pth_plain_and_wrapped(tmp_path, wrapper, ending):
  torch = pytest.importorskip('torch', reason='torch is an optional extra')
  content = {'fc.weight': torch.ones(2, 3).bfloat16(), 'count': torch.tensor(3)}
  path = tmp_path / f'model{ending}'
  beside = {
    'epoch': 1,
    'accuracy': {'val': torch.tensor(0.9)},
    'optimizer': {'state': {0: {'momentum_buffer': torch.ones(2, 3)}}},
  }
  torch.save({**beside, wrapper: content} if wrapper else content, path)
  loaded = load_state_dict(path)
  assert loaded.keys() == content.keys()
  assert loaded['fc.weight'].dtype == np.float32
  np.testing.assert_array_equal(loaded['fc.weight'], np.ones((2, 3)))


def test_several_state_dicts_are_named(tmp_path):
  torch = pytest.importorskip('torch', reason='torch is an optional extra')
  content = {'fc.weight': torch.ones(2, 3)}
  torch.save({'net': content, 'ema': {'net': content}}, tmp_path / 'a.pth')
  with pytest.raises(InputError, match=r"hold 2 state dicts \('net', 'ema/net'\)"):
    load_state_dict(tmp_path / 'a.pth')


def test_safetensors_of_any_ending(tmp_path):
  safetensors = pytest.importorskip('safetensors.numpy')
  safetensors.save_file({'a': np.ones(2, np.float32)}, tmp_path / 'model.bin')
  np.testing.assert_array_equal(load_state_dict(tmp_path / 'model.bin')['a'], [1, 1])


@pytest.mark.parametrize('kind', ['torchscript', 'float8', 'float8 safetensors', 'raw'])
def test_what_is_no_plain_state_dict_is_refused_in_one_line(tmp_path, kind, recwarn):
  torch = pytest.importorskip('torch', reason='torch is an optional extra')
  safetensors = pytest.importorskip('safetensors.torch')
  path = tmp_path / 'model.pt'
  numbers = {'a': torch.ones(2).to(torch.float8_e4m3fn)}
  if kind == 'torchscript':
    with zipfile.ZipFile(path, 'w') as archive:  # as torch.jit.save packs it
      for name in ('data.pkl', 'constants.pkl', 'code/__torch__.py', 'version'):
        archive.writestr(f'model/{name}', b'')
  elif kind == 'float8':
    torch.save(numbers, path)
  elif kind == 'raw':
    path.write_bytes(pickle.dumps({'a': np.float64(1)}, protocol=4))
  else:
    safetensors.save_file(numbers, path)
  expected = {'torchscript': 'are a TorchScript program', 'raw': 'more than tensors'}
  with pytest.raises(InputError, match=expected.get(kind, 'float8')) as caught:
    load_state_dict(path)
  message = str(caught.value)
  assert '\n' not in message
  assert 'weights_only' not in message
  assert not recwarn.list


class _Payload:
  """Unpickled by pickle itself, this makes the file it is given."""

  def __init__(self, path):
    self.path = path

  def __reduce__(self):
    return pathlib.Path.touch, (self.path,)


class _Shell(_Payload):
  def __reduce__(self):
    return os.system, (f'touch "{self.path}"',)


@pytest.mark.parametrize('payload', [_Payload, _Shell])
@pytest.mark.parametrize('writer', ['torch', 'pickle'])
def test_a_file_that_would_run_code_is_refused_and_runs_nothing(
  tmp_path, payload, writer
):
  torch = pytest.importorskip('torch', reason='torch is an optional extra')
  ran, path = tmp_path / 'ran', tmp_path / 'model.pth'
  content = {'fc.weight': torch.ones(2), 'evil': payload(ran)}
  if writer == 'torch':
    torch.save(content, path)
  else:
    path.write_bytes(pickle.dumps(payload(ran), protocol=2))
  with pytest.raises(InputError, match='refused') as caught:
    load_state_dict(path)
  assert '\n' not in str(caught.value)
  assert not ran.exists()
  pickle.loads(pickle.dumps(payload(ran)))  # the trap itself works
  assert ran.exists()


def test_a_pickled_module_is_refused(tmp_path):
  torch = pytest.importorskip('torch', reason='torch is an optional extra')
  torch.save(torch.nn.Linear(2, 2), tmp_path / 'model.pth')
  with pytest.raises(InputError, match=r'save model.state_dict\(\) alone'):
    load_state_dict(tmp_path / 'model.pth')


@pytest.mark.parametrize('suffix', ['.pth', '.safetensors'])
def test_damaged_files_are_named_in_one_line(tmp_path, suffix):
  pytest.importorskip('torch', reason='torch is an optional extra')
  path = tmp_path / f'model{suffix}'
  path.write_bytes(b'PK\x03\x04 not really')
  with pytest.raises(InputError, match='model') as caught:
    load_state_dict(path)
  assert '\n' not in str(caught.value)


def test_files_that_are_no_state_dict(tmp_path):
  torch = pytest.importorskip('torch', reason='torch is an optional extra')
  torch.save([torch.ones(2)], tmp_path / 'list.pth')
  with pytest.raises(InputError, match='no state dict'):
    load_state_dict(tmp_path / 'list.pth')
  with pytest.raises(InputError, match='no such file'):
    load_state_dict(tmp_path / 'absent.pth')
  (tmp_path / 'model.onnx').touch()
  with pytest.raises(InputError, match=r"format '.onnx' is not known"):
    load_state_dict(tmp_path / 'model.onnx')


def test_an_old_torch_is_refused(tmp_path, monkeypatch):
  torch = pytest.importorskip('torch', reason='torch is an optional extra')
  torch.save({}, tmp_path / 'model.pth')
  monkeypatch.setattr(torch, '__version__', '2.5.1+cpu')
  with pytest.raises(InputError, match=r'torch 2\.6 or later'):
    load_state_dict(tmp_path / 'model.pth')
