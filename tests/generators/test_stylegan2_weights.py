"""Weights of StyleGAN2 in both published layouts, and files that are refused."""

import functools

import jax
import numpy as np
import pytest
import safetensors.numpy

from gpz_jax.generators import StyleGAN2, stylegan2_weights
from gpz_jax.generators.stylegan2_formats import FORMATS
from gpz_jax.types import InputError

FIELDS = {
  'resolution': 16,
  'channels': 3,
  'z_dim': 6,
  'w_dim': 5,
  'mapping_layers': 2,
  'channel_base': 64,
  'channel_max': 8,
}
GENERATOR = StyleGAN2(**FIELDS)


@functools.cache
def variables():
  """Arrays of which none is at a constant, as biases and strengths start."""
  shapes = jax.eval_shape(GENERATOR.init, jax.random.key(0))
  rng = np.random.default_rng(0)
  return jax.tree.map(lambda s: rng.normal(size=s.shape).astype(np.float32), shapes)


@functools.cache
def _exported(layout):
  return stylegan2_weights.export_weights(GENERATOR, variables(), layout)


def export(layout='nvidia'):
  return dict(_exported(layout))


def write_npz(path, arrays):
  np.savez(path, **arrays)


def write_safetensors(path, arrays):
  safetensors.numpy.save_file(arrays, path)


def write_hdf5(path, arrays):
  h5py = pytest.importorskip('h5py', reason='h5py is an optional extra')
  with h5py.File(path, 'w') as file:
    for name, array in arrays.items():
      file.create_dataset(name, data=array)


def write_torch(path, arrays):
  torch = pytest.importorskip('torch', reason='torch is an optional extra')
  torch.save({name: torch.tensor(a) for name, a in arrays.items()}, path)


WRITERS = {
  'npz': write_npz,
  'safetensors': write_safetensors,
  'h5': write_hdf5,
  'pth': write_torch,
}


def assert_equal(found):
  paths = jax.tree_util.tree_leaves_with_path(variables())
  for (path, expected), leaf in zip(paths, jax.tree.leaves(found), strict=True):
    np.testing.assert_allclose(leaf, expected, atol=1e-6, err_msg=str(path))


@pytest.mark.parametrize('ending', WRITERS)
@pytest.mark.parametrize('layout', FORMATS)
def test_weights_survive_every_layout_and_file(layout, ending, tmp_path):
  path = tmp_path / f'weights.{ending}'
  WRITERS[ending](path, export(layout))
  generator, found = stylegan2_weights.load(path, psi=0.5, latents='all')
  assert generator == StyleGAN2(**FIELDS, psi=0.5, latents='all')
  assert jax.tree.structure(found) == jax.tree.structure(variables())
  assert_equal(found)


def test_the_two_layouts_by_hand():
  """The facts that are written down in docs/paper.md, on single arrays."""
  nvidia, flaxmodels = export('nvidia'), export('flaxmodels')
  params = variables()['params']
  layer = params['synthesis']['b8']['conv0']
  theirs = 'synthesis_network/block_8x8/layer0'
  # torch: [O, I, kh, kw]. TensorFlow: [kh, kw, I, O], turned round where it doubles.
  kernel = np.asarray(layer['conv']['kernel'])
  assert nvidia['synthesis.b8.conv0.weight'][3, 2, 0, 1] == kernel[0, 1, 2, 3]
  assert flaxmodels[f'{theirs}/conv/weight'][2, 1, 2, 3] == kernel[0, 1, 2, 3]
  plain = np.asarray(params['synthesis']['b4']['conv1']['conv']['kernel'])
  found = flaxmodels['synthesis_network/block_4x4/layer0/conv/weight']
  assert found[0, 1, 2, 3] == plain[0, 1, 2, 3]
  # TensorFlow's nets add 1 to styles where they use them.
  bias = np.asarray(layer['affine']['bias'])
  np.testing.assert_array_equal(nvidia['synthesis.b8.conv0.affine.bias'], bias)
  np.testing.assert_allclose(flaxmodels[f'{theirs}/affine/bias'], bias - 1, atol=1e-6)
  assert nvidia['synthesis.b8.conv0.noise_const'].shape == (8, 8)
  assert flaxmodels[f'{theirs}/noise_const'].shape == (1, 8, 8, 1)
  assert nvidia['synthesis.b4.const'].shape == (8, 4, 4)
  assert flaxmodels['synthesis_network/const'].shape == (1, 4, 4, 8)
  assert nvidia['mapping.fc0.weight'].shape == (5, 6)
  assert flaxmodels['mapping_network/fc0/weight'].shape == (6, 5)


