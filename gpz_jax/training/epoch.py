"""An epoch of one lane: its steps, and what its end decides. It compiles nothing."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import lax

from gpz_jax.means import Mean
from gpz_jax.training.evaluation import Means
from gpz_jax.training.objective import Objective
from gpz_jax.training.recipe import Recipe, scheduled_rate
from gpz_jax.training.state import Best, FitState, TrainState, update_plateau
from gpz_jax.training.step import Batch, LaneArrays, Shared, Span, train_step


class Epoch(NamedTuple):
  """What all epochs of a cohort have in common."""

  objective: Objective
  recipe: Recipe
  tx: optax.GradientTransformation

  def segment(
    self,
    carry: tuple[tuple[TrainState, Mean], jax.Array, LaneArrays],
    shared: Shared,
    order: jax.Array,
    masks: jax.Array,
    span: Span,
    progress: jax.Array,
  ) -> tuple[TrainState, Mean]:
    """Takes the steps of `span`.

    Args:
      carry: The state and the running loss, the plateau's factor of the learning rate
        [], and the lane's arrays.
      shared: The arrays that all lanes read.
      order: [S, B] int32, the examples of each of the S steps.
      masks: [S, B] float32, as of `Batch`.
      span: Which of these steps are taken, and where they stand in the epoch.
      progress: [] share of the training done when the epoch ends.

    Returns:
      The state and the running loss after these steps.
    """
    running, scale, lane = carry
    epochs, steps = self.recipe.epochs, span.total

    def body(i, running):
      state, total = running
      left = steps - span.before - i
      begun = progress - left / (steps * epochs)  # `progress` is the epoch's end
      learning_rate = scheduled_rate(self.recipe, scale, begun)
      state, loss = train_step(
        self.objective.loss,
        self.tx,
        state,
        lane,
        shared,
        Batch(order[i], masks[i]),
        learning_rate,
        progress,
        self.objective.restrict,
      )
      return state, total.merge(loss)

    # The span is traced, so one compiled program serves segments of all lengths. A
    # scan would need a length that is known when it is compiled.
    return lax.fori_loop(span.start, span.stop, body, running)

  def end(
    self,
    carry: tuple[FitState, Means, LaneArrays],
    epoch: jax.Array,
    progress: jax.Array,
  ) -> tuple[FitState, dict[str, jax.Array]]:
    """Moves the plateau and keeps the variables if they are the best so far.

    Args:
      carry: The states, the means over the held-out examples, and the lane's arrays.
      epoch: [] int32, counted from 1.
      progress: [] share of the training that is done.

    Returns:
      The states and the held-out values by name.
    """
    fit, means, lane = carry
    values = {name: mean.compute() for name, mean in means.items()}
    plateau = update_plateau(
      fit.plateau,
      values[self.objective.plateau_on],
      patience=self.recipe.plateau_patience,
      factor=self.recipe.plateau_factor,
      threshold=self.recipe.plateau_threshold,
    )
    value = values[self.objective.select_on]
    better = (value < fit.best.value) & self.objective.eligible(lane, progress)
    candidate = Best.create(value, epoch, fit.train.variables)
    best = jax.tree.map(
      lambda new, old: jnp.where(better, new, old), candidate, fit.best
    )
    return FitState(fit.train, plateau, best), values
