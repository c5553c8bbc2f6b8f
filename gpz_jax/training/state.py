"""What a lane carries through training: arrays only.

Model and optimiser stay outside, so that stacking, donating and restoring lanes are
plain tree operations.
"""

from typing import Any, cast

import chex
import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
import optax

from gpz_jax.models import calls


class TrainState(flax.struct.PyTreeNode):
  """One lane; stacked over lanes every leaf has L in front."""

  step: jax.Array  # [] int32, steps taken while the lane was finite
  params: Any
  batch_stats: Any  # what `calls.pack` gives; {} without batch norm and constants
  opt_state: Any
  is_finite: (
    jax.Array
  )  # [] bool; False from the first non-finite step on, which froze it

  @property
  def variables(self) -> dict[str, Any]:
    """The variables `model.apply` takes."""
    return calls.unpack(self.params, self.batch_stats)


Plateau = optax.contrib.ReduceLROnPlateauState  # `scale` is a factor of the rate


def create_plateau() -> Plateau:
  """Creates the plateau of a lane that was never evaluated."""
  return cast(Plateau, optax.contrib.reduce_on_plateau().init(jnp.zeros(())))


def update_plateau(
  plateau: Plateau,
  value: jax.Array,
  *,
  patience: int,
  factor: float,
  threshold: float,
) -> Plateau:
  """Takes in one epoch's value, as torch's ReduceLROnPlateau does.

  Optax fires at the last epoch of its patience and torch at the one after it, so optax
  is given one epoch more.

  Args:
    plateau: The state before the epoch.
    value: [], lower is better; NaN is no improvement.
    patience: How many epochs in a row may bring no improvement. One more fires.
    factor: What the scale is multiplied by when the plateau fires, in (0, 1).
    threshold: The least share of the best value by which a better one is lower, in
      (0, 1].
  """
  chex.assert_rank(value, 0, custom_message='value []')
  rule = optax.contrib.reduce_on_plateau(factor, patience + 1, threshold)
  return cast(Plateau, rule.update((), plateau, value=value)[1])


@flax.struct.dataclass
class Best:
  """The variables of the epoch with the lowest held-out value so far."""

  value: jax.Array  # [] infinite if there is none yet
  epoch: jax.Array  # [] int32, counted from 1; 0 if there is none yet
  params: Any
  batch_stats: Any  # as in TrainState

  @classmethod
  def create(
    cls, value: jax.Array, epoch: jax.Array | int, variables: dict[str, Any]
  ) -> 'Best':
    """Creates the best so far from all variables of the model.

    Args:
      value: [], the held-out value.
      epoch: [], counted from 1; 0 if there is none yet.
      variables: What `model.apply` takes.
    """
    return cls(
      value,
      jnp.asarray(epoch, jnp.int32),
      variables['params'],
      calls.pack(variables),
    )

  @property
  def variables(self) -> dict[str, Any]:
    """The variables `model.apply` takes."""
    return calls.unpack(self.params, self.batch_stats)


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
  initial: dict[str, Any] | None = None,
) -> FitState:
  """Creates a fresh lane.

  Args:
    key: The key that its parameters are drawn from.
    model: The module; it is called as `model(sample, train=False)`.
    sample: [1, ...], a blank input.
    tx: The optimiser.
    initial: Variables to begin with instead of those drawn; it may lack some.
  """
  variables = calls.overlay(calls.init(model, key, sample), initial or {})
  # Not of a weak type, which an epoch does not return: its end would compile twice.
  best = Best.create(jnp.full((), jnp.inf, jnp.float32), 0, variables)
  train = TrainState(
    step=jnp.zeros((), jnp.int32),
    params=best.params,
    batch_stats=best.batch_stats,
    opt_state=tx.init(best.params),
    is_finite=jnp.ones((), bool),
  )
  return FitState(train, create_plateau(), best)
