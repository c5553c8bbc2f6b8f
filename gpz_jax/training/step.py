"""What is trained, and one step of it, written for one lane."""

import dataclasses
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from gpz_jax.training.evaluation import Evaluation
from gpz_jax.training.state import TrainState
from gpz_jax.types import Mean

Lane = dict[str, Any]  # a lane's own numbers and arrays, and 'key', its random key
Shared = Any


@dataclasses.dataclass(frozen=True)
class Objective:
  """What to train, written for one lane.

  `shared` is what all lanes read; `progress` [] is the share of the training that lies
  behind when the epoch ends, constant within it.
  """

  model: nn.Module
  sample_shape: tuple[int, ...]  # of one input, without the batch
  # (params, batch_stats, lane, shared, index [B], mask [B], key, progress)
  #   -> (loss, batch_stats)
  loss: Callable[..., tuple[jax.Array, Any]]
  evaluation: Evaluation  # on held-out examples, at the end of an epoch
  plateau_on: str  # names in what it returns; lower is better
  select_on: str
  # (lane, progress) -> [] bool: may this epoch be chosen?
  eligible: Callable[..., jax.Array] = lambda lane, progress: jnp.ones((), bool)


def train_step(
  objective: Objective,
  tx: optax.GradientTransformation,
  state: TrainState,
  lane: Lane,
  shared: Shared,
  batch: tuple[jax.Array, jax.Array],
  learning_rate: jax.Array,
  progress: jax.Array,
) -> tuple[TrainState, Mean]:
  """One step of one lane.

  Args:
    objective: what to train.
    tx: the optimiser, without its learning rate.
    state: the lane.
    lane: its own data.
    shared: data of all lanes.
    batch: index [B] of its examples and mask [B], 1 = counts in the loss.
    learning_rate: [].
    progress: [].

  Returns:
    The next state and the loss over the batch. A step whose loss or gradient is not
    finite changes nothing and freezes the lane.
  """
  index, mask = batch
  key = jax.random.fold_in(lane['key'], 1 + state.step)  # 0 was spent on the parameters

  def loss_fn(params):
    return objective.loss(
      params, state.batch_stats, lane, shared, index, mask, key, progress
    )

  (loss, batch_stats), grads = jax.value_and_grad(loss_fn, has_aux=True)(state.params)
  updates, opt_state = tx.update(grads, state.opt_state, state.params)
  updates = jax.tree.map(lambda u: -learning_rate * u, updates)
  proposed = state.replace(
    step=state.step + 1,
    params=optax.apply_updates(state.params, updates),
    batch_stats=batch_stats,
    opt_state=opt_state,
  )
  finite = jnp.isfinite(loss) & jnp.isfinite(optax.tree.norm(grads))
  is_finite = state.is_finite & finite
  kept = jax.tree.map(lambda new, old: jnp.where(is_finite, new, old), proposed, state)
  examples = jnp.sum(mask)
  return kept.replace(is_finite=is_finite), Mean(loss * examples, examples)
