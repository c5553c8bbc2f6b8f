"""How published weights of StyleGAN2 name and lay out their arrays.

  nvidia      the state dict of `G_ema` of NVlabs/stylegan2-ada-pytorch, such as
              `synthesis.b8.conv0.affine.weight`
  flaxmodels  the HDF5 files of matthias-wright/flaxmodels, such as
              `synthesis_network/block_8x8/layer0/affine/weight`, which come from the
              TensorFlow nets

What distinguishes the two stands in docs/paper.md#stylegan2.
"""

import dataclasses
import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from gpz_jax.generators.stylegan2 import StyleGAN2
from gpz_jax.generators.stylegan2_filters import FILTER
from gpz_jax.interop import layouts
from gpz_jax.interop.entries import Entry
from gpz_jax.interop.layouts import Layout

# [3, 3, I, O] from the same, turned round
_FLIPPED = Layout(lambda shape: shape, lambda array, shape: array[::-1, ::-1])
# [4, 4, C] from [C, 4, 4] and from [1, 4, 4, C]
_CHANNELS_FIRST = Layout(
  lambda shape: (shape[2], *shape[:2]), lambda array, shape: array.transpose(1, 2, 0)
)
_BATCH_OF_ONE = Layout(lambda shape: (1, *shape), lambda array, shape: array[0])
# [h, w] from [1, h, w, 1]
_MAP = Layout(lambda shape: (1, *shape, 1), lambda array, shape: array[0, :, :, 0])
_SAME = Layout(lambda shape: shape, lambda array, shape: array)


@dataclasses.dataclass(frozen=True)
class Format:
  """The names and layouts of one kind of file; `{side}` is the side of a block.

  Attributes:
    name: What the format is called.
    mapping: Group of the mapping network.
    const: Name of the learned constant.
    block: Group of a block.
    layers: The groups of a block's convolutions, the one that doubles the sides first.
    first: That of the only convolution at 4x4.
    own: What stands between a layer and its kernel or bias.
    dense, conv, up_conv, constant, noise: Layouts.
    affine_bias: What a style's bias lacks in the file.
    separator: What stands between the parts of a name.
  """

  name: str
  mapping: str
  const: str
  block: str
  layers: tuple[str, str]
  first: str
  own: str
  dense: Layout
  conv: Layout
  up_conv: Layout
  constant: Layout
  noise: Layout
  affine_bias: float
  separator: str

  def table(self, generator: StyleGAN2) -> Iterator[Entry]:
    """Their name, ours and the layout of every array of a generator."""
    yield Entry(self._join(self.mapping, 'w_avg'), 'constants/mapping/w_avg', _SAME)
    for i in range(generator.mapping_layers):
      theirs = self._join(self.mapping, f'fc{i}')
      yield from self._pair(theirs, f'params/mapping/fc{i}', '', self.dense)
    yield Entry(self.const, 'params/synthesis/const', self.constant)
    for i in range(len(generator.widths)):
      yield from self._block(4 * 2**i)

  def fields(self, arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """The fields of the generator that arrays are of.

    Raises:
      KeyError, ValueError, IndexError: They are of none.
    """
    pattern = re.compile(re.escape(self.block).replace(r'\{side\}', r'(\d+)') + r'\b')
    sides = sorted({int(found[1]) for found in map(pattern.match, arrays) if found})
    dense = re.compile(re.escape(self._join(self.mapping, 'fc')) + r'\d+\b')
    dense_layers = {found[0] for found in map(dense.match, arrays) if found}

    def shape(layout, *parts):
      return layout.to_linen(arrays[self._join(*parts)], ()).shape

    block = [self.block.format(side=side) for side in sides]
    rgb = [shape(self.conv, b, f'torgb{self.own}', 'weight') for b in block]
    widths = [width for _, _, width, _ in rgb]
    narrow = [i for i, width in enumerate(widths) if width < max(widths)] or [-1]
    affine = shape(self.dense, block[0], self.first, 'affine', 'weight')
    return {
      'resolution': sides[-1],
      'channels': rgb[-1][3],
      'z_dim': shape(self.dense, self.mapping, 'fc0', 'weight')[0],
      'w_dim': affine[0],
      'mapping_layers': len(dense_layers),
      'channel_base': widths[narrow[0]] * sides[narrow[0]],
      'channel_max': max(widths),
    }

  def filters(self, generator: StyleGAN2) -> Iterator[str]:
    """The names under which the constant filter may be stored."""
    for i in range(len(generator.widths)):
      block = self.block.format(side=4 * 2**i)
      for layer in ('', *(self.layers if i else (self.first,))):
        yield self._join(*filter(None, (block, layer)), 'resample_filter')

  def _join(self, *parts: str) -> str:
    return self.separator.join(parts)

  def _pair(self, theirs: str, ours: str, own: str, layout: Layout) -> Iterator[Entry]:
    """Kernel and bias of a layer; `own` is the module of ours that has the kernel."""
    yield Entry(self._join(theirs, 'weight'), f'{ours}{own}/kernel', layout)
    yield Entry(self._join(theirs, 'bias'), f'{ours}/bias', _SAME)

  def _block(self, side: int) -> Iterator[Entry]:
    block = self.block.format(side=side)
    names = self.layers if side > 4 else (self.first,)
    for theirs, ours in zip(names, ('conv0', 'conv1')[-len(names) :], strict=True):
      layer, path = self._join(block, theirs), f'synthesis/b{side}/{ours}'
      kernel = self.up_conv if ours == 'conv0' else self.conv
      yield from self._modulated(layer, f'params/{path}', kernel)
      strength = f'params/{path}/noise_strength'
      yield Entry(self._join(layer, 'noise_strength'), strength, _SAME)
      noise = f'constants/{path}/noise_const'
      yield Entry(self._join(layer, 'noise_const'), noise, self.noise)
    rgb = self._join(block, 'torgb')
    yield from self._modulated(rgb, f'params/synthesis/b{side}/torgb', self.conv)

  def _modulated(self, theirs: str, ours: str, layout: Layout) -> Iterator[Entry]:
    affine = self._join(theirs, 'affine')
    yield from self._pair(affine, f'{ours}/affine', '', self.dense)
    yield from self._pair(theirs + self.own, ours, '/conv', layout)


NVIDIA = Format(
  name='nvidia',
  mapping='mapping',
  const='synthesis.b4.const',
  block='synthesis.b{side}',
  layers=('conv0', 'conv1'),
  first='conv1',
  own='',
  dense=layouts.linear,
  conv=layouts.convolution,
  up_conv=layouts.convolution,
  constant=_CHANNELS_FIRST,
  noise=_SAME,
  affine_bias=0.0,
  separator='.',
)
# TensorFlow's nets add 1 to the styles where they use them, and turn the kernels round
# that double the sides.
FLAXMODELS = Format(
  name='flaxmodels',
  mapping='mapping_network',
  const='synthesis_network/const',
  block='synthesis_network/block_{side}x{side}',
  layers=('layer0', 'layer1'),
  first='layer0',
  own='/conv',
  dense=_SAME,
  conv=_SAME,
  up_conv=_FLIPPED,
  constant=_BATCH_OF_ONE,
  noise=_MAP,
  affine_bias=1.0,
  separator='/',
)
FORMATS = {form.name: form for form in (NVIDIA, FLAXMODELS)}


def resample_filter() -> np.ndarray:
  """The filter [4, 4] as state dicts hold it, with sum 1."""
  taps = np.array(FILTER, np.float32)
  return np.outer(taps, taps) / taps.sum() ** 2
