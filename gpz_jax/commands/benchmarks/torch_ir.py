"""IR-50 and IR-152 in torch, under face.evoLVe's names.

They are written from the published architecture.
"""

# pyright: reportMissingImports=false
# (torch is optional, so lint must pass without it)

from collections.abc import Iterator

import torch
from torch import nn

STAGES = {'ir50': (3, 4, 14, 3), 'ir152': (3, 8, 36, 3)}
WIDTHS = (64, 128, 256, 512)


class Unit(nn.Module):
  """The residual unit: BN, 3x3, PReLU, 3x3, BN, and a shortcut."""

  def __init__(self, c_in: int, c_out: int, stride: int):
    super().__init__()
    self.res_layer = nn.Sequential(
      nn.BatchNorm2d(c_in),
      nn.Conv2d(c_in, c_out, 3, 1, 1, bias=False),
      nn.PReLU(c_out),
      nn.Conv2d(c_out, c_out, 3, stride, 1, bias=False),
      nn.BatchNorm2d(c_out),
    )
    self.shortcut_layer = (
      nn.MaxPool2d(1, stride)
      if c_in == c_out
      else nn.Sequential(
        nn.Conv2d(c_in, c_out, 1, stride, bias=False), nn.BatchNorm2d(c_out)
      )
    )

  def forward(self, x: torch.Tensor) -> torch.Tensor:
    """[B, c_in, h, w] -> [B, c_out, h / stride, w / stride]."""
    return self.res_layer(x) + self.shortcut_layer(x)


def make_units(name: str, width: float = 1.0) -> Iterator[nn.Module]:
  """Makes the input layer and one unit after the other."""
  channels = int(WIDTHS[0] * width)
  yield nn.Sequential(
    nn.Conv2d(3, channels, 3, 1, 1, bias=False),
    nn.BatchNorm2d(channels),
    nn.PReLU(channels),
  )
  for base, count in zip(WIDTHS, STAGES[name], strict=True):
    for unit in range(count):
      yield Unit(channels, int(base * width), 1 if unit else 2)
      channels = int(base * width)


class IR(nn.Module):
  """A whole net for images of `side` pixels.

  Args:
    name: A key of `STAGES`.
    num_classes: K.
    width: Multiple of every number of channels.
    side: Height and width of the images.
  """

  def __init__(self, name: str, num_classes: int, width: float, side: int):
    super().__init__()
    channels = int(WIDTHS[-1] * width)
    self.input_layer, *units = make_units(name, width)
    self.body = nn.Sequential(*units)
    self.output_layer = nn.Sequential(
      nn.BatchNorm2d(channels),
      nn.Dropout(0.5),
      nn.Flatten(),
      nn.Linear(channels * (side // 16) ** 2, channels),
      nn.BatchNorm1d(channels),
    )
    self.fc_layer = nn.Linear(channels, num_classes)

  def forward(self, x: torch.Tensor) -> torch.Tensor:
    """Images [B, 3, side, side] -> logits [B, K]."""
    return self.fc_layer(self.output_layer(self.body(self.input_layer(x))))
