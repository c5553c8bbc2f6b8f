"""The pieces that mobile blocks are made of, in EfficientNet and in MaxViT."""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp

from gpz_jax.models.skips import Factor


class SqueezeExcite(nn.Module):
  """Weights each channel by a sigmoid of all channels' means.

  Attributes:
    features: Channels of the layer between the means and the weights.
    kernel_init: Initialiser of both kernels; the biases start at 0.
  """

  features: int
  kernel_init: Callable[..., jax.Array]

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """[B, h, w, C], same shape out."""
    means = x.mean(axis=(1, 2), keepdims=True)
    squeeze = nn.Dense(self.features, kernel_init=self.kernel_init, name='squeeze')
    excite = nn.Dense(x.shape[-1], kernel_init=self.kernel_init, name='excite')
    return x * nn.sigmoid(excite(nn.silu(squeeze(means))))


class StochasticDepth(nn.Module):
  """Drops the branch of a block, image by image, in training.

  Source: docs/paper.md#transformers-and-efficientnet.
  """

  rate: float

  @nn.compact
  def __call__(
    self, branch: jax.Array, skip: Factor = 1.0, *, train: bool = False
  ) -> jax.Array:
    """The branch at 1 / (1 - rate) of its size or at zero; as it is in evaluation.

    A block without a skip connection keeps its branch: nothing else carries a signal.

    Args:
      branch: [B, ...].
      skip: The factor of the skip connection around the branch: a number, or [] traced.
      train: Whether branches are dropped.
    """
    if not train or not self.rate:
      return branch
    if isinstance(skip, float | int) and skip == 0:
      return branch
    shape = (len(branch),) + (1,) * (branch.ndim - 1)
    kept = jax.random.bernoulli(self.make_rng('dropout'), 1 - self.rate, shape)
    scale = jnp.where(kept, 1 / (1 - self.rate), 0).astype(branch.dtype)
    if not isinstance(skip, float | int):
      scale = jnp.where(skip > 0, scale, jnp.ones_like(scale))
    return branch * scale