def test_the_fields_of_the_published_net_are_told():
  generator = StyleGAN2()
  shapes = {
    'mapping.fc0.weight': (512, 512),
    'synthesis.b4.const': (512, 4, 4),
    'synthesis.b4.conv1.affine.weight': (512, 512),
  }
  for layer, width in zip(generator.list_layers(), generator.widths, strict=True):
    shapes[f'synthesis.{layer}.torgb.weight'] = (3, width, 1, 1)
  shapes |= {f'mapping.fc{i}.bias': (512,) for i in range(8)}
  arrays = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
  assert StyleGAN2(**stylegan2_weights.infer(arrays)) == generator


def test_a_prefix_and_missing_filters_do_not_matter():
  arrays = {f'G_ema.{name}': array for name, array in export().items()}
  arrays = {n: a for n, a in arrays.items() if not n.endswith('resample_filter')}
  assert_equal(stylegan2_weights.import_weights(GENERATOR, arrays))


def read(arrays):
  generator = StyleGAN2(**stylegan2_weights.infer(arrays))
  return stylegan2_weights.import_weights(generator, arrays)


def refuse(arrays):
  with pytest.raises(InputError) as caught:
    read(arrays)
  assert '\n' not in str(caught.value)
  return str(caught.value)


@pytest.mark.parametrize('layout', FORMATS)
def test_missing_unexpected_and_misshapen_arrays_are_named(layout):
  arrays = export(layout)
  strength = next(name for name in arrays if name.endswith('noise_strength'))
  mean = next(name for name in arrays if name.endswith('w_avg'))
  del arrays[strength]
  arrays[f'{mean}_old'] = np.zeros(5, np.float32)
  arrays[mean] = np.zeros(4, np.float32)
  message = refuse(arrays)
  assert f'1 missing ({strength})' in message
  assert f'1 unexpected ({mean}_old)' in message
  assert f'1 of wrong shape ({mean} is (4,), expected (5,))' in message


@pytest.mark.parametrize(
  ('name', 'array', 'words'),
  [
    ('mapping.w_avg', np.full(5, np.nan), 'not of finite real numbers (mapping.w_avg)'),
    ('synthesis.b8.skip.weight', np.zeros(1), 'unexpected (synthesis.b8.skip.weight)'),
    ('synthesis.b8.resample_filter', np.full((4, 4), 1 / 16), 'not [1, 3, 3, 1]'),
    ('mapping.embed.weight', np.zeros((5, 10)), 'conditioned on a label'),
    ('synthesis.b8.torgb.weight', np.zeros(3), 'no whole StyleGAN2'),
    ('mapping.fc0.weight', np.zeros(()), 'no whole StyleGAN2'),
    ('synthesis.b4.torgb.weight', None, "KeyError: 'synthesis.b4.torgb.weight'"),
    ('synthesis.b4.const', None, "hold neither 'synthesis.b4.const'"),
  ],
)
def test_other_weights_are_refused_in_one_line(name, array, words):
  arrays = export()
  if array is None:
    del arrays[name]
  else:
    arrays[name] = array.astype(np.float32)
  assert words in refuse(arrays)


def test_an_option_that_is_not_known_is_named(tmp_path):
  with pytest.raises(InputError, match="did you mean 'cutoff'"):
    stylegan2_weights.load(tmp_path / 'none.npz', cutof=3)
