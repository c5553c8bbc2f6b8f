"""A torch module and ours, with the same weights, give the same logits.

The modules here are written from the published architectures, under the names that
the released code uses; `width` narrows them. `torch_nets` has torchvision's, and IR is
that of the benchmarks' peer.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gpz_jax import models
from gpz_jax.interop.torch import import_weights, infer_options
from gpz_jax.models import repvgg

torch = pytest.importorskip('torch', reason='torch is an optional extra')
torch_nets = pytest.importorskip('torch_nets', reason='it needs torch')
torch_ir = pytest.importorskip(
  'gpz_jax.commands.benchmarks.torch_ir', reason='as above'
)
nn, functional = torch.nn, torch.nn.functional

MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)
# torchvision: transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def standardize(image, mean=MEAN, std=STD):
  """[B, 3, H, W] in [0, 1], by CIFAR-10's statistics unless others are given."""
  return (image - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)


class ViTBlock(nn.Module):
  def __init__(self, features, heads):
    super().__init__()
    self.norm1, self.norm2 = nn.LayerNorm(features), nn.LayerNorm(features)
    self.attn = nn.MultiheadAttention(features, heads, batch_first=True)
    self.mlp = nn.ModuleDict(
      {
        'fc1': nn.Linear(features, 4 * features),
        'fc2': nn.Linear(4 * features, features),
      }
    )

  def forward(self, x):
    y = self.norm1(x)
    x = x + self.attn(y, y, y, need_weights=False)[0]
    return x + self.mlp['fc2'](functional.gelu(self.mlp['fc1'](self.norm2(x))))


