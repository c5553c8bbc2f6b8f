"""Batch-norm averages of trained nets, measured anew on training images.

The running averages that training leaves lag behind the parameters. After a short
training they belong to a net that is no longer there, and the accuracy suffers.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from gpz_jax.models import calls
from gpz_jax.training.engine import Engine

BATCH = 128
MOST_BATCHES = 32  # 4,096 images, of which a mean or variance is known to 2 percent


def refresh(
  model: nn.Module, variables: Any, images: np.ndarray, engine: Engine
) -> Any:
  """Replaces running averages by plain averages over batches of training images.

  Nothing needs to be known of the model's batch norm. Its running average after one
  batch, from 0 and from 1, is (1 - m) b and m + (1 - m) b, which tells the statistic b
  of the batch, whatever the momentum m is.

  Args:
    model: The net.
    variables: Variables of L nets, with L in front.
    images: [N, H, W, C] uint8, of which at most 4,096 are read, as they come.
    engine: How lanes are computed.

  Returns:
    The variables with other `batch_stats`; the variables themselves where the model has
    none. A variance is the mean of the batches' variances.
  """
  if not jax.tree.leaves(variables.get('batch_stats', {})):
    return variables
  size = min(BATCH, len(images))
  count = min(MOST_BATCHES, len(images) // size)
  batches = images[: count * size].reshape(count, size, *images.shape[1:])

  def observe(variables, batch, key):
    """The statistics of one batch."""

    def after(start):
      stats = jax.tree.map(lambda leaf: jnp.full_like(leaf, start), old)

      def apply(rngs):
        return engine.apply(
          model,
          {**variables, 'batch_stats': stats},
          batch.astype(jnp.float32) / 255,
          train=True,
          mutable=['batch_stats'],
          rngs=rngs,
        )

      return calls.lend_keys(apply, key, dropout=key)[1]['batch_stats']

    old = variables['batch_stats']
    from_zero, from_one = after(0.0), after(1.0)
    return jax.tree.map(lambda a, b: a / (1 - (b - a)), from_zero, from_one)

  def one(variables, batches):
    def add(i, total):
      found = observe(variables, batches[i], calls.evaluation_key(i))
      return jax.tree.map(jnp.add, total, found)

    zeros = jax.tree.map(jnp.zeros_like, variables['batch_stats'])
    total = jax.lax.fori_loop(0, count, add, zeros)
    return jax.tree.map(lambda leaf: leaf / count, total)

  stats = jax.jit(engine.over_lanes(one))(variables, jnp.asarray(batches))
  return {**variables, 'batch_stats': stats}
