"""Does what the public code does, in plain PyTorch: one decoder after another.

It reads one request per line and answers with the seconds per step:
  {"activation": [h, w, c], "image": [H, W, C], "batch": B, "steps": n,
   "compile": false, "clock": "wall" or "cpu", "precision": "float32",
   "model": null or "vgg19" or "ir152", "split": index}
With a model, every step runs its edge first, as the released code does. A request with
a generator is one of `torch_inversion`, and one with a target_net of `torch_targets`.
All name the precision, which autocast lowers to bfloat16. What a request needs is built
once, warmed up by one step, and kept until another kind comes. It runs on a GPU if
torch sees one.
"""

# pyright: reportMissingImports=false
# (torch is optional, so lint must pass without it)

import itertools
import json
import math
import sys
import time
from typing import Any

import torch
from torch import nn

from gpz_jax.commands.benchmarks import torch_inversion, torch_ir, torch_targets

DEVICE = 'cuda' if torch.cuda.is_available() else 'cpu'


def synchronize() -> None:
  """Waits until a GPU has done what it was given."""
  if DEVICE == 'cuda':
    torch.cuda.synchronize()


def make_decoder(activation: list[int], image: list[int]) -> nn.Module:
  """Makes the paper's decoder for an activation (h, w, c)."""
  height, _, width = activation
  layers: list[nn.Module] = []
  for stage in range(int(math.log2(image[0] / height))):
    narrower = width // 2 if stage < 3 else width
    layers += [
      nn.ConvTranspose2d(width, narrower, 4, 2, 1),
      nn.BatchNorm2d(narrower),
      nn.PReLU() if stage else nn.Tanh(),
    ]
    width = narrower
  layers += [nn.Conv2d(width, image[2], 3, padding=1, bias=False), nn.Sigmoid()]
  return nn.Sequential(*layers)


VGG19 = (64, 64, 0, 128, 128, 0, *(256,) * 4, 0, *(512,) * 4, 0, *(512,) * 4, 0)


def make_vgg19_edge(split: int) -> nn.Module:
  """Makes torchvision's vgg19_bn.features[:split] without torchvision."""
  layers: list[nn.Module] = []
  width = 3
  for features in VGG19:
    if features:
      layers += [nn.Conv2d(width, features, 3, padding=1), nn.BatchNorm2d(features)]
      layers += [nn.ReLU()]
      width = features
    else:
      layers += [nn.MaxPool2d(2)]
  return nn.Sequential(*layers[:split])


def make_ir152_edge(split: int) -> nn.Module:
  """Makes the input layer and `split - 1` units, as the name `unit_50` counts them."""
  return nn.Sequential(*itertools.islice(torch_ir.make_units('ir152'), split))


class Job:
  """A decoder in training, which follows an edge or reads a fixed activation."""

  way = 'channels last'

  def __init__(self, request: dict):
    height, width, channels = request['activation']
    batch = request['batch']
    layout = torch.channels_last
    self.decoder = make_decoder(request['activation'], request['image']).to(DEVICE)
    self.decoder = self.decoder.to(memory_format=layout)  # pyright: ignore[reportCallIssue] its stubs lack this overload
    self.optimizer = torch.optim.Adam(
      self.decoder.parameters(), lr=2e-4, betas=(0.5, 0.999), amsgrad=True
    )
    make_edge = {'vgg19': make_vgg19_edge, 'ir152': make_ir152_edge}
    self.edge = None
    if request.get('model'):
      self.edge = make_edge[request['model']](request['split']).eval().to(DEVICE)
      self.edge = self.edge.to(memory_format=layout)  # pyright: ignore[reportCallIssue] its stubs lack this overload
    size, _, colours = request['image']
    image = torch.rand(batch, colours, size, size, device=DEVICE)
    self.image = image.to(memory_format=layout)
    sent = torch.randn(batch, channels, height, width, device=DEVICE)
    self.activation = sent.to(memory_format=layout)
    self.is_half = request['precision'] == 'bfloat16'
    self.train_decoder = self._train_decoder
    if request['compile']:
      self.train_decoder = torch.compile(self._train_decoder)
      self.edge = torch.compile(self.edge) if self.edge else None
    self.step()

  def _train_decoder(self, activation: torch.Tensor) -> torch.Tensor:
    loss = ((self.decoder(activation) - self.image) ** 2).mean()
    loss.backward()
    return loss

  def step(self) -> float:
    """Trains for one step and returns the seconds that the edge took."""
    began = time.perf_counter()
    activation, edge = self.activation, 0.0
    with torch.autocast(DEVICE, torch.bfloat16, enabled=self.is_half):
      if self.edge is not None:
        with torch.no_grad():
          activation = self.edge(self.image)
        synchronize()
        edge = time.perf_counter() - began
      self.optimizer.zero_grad()
      self.train_decoder(activation)
    self.optimizer.step()
    return edge


def _make_job(request: dict) -> Any:
  """What a request asks for, ready to take a step."""
  if 'generator' in request:
    return torch_inversion.Search(request)
  if 'target_net' in request:
    return torch_targets.Training(request)
  return Job(request)


def main() -> None:
  """Answers requests until the pipe closes."""
  where = f'{DEVICE}, {torch.get_num_threads()} threads'
  print(f'peer: torch {torch.__version__} on {where}', file=sys.stderr)
  key, job = None, None
  for line in sys.stdin:
    request = json.loads(line)
    steps = request.pop('steps')
    if key != request:
      job = None  # frees the old one before the new one is built
      key = request
      job = _make_job(request)
    assert job is not None
    clock = time.process_time if request['clock'] == 'cpu' else time.perf_counter
    began = clock()
    edge = sum(job.step() for _ in range(steps))
    synchronize()
    seconds = clock() - began
    answer = {'step': seconds / steps, 'edge': edge / steps, 'way': job.way}
    print(json.dumps(answer), flush=True)


if __name__ == '__main__':
  main()
