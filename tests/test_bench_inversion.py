"""The suite of model inversion, tiny, and that its peer computes what we do."""

import json

import jax
import numpy as np
import pytest
from absl import flags

from gpz_jax.commands import bench
from gpz_jax.commands.benchmarks import inversions
from gpz_jax.commands.benchmarks.inversions import Case
from gpz_jax.generators import DCGAN, StyleGAN2, stylegan2_weights
from gpz_jax.interop import torch as interop_torch
from gpz_jax.training.engine import AUTO
from gpz_jax.types import InputError

TINY = {
  'dcgan': Case(DCGAN(8, width=2, latent=5), 16, 1 / 16, num_classes=5),
  'stylegan2': Case(
    StyleGAN2(
      8, z_dim=6, w_dim=6, mapping_layers=1, channel_base=64, channel_max=8, crop=0.75
    ),
    16,
    1 / 16,
    num_classes=5,
  ),
}


def run(tmp_path, *arguments):
  values = flags.FlagValues()
  bench.define_flags(values)
  path = tmp_path / 'bench.json'
  given = ['--suite=inversion', '--candidates=2', '--steps=1', '--repeats=2']
  values(['bench', *given, f'--json={path}', *arguments])
  assert bench.run(values) == 0
  return json.loads(path.read_text())


@pytest.mark.ci
def test_sizes_are_timed_or_counted(tmp_path, monkeypatch, capsys):
  monkeypatch.setattr(inversions, 'CASES', {32: TINY['dcgan'], 256: TINY['stylegan2']})
  timed, counted = run(tmp_path, '--sizes=32', '--lanes=3')
  assert (timed['lanes'], timed['batch']) == (3, 2)
  assert timed['seconds'] > 0
  assert timed['roofline'] > 0
  assert counted['seconds'] is None
  assert 'GFLOP an image, counted only' in counted['note']
  out = capsys.readouterr().out
  assert 'images/s' in out
  assert 'stylegan2 8, resnet18 16' in out


def test_operations_are_those_of_a_hand_count():
  case = Case(DCGAN(8, width=2, latent=5), 8, 1 / 64, num_classes=5)
  # DCGAN at 8 pixels: a dense layer to 4x4x2, then one convolution of 3x3 taps to the
  # four phases of the image. Each costs the same forward and for its input's gradient.
  dense, out = 5 * 16 * 2, 16 * 9 * 2 * 12
  # The target with one channel at its start: 3x3 convolutions at 8, 4, 2 and 1 pixels.
  stem = 64 * 9 * 3
  stages = 4 * 64 * 9
  for side, channels in ((4, 2), (2, 4), (1, 8)):
    pixels, half = side * side, channels // 2
    stages += pixels * (9 * half * channels + 3 * 9 * channels**2 + half * channels)
  head = 8 * 5
  expected = 2 * 2 * (dense + out + stem + stages + head)
  assert inversions.count_operations(case) == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize(
  'kind', ['dcgan', pytest.param('stylegan2', marks=pytest.mark.slow)]
)
def test_the_peer_moves_candidates_as_we_do(kind):
  torch = pytest.importorskip('torch')
  from gpz_jax.commands.benchmarks import torch_inversion

  case = TINY[kind]
  request = {**case.request(), 'batch': 3, 'precision': 'float32', 'compile': False}
  torch.manual_seed(0)
  search = torch_inversion.Search(request)
  arrays = {
    name: tensor.numpy() for name, tensor in search.target.net.state_dict().items()
  }
  target = interop_torch.import_weights(
    'resnet18',
    arrays,
    num_classes=5,
    image_shape=(16, 16, 3),
    width=1 / 16,
    normalization='half',
  )
  prior = to_ours(case.generator, search.generator)
  latents = search.latents.numpy()
  pull = inversions.pull(case, AUTO.resolve())
  found = jax.jit(pull)({'target': target, 'prior': prior}, latents)
  expected = search._gradient(search.latents).numpy()
  assert np.abs(expected).max() > 1e-3
  scale = np.abs(expected).max()
  np.testing.assert_allclose(found / scale, expected / scale, atol=1e-3)


def to_ours(generator, net):
  """Our variables of the peer's generator."""
  arrays = {name: tensor.numpy() for name, tensor in net.state_dict().items()}
  if isinstance(generator, StyleGAN2):
    drawn = stylegan2_weights.export_weights(
      generator, generator.init(jax.random.key(0))
    )
    return stylegan2_weights.import_weights(generator, drawn | arrays)
  variables = generator.init(jax.random.key(0))
  dense = arrays['dense.weight'].reshape(-1, 4, 4, 5).transpose(3, 1, 2, 0)
  variables['params']['project']['dense']['kernel'] = dense.reshape(5, -1)
  last = variables['params']['out']['conv']
  last['kernel'] = arrays['layers.2.weight'].transpose(2, 3, 0, 1)
  last['bias'] = arrays['layers.2.bias']
  return variables


def test_a_size_that_is_not_known_is_refused(tmp_path):
  with pytest.raises(InputError, match="size '48' is not known"):
    run(tmp_path, '--sizes=48')
