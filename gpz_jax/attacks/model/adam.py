"""Adam on latents, as Plug & Play Attacks sets it.

Source: docs/paper.md#plug-and-play-attacks.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

BETAS = (0.1, 0.1)
EPSILON = 1e-8


class Optimised(NamedTuple):
  """The candidates of one class while they are optimised."""

  latents: jax.Array  # [M, *latent_shape]
  moments: Any  # of Adam


def move(
  state: Optimised,
  gradient: jax.Array,
  rate: jax.Array,
  tx: optax.GradientTransformation,
) -> Optimised:
  """Takes one step; a candidate whose gradient is no number stays where it is."""
  axes = tuple(range(1, gradient.ndim))
  is_finite = jnp.all(jnp.isfinite(gradient), axis=axes, keepdims=True)
  direction, moments = tx.update(gradient, state.moments)
  moved = Optimised(state.latents - rate * jnp.asarray(direction), moments)

  def keep(new, old):
    return jnp.where(is_finite, new, old) if new.ndim else new  # the count of steps

  return jax.tree.map(keep, moved, state)
