"""StyleGAN2's generator in torch, under the names of NVIDIA's state dict.

It is written from the paper: filters go over maps with zeros between pixels, and a
convolution forms its kernel for each image and convolves in groups, or scales what goes
in and out. Tests hold ours against it.

Source: docs/paper.md#stylegan2.
"""

# pyright: reportMissingImports=false
# (torch is optional, so lint must pass without it)

import math

import torch
from torch import nn
from torch.nn import functional

FILTER = torch.outer(torch.tensor([1.0, 3, 3, 1]), torch.tensor([1.0, 3, 3, 1])) / 64


def filtered(x, before, after, gain=1.0):
  """[B, C, h, w] by the filter, with zeros before and after."""
  x = functional.pad(x, (before, after, before, after))
  kernel = (gain * FILTER).to(x).expand(x.shape[1], 1, 4, 4)
  return functional.conv2d(x, kernel, groups=x.shape[1])


def upsampled(x):
  """Zeros between pixels, then the filter."""
  batch, channels, height, width = x.shape
  zeros = x.new_zeros(batch, channels, height, 2, width, 2)
  zeros[:, :, :, 0, :, 0] = x
  return filtered(zeros.reshape(batch, channels, 2 * height, 2 * width), 2, 1, gain=4)


def downsampled(x):
  """The filter, then every other pixel."""
  return filtered(x, 1, 1)[:, :, ::2, ::2]


def activated(x):
  """Leaky ReLU that keeps the variance."""
  return functional.leaky_relu(x, 0.2) * math.sqrt(2)


class Linear(nn.Module):
  """Fully connected layer whose weight is scaled at run time."""

  def __init__(self, inputs, outputs, multiplier=1.0, start=0.0):
    super().__init__()
    self.weight = nn.Parameter(torch.randn(outputs, inputs) / multiplier)
    self.bias = nn.Parameter(torch.full((outputs,), start))
    self.multiplier = multiplier

  def forward(self, x):
    """[B, inputs] -> [B, outputs]."""
    gain = self.multiplier / math.sqrt(self.weight.shape[1])
    return functional.linear(x, self.weight * gain, self.bias * self.multiplier)


class Mapping(nn.Module):
  """The mapping network."""

  def __init__(self, z_dim, w_dim, layers):
    super().__init__()
    self.layers = layers
    for i in range(layers):
      setattr(self, f'fc{i}', Linear(w_dim if i else z_dim, w_dim, 0.01))
    self.register_buffer('w_avg', torch.zeros(w_dim))

  def forward(self, z):
    """[B, z_dim] -> [B, w_dim]."""
    x = z / (z.square().mean(1, keepdim=True) + 1e-8).sqrt()
    for i in range(self.layers):
      x = activated(getattr(self, f'fc{i}')(x))
    return x


class Conv(nn.Module):
  """Modulated convolution, noise, bias, leaky ReLU.

  With `grouped` there is a kernel for each image, as in NVIDIA's code when it does not
  train; without it one kernel convolves the whole batch.
  """

  noise_const: torch.Tensor

  def __init__(self, inputs, outputs, w_dim, side, up=False, clamp=None):
    super().__init__()
    self.up, self.clamp, self.grouped = up, clamp, True
    self.affine = Linear(w_dim, inputs, start=1.0)
    self.weight = nn.Parameter(torch.randn(outputs, inputs, 3, 3))
    self.bias = nn.Parameter(torch.zeros(outputs))
    self.noise_strength = nn.Parameter(torch.zeros(()))
    self.register_buffer('noise_const', torch.randn(side, side))
    self.register_buffer('resample_filter', FILTER.clone())

  def forward(self, x, w, noise):
    """[B, inputs, h, w] and w [B, w_dim] -> [B, outputs, side, side]."""
    styles = self.affine(w)
    x = self._grouped(x, styles) if self.grouped else self._dense(x, styles)
    if noise == 'const':
      x = x + self.noise_const * self.noise_strength
    x = activated(x + self.bias[:, None, None])
    return x if self.clamp is None else x.clamp(-self.clamp, self.clamp)

  def _grouped(self, x, styles):
    kernels = self.weight[None] * styles[:, None, :, None, None]
    norms = (kernels.square().sum((2, 3, 4), keepdim=True) + 1e-8).sqrt()
    kernels = kernels / norms
    batch, inputs, side, _ = x.shape
    x = x.reshape(1, batch * inputs, side, side)
    if self.up:
      kernels = kernels.transpose(1, 2)
    x = self._convolved(x, kernels.flatten(0, 1), batch)
    return x.reshape(batch, -1, *x.shape[2:])

  def _dense(self, x, styles):
    energy = self.weight.square().sum((2, 3))
    norms = (styles.square() @ energy.T + 1e-8).sqrt()
    kernel = self.weight.transpose(0, 1) if self.up else self.weight
    x = self._convolved(x * styles[:, :, None, None], kernel, 1)
    return x / norms[:, :, None, None]

  def _convolved(self, x, kernels, groups):
    if not self.up:
      return functional.conv2d(x, kernels, padding=1, groups=groups)
    x = functional.conv_transpose2d(x, kernels, stride=2, groups=groups)
    return filtered(x, 1, 1, gain=4)


