"""VGG in torch, under torchvision's names, and RepVGG under its own.

They are written from the published architectures; `width` narrows them. ResNet is that
of the benchmarks' peer. `full_size` gives torchvision's names and shapes without the
memory.
"""

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from gpz_jax.commands.benchmarks.torch_resnet import RESNETS, ResidualBlock, ResNet

VGGS = {
  'vgg11': (1, 1, 2, 2, 2),
  'vgg13': (2, 2, 2, 2, 2),
  'vgg16': (2, 2, 3, 3, 3),
  'vgg19': (2, 2, 4, 4, 4),
}


class VGG(nn.Module):
  def __init__(self, stages, num_classes, width, side, *, pool7, batch_norm=True):
    super().__init__()
    layers, channels = [], 3
    for blocks, base in zip(stages, (64, 128, 256, 512, 512), strict=True):
      for _ in range(blocks):
        features = int(base * width)
        conv = nn.Conv2d(channels, features, 3, padding=1)
        norm = [nn.BatchNorm2d(features)] if batch_norm else []
        nn.init.kaiming_normal_(conv.weight, mode='fan_out')  # as torchvision does
        layers += [conv, *norm, nn.ReLU()]
        channels = features
      layers.append(nn.MaxPool2d(2))
    self.features = nn.Sequential(*layers)
    self.pool = nn.AdaptiveAvgPool2d(7) if pool7 else nn.Identity()
    hidden, side = int(4096 * width), 7 if pool7 else side // 32
    self.classifier = nn.Sequential(
      nn.Linear(channels * side * side, hidden),
      nn.ReLU(),
      nn.Dropout(),
      nn.Linear(hidden, hidden),
      nn.ReLU(),
      nn.Dropout(),
      nn.Linear(hidden, num_classes),
    )

  def forward(self, x):
    return self.classifier(self.pool(self.features(x)).flatten(1))


class RepVGGBlock(nn.Module):
  def __init__(self, channels, features, stride):
    super().__init__()

    def branch(size):
      conv = nn.Conv2d(channels, features, size, stride, size // 2, bias=False)
      return nn.ModuleDict({'conv': conv, 'bn': nn.BatchNorm2d(features)})

    self.rbr_dense, self.rbr_1x1 = branch(3), branch(1)
    keeps = stride == 1 and channels == features
    self.rbr_identity = nn.BatchNorm2d(features) if keeps else None

  def forward(self, x):
    branches = (self.rbr_dense, self.rbr_1x1)
    y, also = (branch['bn'](branch['conv'](x)) for branch in branches)
    y = y + also
    return functional.relu(y + self.rbr_identity(x) if self.rbr_identity else y)


class RepVGG(nn.Module):
  def __init__(self, stages, widths, num_classes, stem_stride=2):
    super().__init__()
    channels, *widths = widths
    self.stage0 = RepVGGBlock(3, channels, stem_stride)
    for stage, (blocks, features) in enumerate(zip(stages, widths, strict=True), 1):
      row = []
      for i in range(blocks):
        row.append(RepVGGBlock(channels, features, 1 if i else 2))
        channels = features
      setattr(self, f'stage{stage}', nn.Sequential(*row))
    self.linear = nn.Linear(channels, num_classes)

  def forward(self, x):
    for stage in range(5):
      x = getattr(self, f'stage{stage}')(x)
    return self.linear(x.mean((2, 3)))


def make(name, *, num_classes=1000, width=1.0, **options):
  """torchvision's net of a name, such as 'resnet18', 'vgg11' or 'vgg11_bn'.

  Args:
    name: Name in torchvision.
    num_classes: K.
    width: Multiple of every number of features.
    **options: Further arguments of the net, such as stem='small'.
  """
  torch.manual_seed(0)  # the same net, whatever ran before
  if name in RESNETS:
    stages, kernels = RESNETS[name]
    options = {'stem': 'imagenet', **options}
    return _calmed(ResNet(stages, kernels, num_classes, width, **options))
  options = {'pool7': True, 'side': 224, 'batch_norm': name.endswith('_bn'), **options}
  return VGG(VGGS[name.removesuffix('_bn')], num_classes, width, **options)


def _calmed(module):
  """A residual net whose branches add little, as training may leave it.

  Sixteen random branches of full size amplify the rounding of float32: torch's own
  logits are then no nearer to its float64 ones than ours are.
  """
  with torch.no_grad():
    for block in module.modules():
      if isinstance(block, ResidualBlock):
        getattr(block, f'bn{block.depth}').weight.mul_(0.25)
  return module


def full_size(name, **options):
  """The state dict of a net without its memory: name -> array of zeros."""
  with torch.device('meta'):
    module = make(name, **options)
  return {
    key: np.broadcast_to(np.float32(0), tuple(tensor.shape))
    for key, tensor in module.state_dict().items()
  }
