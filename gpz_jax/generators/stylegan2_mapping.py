"""StyleGAN2's mapping network: from z, as drawn, to w, which styles are made of.

Source: docs/paper.md#stylegan2.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from gpz_jax.generators.stylegan2_layers import EqualizedDense, activate

LR_MULTIPLIER = 0.01


class Mapping(nn.Module):
  """Fully connected layers behind a normalisation of z.

  Its constant `w_avg` is the mean of w that training followed.

  Attributes:
    w_dim: Length of w, and of every hidden layer.
    num_layers: Number of fully connected layers.
  """

  w_dim: int = 512
  num_layers: int = 8

  @nn.compact
  def __call__(self, z: jax.Array) -> jax.Array:
    """[B, z_dim] -> w [B, w_dim]."""
    self.variable('constants', 'w_avg', jnp.zeros, (self.w_dim,))
    x = z * lax.rsqrt(jnp.mean(z**2, axis=1, keepdims=True) + 1e-8)
    for i in range(self.num_layers):
      x = activate(EqualizedDense(self.w_dim, LR_MULTIPLIER, name=f'fc{i}')(x))
    return x


def truncate(
  w: jax.Array, mean: jax.Array, psi: float, cutoff: int | None, num_ws: int
) -> jax.Array:
  """The w of each layer, drawn towards the mean: w <- mean + psi (w - mean).

  Args:
    w: [B, w_dim].
    mean: [w_dim].
    psi: 1 leaves w as it is; at 0 all are the mean.
    cutoff: The layers before this one are truncated; None truncates all.
    num_ws: Number of layers.

  Returns:
    [B, num_ws, w_dim].
  """
  mean = mean.reshape(1, 1, -1)
  is_truncated = jnp.arange(num_ws) < (num_ws if cutoff is None else cutoff)
  psis = jnp.where(is_truncated, psi, 1).reshape(1, -1, 1)
  return mean + psis * (w[:, None] - mean)
