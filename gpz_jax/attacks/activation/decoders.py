"""Decoders, which turn an activation into an image.

The shape of the activation decides the architecture. A decoder is called as
`decoder(activation, *, train=False)`.

Source: docs/paper.md#decoders and docs/paper.md#attention.
"""

import math
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
) -> nn.Module:
  """Makes the decoder for activations of some shape.

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
  tokens = len(activation_shape) == 2
  if tokens:
    activation_shape = inputs.shape('patch_grid', activation_shape)
  enhance_lib.check(enhance, activation_shape)
  if ':' in kind:
    _refuse_parts(kind, act, attention)
    decoder = own_decoders.make(kind, activation_shape, image_shape)
  else:
    decoder = _make_decoder(activation_shape, image_shape, act, kind, attention)
  return Enhanced(decoder, enhance) if tokens or enhance != 'none' else decoder


def _refuse_parts(kind: str, act: Act | None, attention: str) -> None:
  """Refuses options that name parts of our own decoders."""
  if act is not None or attention != 'none':
    raise InputError(
      f"decoder '{kind}' is your own and takes neither act '{act}' nor attention"
      f" '{attention}'; leave them out"
    )


def _make_decoder(activation_shape, image_shape, act, kind, attention) -> nn.Module:
  if len(activation_shape) == 1:
    if kind != 'auto' or attention != 'none':
      raise InputError(
        f"decoder '{kind}' with attention '{attention}' needs an activation (h, w, c),"
        f" not {activation_shape}; use decoder 'auto' with attention 'none'"
      )
    return VectorDecoder(_vector_ups(image_shape), image_shape[2], act or 'tanh')
  if len(activation_shape) != 3:
    raise InputError(
      f'activation of shape {activation_shape} has no decoder; use a split that sends'
      ' (h, w, c), (n,) or (tokens, c)'
    )
  ups = _map_ups(activation_shape, image_shape)
  channels, width = image_shape[2], activation_shape[2]
  if kind == 'reversed_ir':
    if attention != 'none' or act is not None:
      raise InputError(
        f"decoder 'reversed_ir' takes neither attention '{attention}' nor act '{act}';"
        " use attention 'none' and the default act"
      )
    return ReversedIR(ups, channels, width)
  if kind == 'auto':
    return FeatureDecoder(ups, channels, width, act or 'code', attention)
  least = 1 if attention == 'none' else 2
  if ups < least:
    raise InputError(
      f"decoder 'inversion4' with attention '{attention}' needs {least} doublings, but"
      f" the activation {activation_shape} is {ups} away from the image; use 'auto'"
    )
  return FeatureDecoder(ups, channels, width, act or 'tanh', attention, True)


def _vector_ups(image_shape: tuple[int, int, int]) -> int:
  height, width, _ = image_shape
  ups = math.log2(height / 4)
  if height != width or ups != int(ups) or ups < 1:
    raise InputError(
      f'image size {height}x{width} cannot be decoded from a vector; use a square'
      ' image_size of 8, 16, 32, 64, ...'
    )
  return int(ups)


def _map_ups(
  activation_shape: tuple[int, ...], image_shape: tuple[int, int, int]
) -> int:
  height, width, _ = image_shape
  ups = math.log2(height / activation_shape[0])
  if ups != int(ups) or ups < 0 or width != activation_shape[1] * 2**ups:
    raise InputError(
      f'an activation of {activation_shape[0]}x{activation_shape[1]} does not double up'
      f' to an image of {height}x{width}; use image_size 32 or 64'
    )
  return int(ups)