class ToRGB(nn.Module):
  """An image from a map."""

  def __init__(self, inputs, w_dim, clamp):
    super().__init__()
    self.clamp = clamp
    self.affine = Linear(w_dim, inputs, start=1.0)
    self.weight = nn.Parameter(torch.randn(3, inputs, 1, 1))
    self.bias = nn.Parameter(torch.zeros(3))

  def forward(self, x, w):
    """[B, inputs, h, w] -> [B, 3, h, w]."""
    styles = self.affine(w) / math.sqrt(self.weight.shape[1])
    kernels = self.weight[None, :, :, 0, 0] * styles[:, None]
    x = torch.einsum('bihw,boi->bohw', x, kernels) + self.bias[:, None, None]
    return x if self.clamp is None else x.clamp(-self.clamp, self.clamp)


class Block(nn.Module):
  """The layers of one resolution."""

  def __init__(self, inputs, outputs, w_dim, side, clamp):
    super().__init__()
    self.register_buffer('resample_filter', FILTER.clone())
    if inputs:
      self.conv0 = Conv(inputs, outputs, w_dim, side, up=True, clamp=clamp)
    else:
      self.const = nn.Parameter(torch.randn(outputs, side, side))
    self.conv1 = Conv(outputs, outputs, w_dim, side, clamp=clamp)
    self.torgb = ToRGB(outputs, w_dim, clamp)

  def forward(self, x, image, ws, noise):
    """The map and the image that the next block is given."""
    if image is None:
      x = self.const.expand(len(ws), *self.const.shape)
    else:
      x, ws, image = self.conv0(x, ws[:, 0], noise), ws[:, 1:], upsampled(image)
    x = self.conv1(x, ws[:, 0], noise)
    rgb = self.torgb(x, ws[:, 1])
    return x, rgb if image is None else image + rgb


class Synthesis(nn.Module):
  """The synthesis network."""

  def __init__(self, widths, w_dim, clamp):
    super().__init__()
    self.sides = [4 * 2**i for i in range(len(widths))]
    for i, side in enumerate(self.sides):
      inputs = widths[i - 1] if i else 0
      setattr(self, f'b{side}', Block(inputs, widths[i], w_dim, side, clamp))

  def forward(self, ws, noise='const'):
    """ws [B, num_ws, w_dim] -> images [B, 3, H, W] nearly in [-1, 1]."""
    x = image = None
    for i, side in enumerate(self.sides):
      start, stop = max(2 * i - 1, 0), 2 * i + 2
      x, image = getattr(self, f'b{side}')(x, image, ws[:, start:stop], noise)
    return image


class Generator(nn.Module):
  """z [B, z_dim] -> mapping -> ws [B, num_ws, w_dim] -> synthesis -> [B, 3, H, W]."""

  def __init__(self, widths, z_dim, w_dim, layers, clamp=None):
    super().__init__()
    self.mapping = Mapping(z_dim, w_dim, layers)
    self.synthesis = Synthesis(widths, w_dim, clamp)

  @torch.no_grad()
  def scatter(self, seed):
    """Fills every array that starts at a constant, so that none could be forgotten."""
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in self.state_dict().items():
      if name.endswith(('bias', 'noise_strength', 'w_avg')):
        tensor.add_(0.3 * torch.randn(tensor.shape, generator=generator))
    return self

  def convolve(self, *, grouped):
    """Has all convolutions computed in groups, or all dense."""
    for module in self.modules():
      if isinstance(module, Conv):
        module.grouped = grouped
    return self
