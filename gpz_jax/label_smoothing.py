"""Label smoothing of either sign, by the conventions that are in use."""

import chex
import jax
import jax.numpy as jnp
import optax

from gpz_jax.vocabulary import Convention

# Shares of the training between which a negative alpha grows from 0 to its value
# (Struppek et al. 2024: epochs 50 to 75 of 100; without it the target trains badly).
NEGATIVE_ALPHA_RAMP = (0.5, 0.75)


def smooth_labels(
  labels: jax.Array, alpha: jax.Array, num_classes: int, convention: Convention
) -> jax.Array:
  """Label-smoothed target distributions.

  Args:
    labels: [B] int32.
    alpha: [], may be traced. A negative one takes weight from the other classes.
    num_classes: K.
    convention: `standard` is (1 - a) onehot + a / K. `code` puts 1 - a on the label and
      a / (K - 1) elsewhere. `table1` puts 1 - a and a / K, which sums to 1 - a / K.

  Returns:
    [B, K] float32.

  Source: docs/paper.md#label-smoothing. `code` at a is `standard` at a K / (K - 1).
  """
  chex.assert_rank(labels, 1, custom_message='labels [B]')
  chex.assert_rank(alpha, 0, custom_message='alpha []')
  onehot = jax.nn.one_hot(labels, num_classes)
  if convention == 'standard':
    return optax.smooth_labels(onehot, alpha)
  others = num_classes - 1 if convention == 'code' else num_classes
  return onehot * (1 - alpha) + (1 - onehot) * (alpha / others)


def effective_alpha(alpha: jax.Array, progress: jax.Array) -> jax.Array:
  """Alpha at a share `progress` in [0, 1] of the training: negative ones ramp in."""
  start, stop = NEGATIVE_ALPHA_RAMP
  ramp = jnp.clip((progress - start) / (stop - start), 0.0, 1.0)
  return jnp.where(alpha < 0, alpha * ramp, alpha)
