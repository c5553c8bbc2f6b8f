"""What a lane carries through training: arrays only.

Model and optimiser stay outside, so stacking lanes, donating and restoring are plain
tree operations.
"""

from typing import Any

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
import optax


class TrainState(flax.struct.PyTreeNode):
  """One lane; stacked over lanes every leaf has L in front."""

  step: jax.Array  # [] int32, steps taken while alive
  params: Any
  batch_stats: Any  # {} without batch norm
  opt_state: Any
  is_finite: jax.Array  # [] bool; False froze the lane at its first non-finite step

  @property
  def variables(self) -> dict[str, Any]:
    """The variables `model.apply` takes."""
    return {'params': self.params, 'batch_stats': self.batch_stats}


@flax.struct.dataclass
class Plateau:
  """torch's ReduceLROnPlateau: the scale falls when `bad` exceeds the patience."""

  scale: jax.Array  # [] multiplies the learning rate
  best: jax.Array  # []
  bad: jax.Array  # [] int32, epochs since the last improvement

  @classmethod
  def create(cls) -> 'Plateau':
    """Nothing seen yet."""
    return cls(jnp.ones(()), jnp.full((), jnp.inf), jnp.zeros((), jnp.int32))

  def update(
    self, value: jax.Array, *, patience: int, factor: float, threshold: float
  ) -> 'Plateau':
    """One epoch's value, lower is better."""
    better = value < self.best * (1 - threshold)
    bad = jnp.where(better, 0, self.bad + 1)
    fire = bad > patience
    return Plateau(
      scale=jnp.where(fire, self.scale * factor, self.scale),
      best=jnp.where(better, value, self.best),
      bad=jnp.where(fire, 0, bad),
    )


@flax.struct.dataclass
class Best:
  """The variables of the epoch with the lowest held-out value so far."""

  value: jax.Array  # []
  epoch: jax.Array  # [] int32, counted from 1; 0 = none yet
  params: Any
  batch_stats: Any

  @property
  def variables(self) -> dict[str, Any]:
    """The variables `model.apply` takes."""
    return {'params': self.params, 'batch_stats': self.batch_stats}


class FitState(flax.struct.PyTreeNode):
  """A lane in the middle of its training."""

  train: TrainState
  plateau: Plateau
  best: Best


def create_fit_state(
  key: jax.Array,
  model: nn.Module,
  sample: jax.Array,
  tx: optax.GradientTransformation,
) -> FitState:
  """A fresh lane.

  Args:
    key: of the lane.
    model: called as `model(sample, train=False)`.
    sample: [1, ...] a blank input.
    tx: the optimiser.
  """
  variables = model.init(key, sample, train=False)
  params, batch_stats = variables['params'], variables.get('batch_stats', {})
  train = TrainState(
    step=jnp.zeros((), jnp.int32),
    params=params,
    batch_stats=batch_stats,
    opt_state=tx.init(params),
    is_finite=jnp.ones((), bool),
  )
  best = Best(jnp.full((), jnp.inf), jnp.zeros((), jnp.int32), params, batch_stats)
  return FitState(train, Plateau.create(), best)
