"""A small vision transformer: six pre-norm blocks on 4x4 patches.

Source: docs/paper.md#target-architectures.

Split block_k is the residual stream after block k, before the final norm. The paper
states 10 heads, its released code uses 8 heads of 16; `heads` and `head_dim` take
either reading (docs/paper.md#disagreements).
"""

import functools
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp

from gpz_jax.models import layers, skips
from gpz_jax.models.skips import Factor, Skips
from gpz_jax.types import InputError

DROPOUT = 0.1


class ViT(nn.Module):
  """Splits: tokens, block_1 .. block_6, cls (the normalised class token)."""

  num_classes: int
  depth: int = 6
  width: float = 1.0
  heads: int = 8
  head_dim: int = 16
  patch: int = 4
  dropout: float = DROPOUT
  normalization: str = 'cifar10'
  skips: Skips | None = None

  @property
  def num_stages(self) -> int:
    """The blocks whose skip connections have factors."""
    return self.depth

  @property
  def skip_parts(self) -> tuple[str, ...]:
    """The skip connections of a block, each with a factor of its own."""
    return ('attention', 'mlp')

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
    """Logits [B, K] of images [B, H, W, C] in [0, 1]; H, W multiples of `patch`."""
    factors = skips.read(self)
    tokens = Tokens(int(128 * self.width), self.patch, self.dropout, name='tokens')
    x = tokens(layers.standardize(x, self.normalization), train=train)
    for i in range(1, self.depth + 1):
      block = Block(self.heads, self.head_dim, self.dropout, name=f'block_{i}')
      x = block(x, *factors[i - 1], train=train)
    # the norm works on each token by itself, and only the class token is read
    x = nn.LayerNorm(epsilon=1e-5, name='cls')(x[:, 0])
    return layers.Dense(self.num_classes, name='logits')(x)


class Tokens(nn.Module):
  """Embedded patches behind a class token, plus learned positions, dropout."""

  features: int
  patch: int
  dropout: float = DROPOUT
  patch_layer: Callable[..., nn.Module] = layers.Dense

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
    """[B, H, W, C] -> [B, 1 + H W / patch**2, features].

    Raises:
      InputError: height or width is not a multiple of the patch.
    """
    batch, height, width, channels = x.shape
    size = self.patch
    if height % size or width % size:
      raise InputError(
        f'image size {height}x{width} is not a multiple of the patch size {size};'
        ' choose an image size that is'
      )
    # A strided convolution without overlap is one matrix product over the patches.
    x = x.reshape(batch, height // size, size, width // size, size, channels)
    x = x.transpose(0, 1, 3, 2, 4, 5).reshape(batch, -1, size * size * channels)
    x = self.patch_layer(self.features, name='patches')(x)
    cls = self.param('cls', nn.initializers.zeros, (1, 1, self.features))
    x = jnp.concatenate([jnp.broadcast_to(cls, (batch, 1, self.features)), x], axis=1)
    # torch's trunc_normal_ cuts at +-2, a hundred deviations away: a plain normal
    init = nn.initializers.normal(0.02)
    x = x + self.param('positions', init, (1, *x.shape[1:]))
    return nn.Dropout(self.dropout, deterministic=not train)(x)


class Block(nn.Module):
  """Pre-norm transformer block: attention, then a GELU MLP of 4x the features."""

  heads: int
  head_dim: int
  dropout: float = DROPOUT
  epsilon: float = 1e-5
  mlp_layer: Callable[..., nn.Module] = layers.Dense

  @nn.compact
  def __call__(
    self,
    x: jax.Array,
    attention_skip: Factor = 1.0,
    mlp_skip: Factor = 1.0,
    *,
    train: bool = False,
  ) -> jax.Array:
    """[B, tokens, features], same shape out; each skip counts as often as is given."""
    features = x.shape[-1]
    norm = functools.partial(nn.LayerNorm, epsilon=self.epsilon)
    drop = functools.partial(nn.Dropout, self.dropout, deterministic=not train)
    attention = Attention(self.heads, self.head_dim, self.dropout, name='attention')
    x = _add(attention(norm(name='norm_1')(x), train=train), x, attention_skip)
    y = self.mlp_layer(4 * features, name='mlp_1')(norm(name='norm_2')(x))
    y = drop()(nn.gelu(y, approximate=False))
    y = self.mlp_layer(features, name='mlp_2')(y)
    return _add(drop()(y), x, mlp_skip)


def _add(branch: jax.Array, x: jax.Array, factor: Factor) -> jax.Array:
  return skips.add(branch, lambda: x, factor)


class Attention(nn.Module):
  """Multi-head self-attention with dropout on the attention weights.

  Where the heads add up to the features this is torch's MultiheadAttention. A wider
  projection (10 heads of 64 on 128 features) has no bias on queries, keys and values,
  as is usual for that form.
  """

  heads: int
  head_dim: int
  dropout: float = DROPOUT

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
    """[B, tokens, features], same shape out."""
    features = x.shape[-1]
    qkv = nn.DenseGeneral(
      (3, self.heads, self.head_dim),
      use_bias=self.heads * self.head_dim == features,
      kernel_init=nn.initializers.xavier_uniform(),
      name='qkv',
    )(x)
    x = nn.dot_product_attention(
      qkv[:, :, 0],
      qkv[:, :, 1],
      qkv[:, :, 2],
      dropout_rate=self.dropout,
      broadcast_dropout=False,
      dropout_rng=self.make_rng('dropout') if train and self.dropout else None,
      deterministic=not train,
    )
    init = layers.torch_uniform(self.heads * self.head_dim)
    return nn.DenseGeneral(features, axis=(-2, -1), kernel_init=init, name='out')(x)
