"""A step of model inversion in plain PyTorch: generator and target, there and back.

A request names the two nets and how many candidates there are:
  {"generator": {"kind": "stylegan2", "widths": [...], "w_dim": n}
                or {"kind": "dcgan", "size": n, "width": n, "latent": n},
   "target": {"side": n, "width": x, "stem": name, "num_classes": K, "crop": x},
   "batch": B, "precision": "float32", "compile": false}

Of the ways in which PyTorch can compute the step, each is tried and the fastest is
kept: convolutions in groups or dense, maps with channels first or last.
"""

# pyright: reportMissingImports=false
# (torch is optional, so lint must pass without it)

import itertools
import math
import time
from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional

from gpz_jax.commands.benchmarks import torch_resnet, torch_stylegan2

_ON_CLASS, _LEAST_GAP = 1e-4, 1e-6  # see attacks.model.losses


def poincare(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
  """`attacks.model.losses.poincare`: logits [B, K] and labels [B] -> [B]."""
  logits = logits.float()
  u = logits / logits.abs().sum(1, keepdim=True).clamp(min=1e-12)
  v = (1 - _ON_CLASS) * functional.one_hot(labels, logits.shape[1]).to(u)
  gap_u = (1 - u.square().sum(1)).clamp(min=_LEAST_GAP)
  ratio = 2 * (u - v).square().sum(1) / (gap_u * (1 - (1 - _ON_CLASS) ** 2))
  return torch.acosh((1 + ratio).clamp(min=1 + _LEAST_GAP))


class DCGAN(nn.Module):
  """GMI's generator, as `generators.dcgan` has it."""

  def __init__(self, size: int, width: int, latent: int):
    super().__init__()
    ups = round(math.log2(size / 4)) - 1
    widths = [width * 2**i for i in reversed(range(ups + 1))]
    self.dense = nn.Linear(latent, 16 * widths[0], bias=False)
    layers: list[nn.Module] = [nn.BatchNorm2d(widths[0]), nn.ReLU()]
    for before, after in itertools.pairwise(widths):
      layers += [
        nn.ConvTranspose2d(before, after, 5, 2, 2, 1, bias=False),
        nn.BatchNorm2d(after),
        nn.ReLU(),
      ]
    layers += [nn.ConvTranspose2d(width, 3, 5, 2, 2, 1), nn.Sigmoid()]
    self.layers = nn.Sequential(*layers)

  def forward(self, z: torch.Tensor) -> torch.Tensor:
    """[B, latent] -> [B, 3, H, W] in (0, 1)."""
    return self.layers(self.dense(z).reshape(len(z), -1, 4, 4))


class StyleGAN2(nn.Module):
  """The synthesis network of one w for all layers."""

  def __init__(self, widths: list[int], w_dim: int):
    super().__init__()
    self.synthesis = torch_stylegan2.Synthesis(widths, w_dim, None)
    self.num_ws = 2 * len(widths)

  def forward(self, w: torch.Tensor) -> torch.Tensor:
    """[B, w_dim] -> [B, 3, H, W] nearly in [0, 1]."""
    ws = w[:, None].expand(-1, self.num_ws, -1)
    return (self.synthesis(ws) + 1) / 2


class Target(nn.Module):
  """A ResNet-18 that is shown an image's centre at its own size."""

  def __init__(
    self, side: int, width: float, stem: str, num_classes: int, crop: float = 1.0
  ):
    super().__init__()
    stages, kernels = torch_resnet.RESNETS['resnet18']
    self.net = torch_resnet.ResNet(stages, kernels, num_classes, width, stem=stem)
    self.side, self.crop = side, crop

  def forward(self, x: torch.Tensor) -> torch.Tensor:
    """[B, 3, h, w] in [0, 1] -> [B, K]."""
    kept = round(x.shape[2] * self.crop)
    start = (x.shape[2] - kept) // 2
    x = x[:, :, start : start + kept, start : start + kept]
    if kept != self.side:
      x = functional.interpolate(x, (self.side, self.side), mode='bilinear')
    return self.net((x - 0.5) / 0.5)


GENERATORS: dict[str, Callable[..., nn.Module]] = {
  'stylegan2': StyleGAN2,
  'dcgan': DCGAN,
}


class Search:
  """Candidates that are moved by the gradient of a target's loss."""

  def __init__(self, request: dict):
    fields = dict(request['generator'])
    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    kind = fields.pop('kind')
    nets = (GENERATORS[kind](**fields), Target(**request['target']))
    self.generator, self.target = (
      net.eval().requires_grad_(False).to(device) for net in nets
    )
    size = fields['w_dim' if kind == 'stylegan2' else 'latent']
    self.latents = torch.randn(request['batch'], size, device=device)
    self.labels = torch.zeros(request['batch'], dtype=torch.long, device=device)
    self.device, self.is_half = device, request['precision'] == 'bfloat16'
    self.gradient = self._gradient
    if request['compile']:
      self.gradient = torch.compile(self._gradient)
    ways = list(itertools.product(('grouped', 'dense'), ('first', 'last')))
    if kind == 'dcgan':
      ways = ways[2:]  # it has no kernels of images
    seconds = {way: self._try(*way) for way in ways}
    best = min(ways, key=seconds.__getitem__)
    self._set(*best)
    self.way = f'{best[0]}, channels {best[1]}'

  def step(self) -> float:
    """Moves the candidates; returns 0 for the seconds of an edge."""
    with torch.autocast(self.device, torch.bfloat16, enabled=self.is_half):
      self.latents = self.latents - 1e-9 * self.gradient(self.latents)
    return 0.0

  def _gradient(self, latents: torch.Tensor) -> torch.Tensor:
    latents = latents.detach().requires_grad_()
    losses = poincare(self.target(self.generator(latents)), self.labels)
    return torch.autograd.grad(losses.sum(), latents)[0]

  def _set(self, convolutions: str, channels: str) -> None:
    for module in self.generator.modules():
      if isinstance(module, torch_stylegan2.Conv):
        module.grouped = convolutions == 'grouped'
    layout = torch.channels_last if channels == 'last' else torch.contiguous_format
    for net in (self.generator, self.target):
      net.to(memory_format=layout)  # pyright: ignore[reportCallIssue] its stubs lack this overload

  def _try(self, convolutions: str, channels: str) -> float:
    """The seconds of a step, after one that is not timed."""
    self._set(convolutions, channels)
    self.step()
    began = time.perf_counter()
    self.step()
    if self.device == 'cuda':
      torch.cuda.synchronize()
    return time.perf_counter() - began
