"""The face embedding against the same net in torch."""

import math

import colours
import numpy as np
import pytest
import safetensors.numpy

from gpz_jax import evaluators
from gpz_jax.evaluators import face, scores
from gpz_jax.interop import torch as interop
from gpz_jax.models.inception_resnet import InceptionResnetV1
from gpz_jax.types import Dataset, InputError

SMALL = InceptionResnetV1(width=1 / 8, most_blocks=2)
PUBLISHED = 27_910_327  # facenet-pytorch's for VGGFace2, which has 8,631 people


def make_images():
  """Patches of 20 pixels, [4, 160, 160, 3] uint8."""
  patches = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3)).astype(np.uint8)
  return patches.repeat(20, axis=1).repeat(20, axis=2)


def make_net():
  """A narrow net, as if it had been trained on those images, and its state dict."""
  torch = pytest.importorskip('torch')
  import torch_facenet

  torch.manual_seed(0)
  net = torch_facenet.Facenet(people=3, width=1 / 8, most=2)
  for module in net.modules():
    if isinstance(module, (torch.nn.BatchNorm2d, torch.nn.BatchNorm1d)):
      module.momentum = 1.0
      module.weight.data = 0.5 + torch.rand(module.num_features)
      module.bias.data = 0.1 * torch.randn(module.num_features)
  with torch.no_grad():
    net.train()(torch.from_numpy(make_images()).permute(0, 3, 1, 2).float())
  return net.eval(), {name: array.numpy() for name, array in net.state_dict().items()}


def test_the_whole_net_has_the_published_layout():
  torch = pytest.importorskip('torch')
  import torch_facenet

  with torch.device('meta'):
    net = torch_facenet.Facenet()
  assert sum(each.numel() for each in net.parameters()) == PUBLISHED
  model = InceptionResnetV1()
  shapes = interop.variable_shapes(model, (160, 160, 3))
  assert {entry.linen for entry in face.make_table(model)} == set(shapes)
  for entry in face.make_table(model):
    wanted = tuple(net.state_dict()[entry.torch].shape)
    assert entry.layout.torch_shape(shapes[entry.linen].shape) == wanted
  numbers = [name for name in net.state_dict() if not face._UNUSED.fullmatch(name)]
  assert sorted(numbers) == sorted(entry.torch for entry in face.make_table(model))


def test_parameters_are_as_many_as_published():
  shapes = interop.variable_shapes(InceptionResnetV1(), (160, 160, 3))
  own = sum(math.prod(leaf.shape) for n, leaf in shapes.items() if n[:6] == 'params')
  assert own + (512 + 1) * 8631 == PUBLISHED


def test_features_are_those_of_the_net_in_torch():
  torch = pytest.importorskip('torch')
  net, state_dict = make_net()
  judge = face.from_state_dict(SMALL, state_dict, 'made up')
  images = make_images()
  with torch.no_grad():
    wanted = net(torch.from_numpy(images).permute(0, 3, 1, 2).float()).numpy()
  found = judge.features(images)
  assert found.shape == (4, 64)
  assert np.abs(wanted[0] - wanted[1]).max() > 0.1  # images do differ
  np.testing.assert_allclose(found, wanted, atol=1e-3)
  np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, rtol=1e-5)


def test_a_layout_of_others_is_refused_in_one_line(tmp_path):
  _, state_dict = make_net()
  path = tmp_path / 'face.safetensors'
  safetensors.numpy.save_file(state_dict, path)
  with pytest.raises(InputError, match='does not have the layout of facenet-pytorch'):
    evaluators.load_face(path)
  less = {k: v for k, v in state_dict.items() if k != 'last_linear.weight'}
  with pytest.raises(InputError, match=r"'a' .* 1 missing \(last_linear\.weight\)"):
    face.from_state_dict(SMALL, less, 'a')
  with pytest.raises(InputError, match=r'1 unexpected \(more\)'):
    face.from_state_dict(SMALL, state_dict | {'more': np.zeros(1)}, 'a')
  with pytest.raises(InputError, match='no such file'):
    evaluators.load_face(tmp_path / 'absent')


def test_private_images_are_judged_once_for_all_attacks(monkeypatch):
  judge = colours.evaluator()
  private = Dataset(colours.flat(colours.CORNERS), np.arange(8, dtype=np.int32))
  classes = np.array([2, 5])
  found = scores._list_references(judge, private, classes)
  np.testing.assert_allclose(np.concatenate(found), colours.CORNERS[[2, 5]], atol=1e-6)
  other = scores._list_references(judge, private, np.array([1]))
  np.testing.assert_allclose(other[0], [colours.CORNERS[1]], atol=1e-6)
  again = scores._list_references(judge, private, classes)
  monkeypatch.setattr(type(judge), 'features', None)
  assert scores._list_references(judge, private, classes) is again
