"""Attention blocks that may follow the upsamplings of a decoder (Table 5).

Source: docs/paper.md#attention.

All of it belongs to the attacker's model. The target stays as it is.

A decoder's attention is named by its blocks, joined with '+': 'aac+se+lsk+msca'. Most
blocks act after every upsampling. LSK and its kind act after the last but one, MSCA and
its kind after the last, so that wide kernels are used where the map is wide.
"""

from typing import Any, Literal

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from gpz_jax.models import layers
from gpz_jax.models.depthwise import Depthwise
from gpz_jax.types import InputError, hint

MAX_SCORES = 2**26  # attention weights held at once: 256 MB in float32


Pointwise = layers.Dense  # a 1x1 convolution


def attend(query: jax.Array, key: jax.Array, value: jax.Array) -> jax.Array:
  """Softmax attention that never holds more than MAX_SCORES weights at once.

  Queries are taken in chunks, which the backward pass computes again. This is exact.

  Args:
    query: [B, T, heads, D].
    key: [B, T, heads, D].
    value: [B, T, heads, D].

  Returns:
    [B, T, heads, D].

  Raises:
    AssertionError: The three have different shapes.
  """
  message = 'query, key and value [B, T, heads, D]'
  chex.assert_rank(query, 4, custom_message=message)
  chex.assert_equal_shape([query, key, value], custom_message=message)
  batch, length, heads, features = query.shape
  size = length
  while batch * heads * size * length > MAX_SCORES and size % 2 == 0:
    size //= 2
  if size == length:
    return nn.dot_product_attention(query, key, value)
  chunks = query.reshape(batch, -1, size, heads, features).swapaxes(0, 1)
  one = jax.checkpoint(lambda chunk: nn.dot_product_attention(chunk, key, value))
  return lax.map(one, chunks).swapaxes(0, 1).reshape(query.shape)