class ViT(nn.Module):
  def __init__(self, num_classes, side, *, features=128, heads=8, depth=6):
    super().__init__()
    self.patch_embed = nn.ModuleDict({'proj': nn.Conv2d(3, features, 4, 4)})
    self.cls_token = nn.Parameter(torch.zeros(1, 1, features))
    self.pos_embed = nn.Parameter(torch.zeros(1, 1 + (side // 4) ** 2, features))
    self.blocks = nn.Sequential(*[ViTBlock(features, heads) for _ in range(depth)])
    self.norm, self.head = nn.LayerNorm(features), nn.Linear(features, num_classes)

  def forward(self, x):
    x = self.patch_embed['proj'](x).flatten(2).transpose(1, 2)
    x = torch.cat([self.cls_token.expand(len(x), -1, -1), x], 1) + self.pos_embed
    return self.head(self.norm(self.blocks(x))[:, 0])


def randomize(module, images):
  """Moves everything off its initial value, and batch statistics to those of `images`.

  With other statistics the signal dies in deep networks and parity would prove little.
  """
  generator = torch.Generator().manual_seed(0)
  with torch.no_grad():
    for parameter in module.parameters():
      parameter += 0.02 * torch.randn(parameter.shape, generator=generator)
    for norm in module.modules():
      if isinstance(norm, nn.BatchNorm2d | nn.BatchNorm1d):
        norm.momentum = None  # the plain average over the passes
    module.train()(images)
  return module.eval()


def _compare(
  module, model_name, side, normalized=standardize, *, infer=False, **options
):
  """torch's and our logits [3, 5] for float32 images of a side."""
  images = np.random.default_rng(0).uniform(size=(3, side, side, 3)).astype(np.float32)
  images *= np.asarray([0.2, 0.6, 1.0], np.float32)[:, None, None, None]
  channels_first = torch.from_numpy(images.transpose(0, 3, 1, 2).copy())
  inputs = normalized(channels_first)
  module = randomize(module, inputs)
  with torch.no_grad():
    expected = module(inputs).numpy()
  state_dict = {name: array.numpy() for name, array in module.state_dict().items()}
  sizes: dict[str, Any] = {'num_classes': 5, 'image_shape': (side, side, 3)}
  if infer:
    options |= infer_options(model_name, state_dict, **sizes, **options).options
  variables = import_weights(model_name, state_dict, **sizes, **options)
  model = models.make(model_name, num_classes=5, **options)
  return expected, jax.jit(model.apply)(variables, jnp.asarray(images))


def _check_parity(module, model_name, side, normalized=standardize, **options):
  """Logits within 1e-4 of the largest one, on float32 images [3, side, side, 3]."""
  expected, logits = _compare(module, model_name, side, normalized, **options)
  assert np.ptp(expected, axis=0).max() > 0.01 * np.abs(expected).max()  # images matter
  np.testing.assert_allclose(logits, expected, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize('head', ['compact', 'torchvision'])
def test_vgg19(head):
  pool7 = head == 'torchvision'
  module = torch_nets.VGG(torch_nets.VGGS['vgg19'], 5, 1 / 8, 64, pool7=pool7)
  _check_parity(module, 'vgg19', 64, head=head, width=1 / 8)


def test_vgg11():
  module = torch_nets.VGG(torch_nets.VGGS['vgg11'], 5, 1 / 16, 32, pool7=False)
  _check_parity(module, 'vgg11', 32, width=1 / 16)


@pytest.mark.parametrize('name', ['resnet18', 'resnet50'])
def test_resnet(name):
  stages, kernels = torch_nets.RESNETS[name]
  module = torch_nets.ResNet(stages, kernels, 5, 1 / 8)
  _check_parity(module, name, 32, width=1 / 8)


@pytest.mark.parametrize('stem', ['small_pool', 'imagenet'])
def test_resnet_with_a_pool(stem):
  module = torch_nets.ResNet((2, 2, 2, 2), (3, 3), 5, 1 / 8, stem=stem)
  _check_parity(module, 'resnet18', 32, stem=stem, width=1 / 8)


def test_a_pool_that_the_weights_do_not_show_is_seen_in_the_logits():
  module = torch_nets.ResNet((2, 2, 2, 2), (3, 3), 5, 1 / 8, stem='small_pool')
  expected, logits = _compare(module, 'resnet18', 32, stem='small', width=1 / 8)
  assert np.abs(logits - expected).max() > 0.1 * np.abs(expected).max()


@pytest.mark.parametrize(
  ('name', 'side'),
  [
    *(('resnet18', 64), ('resnet18', 224), ('resnet34', 64)),
    *(('resnet50', 64), ('resnet50', 224)),
    *(('vgg11_bn', 64), ('vgg11_bn', 224), ('vgg11', 64)),
  ],
)
def test_torchvisions_nets_as_they_come(name, side):
  module = torch_nets.make(name, num_classes=5, width=1 / 16)
  normalized = functools.partial(standardize, mean=IMAGENET[0], std=IMAGENET[1])
  ours = name.removesuffix('_bn')
  _check_parity(module, ours, side, normalized, infer=True, width=1 / 16)


@pytest.mark.parametrize(
  ('normalization', 'mean', 'std'),
  [
    ('imagenet', *IMAGENET),
    ('0.4/0.2', (0.4,) * 3, (0.2,) * 3),
  ],
)
def test_a_normalization(normalization, mean, std):
  module = torch_nets.ResNet((2, 2, 2, 2), (3, 3), 5, 1 / 8)
  normalized = functools.partial(standardize, mean=mean, std=std)
  options = {'normalization': normalization, 'width': 1 / 8}
  _check_parity(module, 'resnet18', 32, normalized, **options)


def test_ir50():
  module = torch_ir.IR('ir50', 5, 1 / 8, 32)
  _check_parity(module, 'ir50', 32, width=1 / 8)


@pytest.mark.slow
def test_ir152_at_full_width():
  module = torch_ir.IR('ir152', 5, 1, 64)
  _check_parity(module, 'ir152', 64)


def test_repvgg(monkeypatch):
  stages = (2, 2, 2, 1)  # A0 with fewer blocks: quick to compile
  monkeypatch.setitem(repvgg.STAGES, 'a0', stages)
  module = torch_nets.RepVGG(stages, (12, 12, 24, 48, 320), 5)
  normalized = functools.partial(standardize, mean=IMAGENET[0], std=IMAGENET[1])
  _check_parity(module, 'repvgg_a0', 32, normalized, infer=True, width=1 / 4)


def test_vit6():
  _check_parity(ViT(5, 64), 'vit6', 64)


def test_vit6_at_another_image_size():
  module = ViT(5, 32, features=32, heads=2)
  _check_parity(module, 'vit6', 32, width=0.25, heads=2)
