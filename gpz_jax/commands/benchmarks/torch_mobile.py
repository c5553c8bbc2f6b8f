"""DenseNet-121 and EfficientNet-B0 for small images in torch, as targets of the peer.

They are written from the published architectures. Both have thin layers, and the second
one depthwise convolutions.
"""

# pyright: reportMissingImports=false
# (torch is optional, so lint must pass without it)

import torch
from torch import nn

DENSE_BLOCKS, GROWTH, DENSE_STEM = (6, 12, 24, 16), 32, 64
# Expansion, kernel, stride, features and blocks of each run of EfficientNet-B0.
RUNS = (
  (1, 3, 1, 16, 1),
  (6, 3, 2, 24, 2),
  (6, 5, 2, 40, 2),
  (6, 3, 2, 80, 3),
  (6, 5, 1, 112, 3),
  (6, 5, 2, 192, 4),
  (6, 3, 1, 320, 1),
)


def _norm_relu_conv(c_in: int, c_out: int, kernel: int) -> list[nn.Module]:
  conv = nn.Conv2d(c_in, c_out, kernel, 1, kernel // 2, bias=False)
  return [nn.BatchNorm2d(c_in), nn.ReLU(), conv]


class DenseLayer(nn.Module):
  """What it gives stands beside what it was given."""

  def __init__(self, channels: int, growth: int):
    super().__init__()
    self.layers = nn.Sequential(
      *_norm_relu_conv(channels, 4 * growth, 1), *_norm_relu_conv(4 * growth, growth, 3)
    )

  def forward(self, x: torch.Tensor) -> torch.Tensor:
    """[B, c, h, w] -> [B, c + growth, h, w]."""
    return torch.cat([x, self.layers(x)], 1)


class Mean(nn.Module):
  """The mean over the places of a map."""

  def forward(self, x: torch.Tensor) -> torch.Tensor:
    """[B, c, h, w] -> [B, c]."""
    return x.mean((2, 3))


def make_densenet121(num_classes: int, width: float) -> nn.Module:
  """Makes the net with a stem of one 3x3 convolution."""
  channels, growth = int(DENSE_STEM * width), int(GROWTH * width)
  layers: list[nn.Module] = [
    nn.Conv2d(3, channels, 3, 1, 1, bias=False),
    nn.BatchNorm2d(channels),
    nn.ReLU(),
  ]
  for stage, count in enumerate(DENSE_BLOCKS):
    if stage:
      layers += [*_norm_relu_conv(channels, channels // 2, 1), nn.AvgPool2d(2)]
      channels //= 2
    for _ in range(count):
      layers.append(DenseLayer(channels, growth))
      channels += growth
  layers += [nn.BatchNorm2d(channels), nn.ReLU(), Mean()]
  return nn.Sequential(*layers, nn.Linear(channels, num_classes))


def scale(features: float) -> int:
  """The next multiple of 8 that is no tenth smaller."""
  rounded = max(8, int(features + 4) // 8 * 8)
  return rounded + 8 if rounded < 0.9 * features else rounded


def _conv_norm(c_in: int, c_out: int, kernel: int, stride: int = 1, groups: int = 1):
  conv = nn.Conv2d(c_in, c_out, kernel, stride, kernel // 2, groups=groups, bias=False)
  return [conv, nn.BatchNorm2d(c_out)]


class Excite(nn.Module):
  """Squeeze-and-excite: each channel times a share of 0 to 1."""

  def __init__(self, channels: int, squeezed: int):
    super().__init__()
    self.shares = nn.Sequential(
      nn.AdaptiveAvgPool2d(1),
      nn.Conv2d(channels, squeezed, 1),
      nn.SiLU(),
      nn.Conv2d(squeezed, channels, 1),
      nn.Sigmoid(),
    )

  def forward(self, x: torch.Tensor) -> torch.Tensor:
    """[B, c, h, w] -> [B, c, h, w]."""
    return x * self.shares(x)


class MBConv(nn.Module):
  """Mobile block, whose branch is dropped for a random share of the images."""

  def __init__(self, c_in, c_out, expand, kernel, stride, drop):
    super().__init__()
    wide, layers = scale(c_in * expand), []
    if wide != c_in:
      layers += [*_conv_norm(c_in, wide, 1), nn.SiLU()]
    layers += [*_conv_norm(wide, wide, kernel, stride, wide), nn.SiLU()]
    layers += [Excite(wide, max(1, c_in // 4)), *_conv_norm(wide, c_out, 1)]
    self.layers, self.drop = nn.Sequential(*layers), drop
    self.keeps = stride == 1 and c_in == c_out

  def forward(self, x: torch.Tensor) -> torch.Tensor:
    """[B, c_in, h, w] -> [B, c_out, h / stride, w / stride]."""
    y = self.layers(x)
    if not self.keeps:
      return y
    if self.drop:
      kept = torch.rand(len(y), 1, 1, 1, device=y.device) >= self.drop
      y = y * kept / (1 - self.drop)
    return x + y


def make_efficientnet_b0(num_classes: int, width: float) -> nn.Module:
  """Makes the net with a stem of stride 1."""
  channels = scale(32 * width)
  layers: list[nn.Module] = [*_conv_norm(3, channels, 3), nn.SiLU()]
  total, index = sum(run[-1] for run in RUNS), 0
  for expand, kernel, stride, features, blocks in RUNS:
    for i in range(blocks):
      out, drop = scale(features * width), 0.2 * index / total
      step = 1 if i else stride
      layers.append(MBConv(channels, out, expand, kernel, step, drop))
      channels, index = out, index + 1
  layers += [*_conv_norm(channels, 4 * channels, 1), nn.SiLU(), Mean(), nn.Dropout(0.2)]
  return nn.Sequential(*layers, nn.Linear(4 * channels, num_classes))