class MHA(nn.Module):
  """Self-attention over the pixels, then a feed-forward layer, both residual.

  As in the released code, there is no norm before the attention.
  """

  heads: int = 2

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """[B, h, w, C] -> [B, h, w, C]."""
    features = x.shape[-1]
    tokens = x.reshape(len(x), -1, features)
    qkv = nn.DenseGeneral(
      (3, self.heads, features // self.heads),
      kernel_init=nn.initializers.xavier_uniform(),
      name='qkv',
    )(tokens)
    y = attend(qkv[:, :, 0], qkv[:, :, 1], qkv[:, :, 2])
    init = layers.torch_uniform(features)
    out = nn.DenseGeneral(features, axis=(-2, -1), kernel_init=init, name='out')
    tokens = tokens + out(y)
    y = nn.LayerNorm(epsilon=1e-5, name='norm')(tokens)
    y = nn.gelu(Pointwise(features, name='mlp_1')(y), approximate=False)
    return (tokens + Pointwise(features, name='mlp_2')(y)).reshape(x.shape)


class AAC(nn.Module):
  """Attention as convolution: a 5x5 depthwise sigmoid gate, then a 1x1 convolution."""

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """[B, h, w, C] -> [B, h, w, C]."""
    gate = nn.sigmoid(Depthwise((5, 5), use_bias=False, name='gate')(x))
    return Pointwise(x.shape[-1], use_bias=False, name='pointwise')(x * gate)


class SE(nn.Module):
  """Squeeze and excitation: channel weights from the global mean (Hu et al. 2018)."""

  reduction: int = 16

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """[B, h, w, C] -> [B, h, w, C]."""
    features = x.shape[-1]
    y = x.mean(axis=(1, 2), keepdims=True)
    hidden = max(features // self.reduction, 1)
    y = nn.relu(Pointwise(hidden, use_bias=False, name='squeeze')(y))
    return x * nn.sigmoid(Pointwise(features, use_bias=False, name='excite')(y))


class LSK(nn.Module):
  """The released code's large kernel: a sigmoid gate from 7x7 depthwise and 1x1."""

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """[B, h, w, C] -> [B, h, w, C]."""
    gate = Depthwise((7, 7), name='depthwise')(x)
    return x * nn.sigmoid(Pointwise(x.shape[-1], name='pointwise')(gate))


class MSCA(nn.Module):
  """The released code's multi-scale gate: depthwise 3, 5, 7 in parallel, then 1x1."""

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """[B, h, w, C] -> [B, h, w, C]."""
    scales = [Depthwise((k, k), name=f'depthwise_{k}')(x) for k in (3, 5, 7)]
    y = jnp.concatenate(scales, axis=-1)
    return x * Pointwise(x.shape[-1], name='pointwise')(y)


class PublishedLSK(nn.Module):
  """Large selective kernel: each pixel weighs two receptive fields.

  Source: Li et al., Large selective kernel network for remote sensing object
  detection, ICCV 2023.
  """

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """[B, h, w, C] -> [B, h, w, C]."""
    features = x.shape[-1]
    near = Depthwise((5, 5), name='near')(x)
    far = Depthwise((7, 7), dilation=3, name='far')(near)
    near = Pointwise(features // 2, name='pointwise_near')(near)
    far = Pointwise(features // 2, name='pointwise_far')(far)
    both = jnp.concatenate([near, far], axis=-1)
    pooled = [both.mean(axis=-1, keepdims=True), both.max(axis=-1, keepdims=True)]
    select = layers.Conv(2, (7, 7), padding=3, name='select')
    weights = nn.sigmoid(select(jnp.concatenate(pooled, axis=-1)))
    gate = near * weights[..., :1] + far * weights[..., 1:]
    return x * Pointwise(features, name='pointwise')(gate)


class PublishedMSCA(nn.Module):
  """Multi-scale convolutional attention: strips of 7, 11 and 21 summed.

  Source: Guo et al., SegNeXt, NeurIPS 2022.
  """

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """[B, h, w, C] -> [B, h, w, C]."""
    base = Depthwise((5, 5), name='base')(x)
    gate = base
    for size in (7, 11, 21):
      strip = Depthwise((1, size), name=f'row_{size}')(base)
      gate = gate + Depthwise((size, 1), name=f'column_{size}')(strip)
    return x * Pointwise(x.shape[-1], name='pointwise')(gate)


class LKA(nn.Module):
  """Large kernel attention: 5x5, then 7x7 of dilation 3, then 1x1.

  Source: Guo et al., Visual attention network, 2022.
  """

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """[B, h, w, C] -> [B, h, w, C]."""
    gate = Depthwise((5, 5), name='near')(x)
    gate = Depthwise((7, 7), dilation=3, name='far')(gate)
    return x * Pointwise(x.shape[-1], name='pointwise')(gate)


Place = Literal['every', 'last but one', 'last']
BLOCKS: dict[str, tuple[type[Any], Place]] = {
  'mha': (MHA, 'every'),
  'aac': (AAC, 'every'),
  'se': (SE, 'every'),
  'lsk': (LSK, 'last but one'),
  'lsk_published': (PublishedLSK, 'last but one'),
  'lka': (LKA, 'last but one'),
  'msca': (MSCA, 'last'),
  'msca_published': (PublishedMSCA, 'last'),
}
# The rows of Table 5. Any other combination of BLOCKS works as well.
ATTENTIONS = ('none', 'mha', 'aac', 'aac+se', 'aac+se+lsk+msca')


def plan(name: str, stages: int) -> tuple[tuple[str, ...], ...]:
  """The blocks after each of a decoder's stages, in the order they are named.

  Args:
    name: The word 'none', or names from BLOCKS joined with '+'.
    stages: Number of upsamplings. If there is only one, it takes all blocks.

  Returns:
    The names of the blocks after each upsampling.

  Raises:
    InputError: A block is unknown or repeated.
  """
  blocks = () if name == 'none' else tuple(name.split('+'))
  for block in blocks:
    if block not in BLOCKS:
      raise InputError(
        f"attention '{block}' is not known{hint(block, ['none', *BLOCKS])},"
        " joined with '+'"
      )
  if len(set(blocks)) < len(blocks):
    raise InputError(f"attention '{name}' names a block twice; name each once")
  where = {'last': stages - 1, 'last but one': max(stages - 2, 0)}
  return tuple(
    tuple(b for b in blocks if where.get(BLOCKS[b][1], stage) == stage)
    for stage in range(stages)
  )


def apply(blocks: tuple[str, ...], stage: int, x: jax.Array) -> jax.Array:
  """Applies the blocks of a stage inside the compact method of a decoder.

  Args:
    blocks: Names of the blocks, from `plan`.
    stage: Number of the upsampling, from 0. It is part of the variables' names.
    x: [B, h, w, C].

  Returns:
    [B, h, w, C].
  """
  for block in blocks:
    x = BLOCKS[block][0](name=f'{block}_{stage}')(x)
  return x
