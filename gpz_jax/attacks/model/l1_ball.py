"""The projection onto an L1 ball, which keeps a search near where it began."""

import jax
import jax.numpy as jnp


def project(change: jax.Array, radius: jax.Array | float) -> jax.Array:
  """The nearest point, by Euclid, whose absolute values sum to `radius` at most.

  Args:
    change: Numbers of any shape, all of one point.
    radius: [], above 0.

  Returns:
    The shape of `change`; the point itself where it lies in the ball.

  Source: Duchi et al., Efficient projections onto the l1-ball for learning in high
  dimensions, ICML 2008: all absolute values are lowered by one threshold, and those
  below it become 0.
  """
  sizes = jnp.abs(change).ravel()
  largest = jnp.sort(sizes)[::-1]
  counts = jnp.arange(1, len(sizes) + 1)
  # The threshold if exactly the first 1, 2, ... of the sorted values stay above 0.
  thresholds = (jnp.cumsum(largest) - radius) / counts
  num_above = jnp.sum(largest > thresholds)
  threshold = jnp.maximum(thresholds[num_above - 1], 0)
  return jnp.sign(change) * jnp.maximum(jnp.abs(change) - threshold, 0)
