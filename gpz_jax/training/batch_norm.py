"""Batch-norm averages of trained nets, measured anew on training images.

The running averages that training leaves lag behind the parameters. After a short
training they belong to a net that is no longer there, and the accuracy suffers.
"""

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from gpz_jax.models import calls
from gpz_jax.training.engine import Engine

BATCH = 128
ROUNDING = 1e-5  # how far an average may be from its formula, as a share
MOST_BATCHES = 32  # 4,096 images, of which a mean or variance is known to 2 percent


def refresh(
  model: nn.Module, variables: Any, images: np.ndarray, engine: Engine
) -> Any:
  """Replaces running averages by plain averages over batches of training images.

  Nothing needs to be known of the model's batch norm. Its running average after one
  batch is a = (1 - m) b from 0, and m a + a from there. That tells the momentum m and
  the statistic b of the batch. Other entries of `batch_stats` do not follow this, such
  as the estimates of a spectral norm or a counter. They stay as they are.

  Args:
    model: The net.
    variables: Variables of L nets, with L in front.
    images: [N, H, W, C] uint8, of which at most 4,096 are read, as they come.
    engine: How lanes are computed.

  Returns:
    The variables with other running averages; the variables themselves where the model
    has no `batch_stats`. A variance is the mean of the batches' variances.
  """
  if not jax.tree.leaves(variables.get('batch_stats', {})):
    return variables
  size = min(BATCH, len(images))
  count = min(MOST_BATCHES, len(images) // size)
  batches = images[: count * size].reshape(count, size, *images.shape[1:])
  stats = _measure(model, engine, variables, jnp.asarray(batches))
  return {**variables, 'batch_stats': stats}


# At module level, so that targets that are refreshed one after another share a program.
@functools.partial(jax.jit, static_argnums=(0, 1))
def _measure(
  model: nn.Module, engine: Engine, variables: Any, batches: jax.Array
) -> Any:
  """The `batch_stats` of L nets after batches [S, B, H, W, C] of images."""

  def after(variables, stats, batch, key):
    """What `stats` become by one batch."""

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

  def one(variables, batches):
    old, key = variables['batch_stats'], calls.evaluation_key(0)
    zeros = jax.tree.map(jnp.zeros_like, old)
    once = after(variables, zeros, batches[0], key)
    twice = after(variables, once, batches[0], key)
    momenta = jax.tree.map(_find_momentum, once, twice)
    # what is no average keeps what the net computes with
    start = jax.tree.map(lambda m, leaf: jnp.where(m < 1, 0, leaf), momenta, old)

    def add(i, total):
      found = after(variables, start, batches[i], calls.evaluation_key(i))
      return jax.tree.map(jnp.add, total, found)

    count = len(batches)
    total = jax.lax.fori_loop(0, count, add, zeros)
    return jax.tree.map(
      lambda m, leaf, before: jnp.where(m < 1, leaf / count / (1 - m), before),
      momenta,
      total,
      old,
    )

  return engine.over_lanes(one)(variables, batches)


def _find_momentum(once: jax.Array, twice: jax.Array) -> jax.Array:
  """The momentum [] of a running average; infinity for what is none.

  Args:
    once: The array a after one batch, from 0.
    twice: The array after the same batch, from `once`: (1 + m) a, of an average.
  """
  flat = once.ravel()
  largest = jnp.argmax(jnp.abs(flat))  # where rounding hides least of m
  size = flat[largest]
  momentum = twice.ravel()[largest] / jnp.where(size == 0, 1, size) - 1
  misfit = jnp.abs(twice - (1 + momentum) * once).max()
  is_average = (size != 0) & (misfit <= ROUNDING * jnp.abs(size))
  is_average &= (momentum > -ROUNDING) & (momentum < 1 - ROUNDING)
  return jnp.where(is_average, momentum, jnp.inf)
