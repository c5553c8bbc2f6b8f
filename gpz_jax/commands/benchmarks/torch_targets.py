"""A training step of a target in plain PyTorch.

A request names the net and its images, which have three colours:
  {"target_net": name, "width": x, "side": n, "num_classes": K, "batch": B,
   "precision": "float32", "compile": false}
Of the two layouts, channels first or last, each is tried and the faster one is kept.
"""

# pyright: reportMissingImports=false
# (torch is optional, so lint must pass without it)

import time
from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional

from gpz_jax.commands.benchmarks import torch_ir, torch_mobile, torch_resnet

_VGGS = {'vgg11': (1, 1, 2, 2, 2), 'vgg19': (2, 2, 4, 4, 4)}
_LAYOUTS = {'first': torch.contiguous_format, 'last': torch.channels_last}


def make_vgg(name: str, num_classes: int, width: float, side: int) -> nn.Module:
  """Makes a VGG with batch norm and the compact head."""
  layers: list[nn.Module] = []
  channels, hidden = 3, int(4096 * width)
  for base, count in zip((64, 128, 256, 512, 512), _VGGS[name], strict=True):
    for _ in range(count):
      features = int(base * width)
      conv = nn.Conv2d(channels, features, 3, padding=1)
      layers += [conv, nn.BatchNorm2d(features), nn.ReLU()]
      channels = features
    layers.append(nn.MaxPool2d(2))
  layers += [nn.Flatten()]
  inputs = channels * (side // 32) ** 2
  for dropout in (0.3, 0.2):
    layers += [nn.Linear(inputs, hidden), nn.ReLU(), nn.Dropout(dropout)]
    inputs = hidden
  return nn.Sequential(*layers, nn.Linear(hidden, num_classes))


def make(name: str, num_classes: int, width: float, side: int) -> nn.Module:
  """Makes a net with the layers of ours, for images of `side` pixels.

  Args:
    name: One of `targets.MODELS`.
    num_classes: K.
    width: Multiple of the channels.
    side: Height and width of the images.
  """
  if name in _VGGS:
    return make_vgg(name, num_classes, width, side)
  if name in torch_ir.STAGES:
    return torch_ir.IR(name, num_classes, width, side)
  if name in torch_resnet.RESNETS:
    stages, kernels = torch_resnet.RESNETS[name]
    return torch_resnet.ResNet(stages, kernels, num_classes, width)
  thin: dict[str, Callable[[int, float], nn.Module]] = {
    'densenet121': torch_mobile.make_densenet121,
    'efficientnet_b0': torch_mobile.make_efficientnet_b0,
  }
  return thin[name](num_classes, width)


class Training:
  """A target in training, which sees the same batch again and again."""

  def __init__(self, request: dict):
    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    side, batch, classes = request['side'], request['batch'], request['num_classes']
    self.net = make(request['target_net'], classes, request['width'], side).to(device)
    self.optimizer = torch.optim.SGD(
      self.net.parameters(), lr=1e-4, momentum=0.9, nesterov=True, weight_decay=5e-4
    )
    self.images = torch.rand(batch, 3, side, side, device=device)
    self.labels = torch.randint(classes, (batch,), device=device)
    self.device, self.is_half = device, request['precision'] == 'bfloat16'
    self.loss = self._loss
    if request['compile']:
      self.loss = torch.compile(self._loss)
    seconds = {layout: self._try(layout) for layout in _LAYOUTS}
    best = min(seconds, key=seconds.__getitem__)
    self._set(best)
    self.way = f'channels {best}'

  def step(self) -> float:
    """Trains for one step; returns 0 for the seconds of an edge."""
    self.optimizer.zero_grad()
    with torch.autocast(self.device, torch.bfloat16, enabled=self.is_half):
      loss = self.loss()
    loss.backward()
    self.optimizer.step()
    return 0.0

  def _loss(self) -> torch.Tensor:
    logits = self.net((self.images - 0.5) / 0.25)
    return functional.cross_entropy(logits.float(), self.labels)

  def _set(self, layout: str) -> None:
    self.net.to(memory_format=_LAYOUTS[layout])  # pyright: ignore[reportCallIssue] its stubs lack this overload
    self.images = self.images.contiguous(memory_format=_LAYOUTS[layout])

  def _try(self, layout: str) -> float:
    """The seconds of two steps, after one that is not timed."""
    self._set(layout)
    self.step()
    began = time.perf_counter()
    self.step()
    self.step()
    if self.device == 'cuda':
      torch.cuda.synchronize()
    return time.perf_counter() - began
