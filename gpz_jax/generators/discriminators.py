"""The critic that tells public images from generated ones."""

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp

from gpz_jax.models.layers import HE, Conv

_SLOPE = 0.2
_LAST = 4  # side of the last map


def _leaky(x: jax.Array) -> jax.Array:
  return nn.leaky_relu(x, _SLOPE)


class Critic(nn.Module):
  """Strided convolutions to a 4x4 map, a dense layer of features, and scores.

  There is no norm, so that a score depends on its own image alone, but for the spread
  of the batch. R1 keeps the critic smooth instead. Variables of a trained critic hold
  the usual spread as `statistics`, which then stands for that of the batch.

  Attributes:
    size: Side of the images, a power of two above 4.
    width: Number of channels of the first map. Each of the next has twice as many, up
      to eight times as many.
    outputs: Number of scores of an image: 1, or K + 1 where classes are told apart.
    spread: Whether the spread of the batch is one more channel of the last map, by
      which a generator that always makes the same image is found out.
  """

  size: int = 64
  width: int = 64
  outputs: int = 1
  spread: bool = True

  def setup(self):
    """Names the layers."""
    stages = (self.size // _LAST).bit_length() - 1
    widths = [self.width * 2 ** min(i, 3) for i in range(stages)]
    self.downs = [
      Conv(width, (4, 4), 2, kernel_init=HE, bias_init=nn.initializers.zeros)
      for width in widths
    ]
    self.last = Conv(
      widths[-1], (3, 3), kernel_init=HE, bias_init=nn.initializers.zeros
    )
    self.dense = nn.Dense(widths[-1])
    self.score = nn.Dense(self.outputs)

  def __call__(self, images: jax.Array) -> jax.Array:
    """The scores [B, outputs] of images [B, H, W, C] in [0, 1]; high is real."""
    return self.score(self.features(images))

  def features(self, images: jax.Array) -> jax.Array:
    """What the scores are read off: [B, H, W, C] in [0, 1] -> [B, f]."""
    x = self._map(images)
    if self.spread:
      known = self.has_variable('statistics', 'spread')
      spread = self.get_variable('statistics', 'spread') if known else _spread(x)
      channel = jnp.broadcast_to(spread, (*x.shape[:3], 1))
      x = jnp.concatenate([x, channel], axis=-1)
    x = _leaky(self.last(x))
    return _leaky(self.dense(x.reshape(len(x), -1)))

  def measure_spread(self, images: jax.Array) -> jax.Array:
    """The spread [] of a batch of images [B, H, W, C] in [0, 1]."""
    return _spread(self._map(images))

  def _map(self, images: jax.Array) -> jax.Array:
    """What the strided convolutions make: [B, H, W, C] -> [B, 4, 4, c]."""
    shape = (None, self.size, self.size, None)
    message = f'images must be [B, {self.size}, {self.size}, C]'
    chex.assert_shape(images, shape, custom_message=message)
    x = 2 * images - 1
    for down in self.downs:
      x = _leaky(down(x))
    return x


def _spread(x: jax.Array) -> jax.Array:
  """The mean deviation [] over the batch.

  Source: Karras et al. 2018, section 3, with the whole batch as one group.
  """
  return jnp.sqrt(jnp.var(x, axis=0) + 1e-8).mean()
