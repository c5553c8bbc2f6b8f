"""torchvision's ResNet in torch, under its names, as a target of the peer.

It is written from the published architecture.
"""

# pyright: reportMissingImports=false
# (torch is optional, so lint must pass without it)

from torch import nn
from torch.nn import functional

RESNETS = {
  'resnet18': ((2, 2, 2, 2), (3, 3)),
  'resnet34': ((3, 4, 6, 3), (3, 3)),
  'resnet50': ((3, 4, 6, 3), (1, 3, 1)),
  'resnet101': ((3, 4, 23, 3), (1, 3, 1)),
  'resnet152': ((3, 8, 36, 3), (1, 3, 1)),
}


class ResidualBlock(nn.Module):
  """torchvision's BasicBlock (kernels 3, 3) and Bottleneck (1, 3, 1)."""

  def __init__(self, channels, features, kernels, stride):
    super().__init__()
    out = features * (4 if len(kernels) == 3 else 1)
    sizes = [channels] + [features] * (len(kernels) - 1) + [out]
    strided = kernels.index(3)
    for i, k in enumerate(kernels):
      s = stride if i == strided else 1
      conv = nn.Conv2d(sizes[i], sizes[i + 1], k, s, k // 2, bias=False)
      setattr(self, f'conv{i + 1}', conv)
      setattr(self, f'bn{i + 1}', nn.BatchNorm2d(sizes[i + 1]))
    self.depth, self.downsample = len(kernels), None
    if stride != 1 or channels != out:
      project = nn.Conv2d(channels, out, 1, stride, bias=False)
      self.downsample = nn.Sequential(project, nn.BatchNorm2d(out))

  def forward(self, x):
    """[B, channels, h, w] -> [B, out, h / stride, w / stride]."""
    y = x
    for i in range(1, self.depth + 1):
      y = getattr(self, f'bn{i}')(getattr(self, f'conv{i}')(y))
      y = y if i == self.depth else functional.relu(y)
    return functional.relu(y + (self.downsample(x) if self.downsample else x))


class ResNet(nn.Module):
  """torchvision's ResNet, or one with a stem for small images.

  Args:
    stages: Blocks of each stage.
    kernels: Kernels of a block's convolutions.
    num_classes: K.
    width: Multiple of every number of features.
    stem: 'small', 'small_pool' or 'imagenet', as for `models.resnet.ResNet`.
  """

  def __init__(self, stages, kernels, num_classes, width, *, stem='small'):
    super().__init__()
    channels = int(64 * width)
    kernel, stride = (7, 2) if stem == 'imagenet' else (3, 1)
    self.conv1 = nn.Conv2d(3, channels, kernel, stride, kernel // 2, bias=False)
    self.maxpool = nn.Identity() if stem == 'small' else nn.MaxPool2d(3, 2, 1)
    self.bn1 = nn.BatchNorm2d(channels)
    for stage, blocks in enumerate(stages):
      features, row = int(64 * 2**stage * width), []
      for i in range(blocks):
        stride = 2 if stage and i == 0 else 1
        row.append(ResidualBlock(channels, features, kernels, stride))
        channels = features * (4 if len(kernels) == 3 else 1)
      setattr(self, f'layer{stage + 1}', nn.Sequential(*row))
    self.fc = nn.Linear(channels, num_classes)

  def forward(self, x):
    """Images [B, 3, H, W] -> logits [B, K]."""
    x = self.maxpool(functional.relu(self.bn1(self.conv1(x))))
    for stage in range(1, 5):
      x = getattr(self, f'layer{stage}')(x)
    return self.fc(x.mean((2, 3)))
