"""StyleGAN2 with one set of weights gives the same images in torch and here."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gpz_jax.generators import StyleGAN2, stylegan2_filters, stylegan2_weights
from gpz_jax.models import choices

torch = pytest.importorskip('torch', reason='torch is an optional extra')
reference = pytest.importorskip(
  'gpz_jax.commands.benchmarks.torch_stylegan2',
  reason='it needs torch',
  exc_type=ImportError,
)

SMALL = {
  'resolution': 32,
  'z_dim': 12,
  'w_dim': 10,
  'mapping_layers': 3,
  'channel_base': 256,
  'channel_max': 16,
}
CLAMP = 1.5  # which these weights reach


@functools.cache
def both(clamp=None):
  """A net in torch, ours, and our variables."""
  ours = StyleGAN2(**SMALL, latents='all', conv_clamp=clamp)
  torch.manual_seed(0)
  net = reference.Generator(ours.widths, 12, 10, 3, clamp).scatter(1)
  arrays = {name: tensor.numpy() for name, tensor in net.state_dict().items()}
  return net, ours, stylegan2_weights.import_weights(ours, arrays)


def channels_last(image):
  return image.detach().numpy().transpose(0, 2, 3, 1)


def to_torch(x):
  return torch.tensor(np.asarray(x).transpose(0, 3, 1, 2))


def draw(*shape, seed=0):
  return jax.random.normal(jax.random.key(seed), shape)


@pytest.mark.parametrize(
  ('noise', 'clamp'), [('const', None), ('none', None), ('const', CLAMP)]
)
def test_images_and_gradients(noise, clamp):
  net, ours, variables = both(clamp)
  ours = StyleGAN2(**SMALL, latents='all', conv_clamp=clamp, noise=noise)
  latents = draw(3, ours.num_ws, 10)
  goal = draw(3, 32, 32, 3, seed=1)

  def loss(latents):
    images = ours.images(variables, latents)
    return jnp.mean((images - goal) ** 2), images

  gradient, images = jax.jit(jax.grad(loss, has_aux=True))(latents)

  theirs = torch.tensor(np.asarray(latents), requires_grad=True)
  made = (net.synthesis(theirs, noise) + 1) / 2
  torch.nn.functional.mse_loss(made, to_torch(goal)).backward()
  assert made.max() > 1.5  # nothing is clipped
  np.testing.assert_allclose(images, channels_last(made), atol=1e-3)
  expected = np.asarray(theirs.grad)
  scale = np.abs(expected).max()
  assert scale > 0.01
  np.testing.assert_allclose(gradient / scale, expected / scale, atol=1e-3)
  if clamp:
    free = both()[0].synthesis(theirs, noise)
    assert (free - net.synthesis(theirs, noise)).abs().max() > 0.1


def test_the_peer_may_convolve_densely():
  net, ours, _ = both()
  ws = torch.tensor(np.asarray(draw(3, ours.num_ws, 10)))
  with torch.no_grad():
    grouped = net.synthesis(ws)
    dense = net.convolve(grouped=False).synthesis(ws)
    net.convolve(grouped=True)
  assert not torch.equal(dense, grouped)
  torch.testing.assert_close(dense, grouped, atol=1e-4, rtol=1e-4)


def test_mapping():
  net, ours, variables = both()
  z = draw(4, 12)
  with torch.no_grad():
    theirs = net.mapping(torch.tensor(np.asarray(z))).numpy()
  assert np.ptp(theirs) > 0.1
  np.testing.assert_allclose(ours.latents_of(variables, z)[:, 3], theirs, atol=1e-5)


@pytest.mark.parametrize('way', choices.DENSE)
def test_every_implementation_of_convolutions_gives_one_result(way):
  x, kernel = draw(2, 5, 4, 3), draw(3, 3, 3, 2, seed=1)
  with choices.using(way):
    ours = stylegan2_filters.upsample_convolve(x, kernel)
  theirs = torch.nn.functional.conv_transpose2d(
    to_torch(x), torch.tensor(np.asarray(kernel).transpose(2, 3, 0, 1)), stride=2
  )
  theirs = reference.filtered(theirs, 1, 1, gain=4)
  np.testing.assert_allclose(ours, channels_last(theirs), atol=1e-5)


@pytest.mark.parametrize('kind', ['upsample', 'downsample'])
def test_filters(kind):
  x = draw(2, 6, 8, 3)
  theirs = getattr(reference, f'{kind}d')(to_torch(x))
  ours = getattr(stylegan2_filters, kind)(x)
  np.testing.assert_allclose(ours, channels_last(theirs), atol=1e-5)


@pytest.mark.parametrize('resolution', [32, 256, 1024])
def test_parameters_are_as_many_as_in_torch(resolution):
  ours = StyleGAN2(resolution=resolution)
  variables = jax.eval_shape(ours.init, jax.random.key(0))
  count = sum(leaf.size for leaf in jax.tree.leaves(variables['params']))
  with torch.device('meta'):
    net = reference.Generator(ours.widths, 512, 512, 8)
  assert count == sum(tensor.numel() for tensor in net.parameters())
  if resolution == 1024:
    assert count == 30_370_060  # counted here; published as 30.0 M


def test_what_is_exported_is_a_whole_state_dict():
  net, ours, variables = both()
  arrays = stylegan2_weights.export_weights(ours, variables)
  tensors = {name: torch.tensor(array) for name, array in arrays.items()}
  assert all(torch.equal(tensors[k], v) for k, v in net.state_dict().items())
  net.load_state_dict(tensors, strict=True)
