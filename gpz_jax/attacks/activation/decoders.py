"""Decoders, which turn an activation into an image.

The shape of the activation decides the architecture. A decoder is called as
`decoder(activation, *, train=False)`.

Source: docs/paper.md#decoders and docs/paper.md#attention.
"""

from typing import Literal

import flax.linen as nn
import jax

from gpz_jax.attacks.activation import attention as attention_lib
from gpz_jax.attacks.activation import enhance as enhance_lib
from gpz_jax.attacks.activation import inputs, own_decoders
from gpz_jax.attacks.activation.decoder_modules import (
  ACTS,
  Act,
  Enhanced,
  FeatureDecoder,
  ReversedIR,
  VectorDecoder,
)
from gpz_jax.types import InputError, check_known

Kind = Literal['auto', 'inversion4', 'reversed_ir']
Size = tuple[int, int] | None  # (H, W) of an image; None where doublings give it
KINDS: tuple[Kind, ...] = ('auto', 'inversion4', 'reversed_ir')


def check_kind(kind: str) -> None:
  """Refuses a name that is neither known nor of the form package.module:factory.

  Raises:
    InputError: naming the kinds there are.
  """
  if ':' not in kind:
    check_known('decoder', kind, KINDS)


def make(
  activation_shape: tuple[int, ...] | jax.ShapeDtypeStruct,
  image_shape: tuple[int, int, int],
  *,
  act: Act | None = None,
  kind: Kind | str = 'auto',
  attention: str = 'none',
  enhance: str = 'none',
  width: float = 1.0,
) -> nn.Module:
  """Makes the decoder for activations of some shape.

  An activation whose sides are those of the image halved some times, rounded up or
  down at the end, has a decoder. So a model that pools 28 pixels to 14, 7 and 3 has one
  at each split.

  Args:
    activation_shape: (h, w, c), (n,) or (1 + T, c) of class token and patches, without
      the batch; or what `partition.list_splits` gives for a split. See `inputs` for
      other ways to read tokens.
    image_shape: (H, W, C).
    act: Kind of activation functions. None stands for `code` with maps, and for `tanh`
      with vectors and `inversion4`.
    kind: Kind of decoder. `auto` follows the shape, and the others are for maps. Or a
      factory of the user's own as package.module:factory, see `own_decoders.make`.
    attention: Blocks after the upsamplings of a map's decoder, see `attention`.
    enhance: Enhancement of the activation, see `enhance`. If it normalizes, the
      decoder's batch_stats must hold what `enhance.normalization_stats` gives.
    width: What the channels of the decoder's layers are multiplied by, > 0.

  Raises:
    InputError: A name is unknown, options do not go together, or no number of doublings
      leads from the activation to the image.
  """
  check_kind(kind)
  if isinstance(activation_shape, jax.ShapeDtypeStruct):
    activation_shape = tuple(activation_shape.shape)
  if act is not None:
    check_known('act', act, ACTS)
  attention_lib.plan(attention, 1)
  tokens, grid = len(activation_shape) == 2, None
  if tokens:
    grid = inputs.grid_of(activation_shape[0], image_shape)
    activation_shape = inputs.shape('patch_grid', activation_shape, image_shape)
  enhance_lib.check(enhance, activation_shape)
  if ':' in kind:
    _refuse_parts(kind, act, attention, width)
    decoder = own_decoders.make(kind, activation_shape, image_shape)
  else:
    decoder = _make_decoder(activation_shape, image_shape, act, kind, attention, width)
  plain = not tokens and enhance == 'none'
  return decoder if plain else Enhanced(decoder, enhance, grid)


def _refuse_parts(kind: str, act: Act | None, attention: str, width: float) -> None:
  """Refuses options that name parts of our own decoders."""
  if act is not None or attention != 'none' or width != 1:
    raise InputError(
      f"decoder '{kind}' is your own and takes neither act '{act}', attention"
      f" '{attention}' nor width {width:g}; leave them out"
    )


def _make_decoder(
  activation_shape, image_shape, act, kind, attention, scale
) -> nn.Module:
  if len(activation_shape) == 1:
    if kind != 'auto' or attention != 'none':
      raise InputError(
        f"decoder '{kind}' with attention '{attention}' needs an activation (h, w, c),"
        f" not {activation_shape}; use decoder 'auto' with attention 'none'"
      )
    ups, size = _vector_ups(image_shape)
    return VectorDecoder(ups, image_shape[2], act or 'tanh', size=size, scale=scale)
  if len(activation_shape) != 3:
    raise InputError(
      f'activation of shape {activation_shape} has no decoder; use a split that sends'
      ' (h, w, c), (n,) or (tokens, c)'
    )
  ups, size = _map_ups(activation_shape, image_shape)
  channels, width = image_shape[2], activation_shape[2]
  if kind == 'reversed_ir':
    if attention != 'none' or act is not None:
      raise InputError(
        f"decoder 'reversed_ir' takes neither attention '{attention}' nor act '{act}';"
        " use attention 'none' and the default act"
      )
    return ReversedIR(ups, channels, width, size, scale)
  if kind == 'auto':
    act = act or 'code'
    return FeatureDecoder(ups, channels, width, act, attention, size=size, scale=scale)
  least = 1 if attention == 'none' else 2
  if ups < least:
    raise InputError(
      f"decoder 'inversion4' with attention '{attention}' needs {least} doublings, but"
      f" the activation {activation_shape} is {ups} away from the image; use 'auto'"
    )
  act = act or 'tanh'
  return FeatureDecoder(ups, channels, width, act, attention, True, size, scale)


def _vector_ups(image_shape: tuple[int, int, int]) -> tuple[int, Size]:
  """The doublings from a vector, which end at a grid of four cells or a few more."""
  height, width, _ = image_shape
  ups = 0
  while -(-min(height, width) // 2 ** (ups + 1)) >= 4:
    ups += 1
  if not ups:
    raise InputError(
      f'image size {height}x{width} cannot be decoded from a vector; use an'
      ' image_size of at least 8'
    )
  is_exact = height == width == 4 * 2**ups
  return ups, None if is_exact else (height, width)


def _map_ups(
  activation_shape: tuple[int, ...], image_shape: tuple[int, int, int]
) -> tuple[int, Size]:
  """The doublings from a map to the image, the exact ones before the nearly exact."""
  sides, cells = image_shape[:2], activation_shape[:2]
  counts = range(max(sides).bit_length() + 1)
  for ups in counts:
    if all(n * 2**ups == side for n, side in zip(cells, sides, strict=True)):
      return ups, None
  for ups in counts:
    rounded = [(side // 2**ups, -(-side // 2**ups)) for side in sides]
    if all(n in either for n, either in zip(cells, rounded, strict=True)):
      return ups, image_shape[:2]
  raise InputError(
    f'an activation of {cells[0]}x{cells[1]} does not double up to an image of'
    f' {sides[0]}x{sides[1]}; use image_size 32 or 64'
  )
