"""Inception-ResNet-v1 in torch, under the names of facenet-pytorch.

It is written from the published architecture; `width` narrows it, and `most` bounds the
number of blocks of a kind.
"""

import torch
from torch import nn
from torch.nn import functional


class Unit(nn.Module):
  """Convolution, batch norm, ReLU."""

  def __init__(self, before, after, kernel, stride=1, padding=0):
    super().__init__()
    self.conv = nn.Conv2d(before, after, kernel, stride, padding, bias=False)
    self.bn = nn.BatchNorm2d(after, eps=0.001)

  def forward(self, x):
    return functional.relu(self.bn(self.conv(x)))


def chain(before, *units):
  """A branch: units of (channels, kernel, stride); unpadded if strided."""
  made = []
  for after, kernel, stride in units:
    sides = (kernel, kernel) if isinstance(kernel, int) else kernel
    padding = (0, 0) if stride > 1 else tuple(side // 2 for side in sides)
    made.append(Unit(before, after, sides, stride, padding))
    before = after
  return made[0] if len(made) == 1 else nn.Sequential(*made)


class Block(nn.Module):
  """Branches that are added to the input, or joined with its pool where scale is 0."""

  def __init__(self, before, branches, scale, relu=True):
    super().__init__()
    self.count, self.scale, self.relu = len(branches), scale, relu
    for i, units in enumerate(branches):
      setattr(self, f'branch{i}', chain(before, *units))
    if scale:
      self.conv2d = nn.Conv2d(sum(units[-1][0] for units in branches), before, 1)

  def forward(self, x):
    found = [getattr(self, f'branch{i}')(x) for i in range(self.count)]
    if not self.scale:
      return torch.cat([*found, functional.max_pool2d(x, 3, 2)], 1)
    x = x + self.scale * self.conv2d(torch.cat(found, 1))
    return functional.relu(x) if self.relu else x


class Facenet(nn.Module):
  """The embedding, and the last layer, which `forward` does not use."""

  def __init__(self, people=8631, width=1.0, most=10):
    super().__init__()

    def w(channels):
      return int(channels * width)

    def repeated(count, *block):
      return nn.Sequential(*(Block(*block) for _ in range(min(count, most))))

    self.conv2d_1a = Unit(3, w(32), 3, 2)
    self.conv2d_2a = Unit(w(32), w(32), 3)
    self.conv2d_2b = Unit(w(32), w(64), 3, padding=1)
    self.conv2d_3b = Unit(w(64), w(80), 1)
    self.conv2d_4a = Unit(w(80), w(192), 3)
    self.conv2d_4b = Unit(w(192), w(256), 3, 2)
    one = (w(32), 1, 1)
    branches = [[one], [one, (w(32), 3, 1)], [one, (w(32), 3, 1), (w(32), 3, 1)]]
    self.repeat_1 = repeated(5, w(256), branches, 0.17)
    deep = [(w(192), 1, 1), (w(192), 3, 1), (w(256), 3, 2)]
    self.mixed_6a = Block(w(256), [[(w(384), 3, 2)], deep], 0)
    six = w(384) + 2 * w(256)
    one = (w(128), 1, 1)
    branches = [[one], [one, (w(128), (1, 7), 1), (w(128), (7, 1), 1)]]
    self.repeat_2 = repeated(10, six, branches, 0.1)
    one = (w(256), 1, 1)
    branches = [
      [one, (w(384), 3, 2)],
      [one, (w(256), 3, 2)],
      [one, (w(256), 3, 1), (w(256), 3, 2)],
    ]
    self.mixed_7a = Block(six, branches, 0)
    seven = six + w(384) + 2 * w(256)
    one = (w(192), 1, 1)
    branches = [[one], [one, (w(192), (1, 3), 1), (w(192), (3, 1), 1)]]
    self.repeat_3 = repeated(5, seven, branches, 0.2)
    self.block8 = Block(seven, branches, 1.0, relu=False)
    self.last_linear = nn.Linear(seven, w(512), bias=False)
    self.last_bn = nn.BatchNorm1d(w(512), eps=0.001)
    self.logits = nn.Linear(w(512), people)

  def forward(self, pixels):
    """Embeddings of images [B, 3, H, W] with numbers from 0 to 255."""
    x = (pixels - 127.5) / 128
    x = self.conv2d_2b(self.conv2d_2a(self.conv2d_1a(x)))
    x = self.conv2d_3b(functional.max_pool2d(x, 3, 2))
    x = self.repeat_1(self.conv2d_4b(self.conv2d_4a(x)))
    x = self.repeat_2(self.mixed_6a(x))
    x = self.block8(self.repeat_3(self.mixed_7a(x)))
    x = self.last_bn(self.last_linear(x.mean((2, 3))))
    return functional.normalize(x)
