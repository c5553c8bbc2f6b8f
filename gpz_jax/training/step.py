"""One training step, written for one lane, and what its loss is given."""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import chex
import jax
import jax.numpy as jnp
import optax

from gpz_jax.means import Mean
from gpz_jax.models import calls
from gpz_jax.training.state import TrainState
from gpz_jax.types import InputError

# A lane's own numbers and arrays by name, among them 'key', its random key.
LaneArrays = dict[str, Any]
# Arrays by name that all lanes read.
Shared = dict[str, Any]


class Batch(NamedTuple):
  """The examples of one step."""

  index: jax.Array  # [B] int32, their places in the subset
  mask: jax.Array  # [B] float32, 1 where an example counts and 0 where it is filling


class Span(NamedTuple):
  """The steps of an epoch that a segment takes; each is an int32 [].

  A segment may be handed the order of its own steps alone, while a schedule counts the
  steps of the whole epoch.
  """

  start: Any  # the first step, in the order that the segment is handed
  stop: Any  # the one after its last
  before: Any  # how many steps of the epoch come before that order
  total: Any  # how many steps the epoch has


def pixels(images: jax.Array, index: jax.Array) -> jax.Array:
  """The images at `index` [B] as float32 in [0, 1], out of uint8 [N, H, W, C]."""
  chex.assert_rank(images, 4, custom_message='images [N, H, W, C]')
  chex.assert_rank(index, 1, custom_message='index [B]')
  check_bytes(images)
  return images[index].astype(jnp.float32) / 255


def check_bytes(images: Any) -> None:
  """Refuses images that are no uint8: floats would be divided by 255 once more.

  Raises:
    InputError: They are of another type.
  """
  if images.dtype != jnp.uint8:
    raise InputError(f'images are {images.dtype}; give uint8, from 0 to 255')


class StepInfo(NamedTuple):
  """What a loss is told about its step."""

  key: jax.Array  # the random key of this step of this lane
  progress: jax.Array  # [] share of the training done when the epoch ends, in (0, 1]


class LossFn(Protocol):
  """The loss of one lane on one batch.

  A treatment's numbers (alpha, a factor, a weight) are entries of `lane`, so that lanes
  that differ in nothing else are one compiled program. A schedule reads
  `info.progress`, which is constant within an epoch.
  """

  def __call__(
    self,
    variables: dict[str, Any],
    lane: LaneArrays,
    shared: Shared,
    batch: Batch,
    info: StepInfo,
    /,
  ) -> tuple[jax.Array, dict[str, Any]]:
    """Computes the loss in training mode.

    Args:
      variables: 'params', which the gradient is taken of, 'batch_stats', and the
        collections of the model's own.
      lane: The lane's own arrays.
      shared: The arrays that all lanes read.
      batch: The examples, which the loss looks up in `lane` or `shared`.
      info: The key of the step and how far the training has come.

    Returns:
      The mean loss [] over the examples whose mask is 1, and the collections that the
      step changes, such as 'batch_stats'.
    """
    ...


def train_step(
  loss: LossFn,
  tx: optax.GradientTransformation,
  state: TrainState,
  lane: LaneArrays,
  shared: Shared,
  batch: Batch,
  learning_rate: jax.Array,
  progress: jax.Array,
  restrict: Callable[[LaneArrays, Any], Any] | None = None,
) -> tuple[TrainState, Mean]:
  """One step of one lane.

  Args:
    loss: What the step descends on.
    tx: The optimiser, without its learning rate.
    state: The lane before the step.
    lane: The lane's own arrays.
    shared: The arrays that all lanes read.
    batch: The examples of the step.
    learning_rate: [], above 0.
    progress: [], the share of the training done when the epoch ends.
    restrict: Maps the updates of the parameters to those that are made.

  Returns:
    The next state and the loss over the batch. A step whose loss or gradient is not
    finite changes nothing and freezes the lane for good.
  """
  chex.assert_rank(batch.index, 1, custom_message='batch.index [B]')
  chex.assert_equal_shape(batch, custom_message='batch.index and batch.mask, both [B]')
  chex.assert_rank(
    [learning_rate, progress], 0, custom_message='learning_rate [], progress []'
  )
  key = jax.random.fold_in(lane['key'], 1 + state.step)  # 0 was spent on the parameters
  info = StepInfo(key, progress)

  def loss_fn(params):
    variables = {**state.variables, 'params': params}
    return loss(variables, lane, shared, batch, info)

  (value, changed), grads = jax.value_and_grad(loss_fn, has_aux=True)(state.params)
  updates, opt_state = tx.update(grads, state.opt_state, state.params)
  updates = jax.tree.map(lambda u: -learning_rate * u, updates)
  if restrict is not None:  # after the optimiser, whose weight decay moves all
    updates = restrict(lane, updates)
  proposed = state.replace(
    step=state.step + 1,
    params=optax.apply_updates(state.params, updates),
    batch_stats=calls.pack({**state.variables, **changed}),
    opt_state=opt_state,
  )
  finite = jnp.isfinite(value) & jnp.isfinite(optax.tree.norm(grads))
  # A lane that froze stays frozen: the next batch may give a finite loss, but the steps
  # that were dropped would still be missing.
  is_finite = state.is_finite & finite
  kept = jax.tree.map(lambda new, old: jnp.where(is_finite, new, old), proposed, state)
  examples = jnp.sum(batch.mask)
  return kept.replace(is_finite=is_finite), Mean(value * examples, examples)
