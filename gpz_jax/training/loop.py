"""Epochs of many lanes as compiled segments.

Three programs are compiled for a cohort: `segment`, which takes any number of steps,
the evaluation on held-out data, likewise, and `end_epoch`, which moves the plateau and
keeps the best variables. The host sees one small array per epoch.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from gpz_jax import interruption
from gpz_jax.data import epoch_order
from gpz_jax.training import lanes as lanes_lib
from gpz_jax.training import programs
from gpz_jax.training.engine import Engine
from gpz_jax.training.evaluation import Evaluator
from gpz_jax.training.recipe import Recipe, make_optimizer
from gpz_jax.training.segments import Segmenter
from gpz_jax.training.snapshots import History, Snapshot, Snapshots
from gpz_jax.training.state import Best, FitState, create_fit_state
from gpz_jax.training.step import Lane, Objective, Shared, train_step
from gpz_jax.training.streaming import Stream
from gpz_jax.types import Mean

Values = dict[str, np.ndarray]  # name -> [L], at the end of an epoch
# (steps done, steps in all, the epoch's values or {})
OnProgress = Callable[[int, int, Values], None]


class Trainer:
  """The compiled programs of one cohort."""

  def __init__(self, objective: Objective, recipe: Recipe, engine: Engine):
    self.objective = objective
    self.recipe = recipe
    self.engine = engine
    self.tx = make_optimizer(recipe)
    self.evaluator = Evaluator(objective.evaluation, engine)
    self.traces = 0  # of `segment`; one a cohort
    # What runs once, or once an epoch without the model, costs its compilation most.
    quick = {'xla_backend_optimization_level': 0}
    options = quick if jax.default_backend() == 'cpu' else None
    self._create_one = jax.jit(self._create, compiler_options=options)
    self._stack = jax.jit(
      lambda *states: lanes_lib.stack(states), compiler_options=options
    )

    def end_epoch(states, means, lanes, *shared):
      return engine.over_lanes(self._end_epoch)((states, means, lanes), *shared)

    self.end_epoch = jax.jit(end_epoch, donate_argnums=(0,), compiler_options=options)

    def segment(running, scale, lanes, *shared):
      self.traces += 1
      return engine.over_lanes(self._segment)((running, scale, lanes), *shared)

    self.segment = jax.jit(segment, donate_argnums=(0,))
    self._compiled: dict[str, Any] = {}

  def compile(self, lanes: Lane, shared: Shared, num_examples: int) -> None:
    """Compiles all programs ahead of `fit`, which may be on another thread.

    Args:
      lanes: shapes and dtypes of what `fit` will be given, with L in front.
      shared: likewise.
      num_examples: as `fit` will be given.
    """

    states, loss = self._shapes(lanes['key'])
    batch_size = self.recipe.batch_size
    order, masks = epoch_order(0, 0, num_examples, batch_size)
    bounds = np.zeros(2, np.int32)
    carry = (states.train, loss), states.plateau.scale, lanes
    variables = states.train.variables
    means = self.evaluator.nothing(variables, lanes, shared)
    self._compiled = {
      'segment': self.segment.lower(
        *carry, shared, order, masks, bounds, np.float32(0)
      ).compile(),
      'evaluate': self.evaluator.compile(variables, lanes, shared),
      'end_epoch': self.end_epoch.lower(
        states, means, lanes, np.int32(0), np.float32(0)
      ).compile(),
    }

  def _shapes(self, keys: Any) -> tuple[FitState, Mean]:
    """Of the states and the running loss of lanes with these keys [L]."""

    def one(key):
      return self._create(key), Mean.zero()

    return jax.eval_shape(jax.vmap(one), keys)

  def peak_bytes(self) -> int | None:
    """Most that what was compiled ahead holds at a time; None where unknown."""
    found = [programs.peak_bytes(program) for program in self._compiled.values()]
    return max((size for size in found if size is not None), default=None)

  def create(self, keys: jax.Array) -> FitState:
    """Fresh lanes [L] from their keys [L], each drawn by itself.

    A lane then starts from the same bits whatever runs beside it, and with whatever
    strategy.
    """
    return self._stack(*(self._create_one(key) for key in keys))

  def _create(self, key: jax.Array) -> FitState:
    sample = jnp.zeros((1, *self.objective.sample_shape), jnp.float32)
    key = jax.random.fold_in(key, 0)
    return create_fit_state(key, self.objective.model, sample, self.tx)

  def _segment(self, carry, shared, order, masks, bounds, progress):
    """Steps bounds[0] .. bounds[1] - 1 of an epoch, for one lane."""
    running, scale, lane = carry
    learning_rate = self.recipe.learning_rate * scale

    def body(i, running):
      state, total = running
      batch = (order[i], masks[i])
      state, loss = train_step(
        self.objective, self.tx, state, lane, shared, batch, learning_rate, progress
      )
      return state, total.merge(loss)

    return lax.fori_loop(bounds[0], bounds[1], body, running)

  def _end_epoch(self, carry, epoch, progress):
    """Plateau and choice of the best epoch, for one lane."""
    fit, means, lane = carry
    values = {name: mean.compute() for name, mean in means.items()}
    plateau = fit.plateau.update(
      values[self.objective.plateau_on],
      patience=self.recipe.plateau_patience,
      factor=self.recipe.plateau_factor,
      threshold=self.recipe.plateau_threshold,
    )
    value = values[self.objective.select_on]
    better = (value < fit.best.value) & self.objective.eligible(lane, progress)
    candidate = Best(value, epoch, fit.train.params, fit.train.batch_stats)
    best = jax.tree.map(
      lambda new, old: jnp.where(better, new, old), candidate, fit.best
    )
    return FitState(fit.train, plateau, best), values

  def fit(
    self,
    lanes: Lane,
    shared: Shared,
    *,
    num_examples: int,
    order_seed: int,
    on_progress: OnProgress = lambda done, total, values: None,
    snapshots: Snapshots | None = None,
    each_epoch: Callable[[int, FitState], None] = lambda epoch, states: None,
  ) -> tuple[FitState, History]:
    """Trains all lanes for the recipe's epochs, or what a kept snapshot lacks of them.

    Args:
      lanes: a pytree with L in front; holds 'key', the lanes' random keys.
      shared: what all lanes read.
      num_examples: N, in the training subset; batches index into it.
      order_seed: of the order of examples, the same for all lanes.
      on_progress: called after each segment with the steps done, the steps in all and,
        at the end of an epoch, its values [L] (else nothing).
      snapshots: where snapshots are kept; None where the training cannot be resumed.
      each_epoch: called with the number of each epoch, from 1, and the states after it.

    Returns:
      The final states [L] and the values of every epoch, name -> [epochs, L].

    Raises:
      Interrupted: a signal came; a snapshot was saved to `snapshots`.
    """
    wanted = lanes_lib.count(lanes)
    epochs, batch_size = self.recipe.epochs, self.recipe.batch_size
    stream = Stream(lanes, shared, batch_size, self.engine.devices)
    segment = self._compiled.get('segment', self.segment)
    end_epoch = self._compiled.get('end_epoch', self.end_epoch)
    steps = -(-num_examples // batch_size)
    segmenter = Segmenter(stream.most_steps)
    states, loss, first, begun, history = self._begin(lanes['key'], snapshots)
    kept = first, begun

    def keep_if_due(states: FitState, loss: Mean, epoch: int, step: int) -> None:
      nonlocal kept
      is_over = interruption.requested()  # looked at once: what is raised is saved
      is_new = (epoch, step) != kept  # an evaluation takes no steps
      if snapshots is not None and is_new and (is_over or snapshots.is_due()):
        some, total = lanes_lib.take((states, loss), slice(wanted))
        snapshots.save(Snapshot(some, total, epoch, step, _stack(history)))
        kept = epoch, step
      if is_over:
        interruption.check()

    for epoch in range(first, epochs):
      order, masks = epoch_order(order_seed, epoch, num_examples, batch_size)
      progress = np.float32((epoch + 1) / epochs)
      for bounds in segmenter.segments(begun, steps):
        train, loss = segment(
          (states.train, loss),
          states.plateau.scale,
          *stream.segment(order, masks, bounds),
          progress,
        )
        states = states.replace(train=jax.block_until_ready(train))
        on_progress(epoch * steps + int(bounds[1]), epochs * steps, {})
        keep_if_due(states, loss, epoch, int(bounds[1]))
      means = self.evaluator.run(
        states.train.variables,
        stream.lanes,
        stream.shared,
        functools.partial(keep_if_due, states, loss, epoch, steps),
      )
      states, values = end_epoch(
        states, means, stream.lanes, np.int32(epoch + 1), progress
      )
      values = jax.device_get(values | {'loss': loss.compute()})
      history.append({name: value[:wanted] for name, value in values.items()})
      loss, begun = Mean(*jnp.zeros((2, stream.num_lanes))), 0
      on_progress((epoch + 1) * steps, epochs * steps, history[-1])
      each_epoch(epoch + 1, states)
    if wanted < stream.num_lanes:
      states = lanes_lib.take(states, slice(wanted))
    return states, _stack(history)

  def _begin(self, keys: jax.Array, snapshots: Snapshots | None):
    """States and loss of all lanes, padded; epochs and steps done; values of epochs."""
    snapshot = snapshots.load(self._shapes(keys)) if snapshots is not None else None
    if snapshot is None:
      keys = lanes_lib.pad(keys, self.engine.devices)
      return self.create(keys), Mean(*jnp.zeros((2, len(keys)))), 0, 0, []
    arrays = jax.device_put((snapshot.states, snapshot.loss))
    states, loss = lanes_lib.pad(arrays, self.engine.devices)
    names = snapshot.history
    history = [{name: names[name][i] for name in names} for i in range(snapshot.epoch)]
    return states, loss, snapshot.epoch, snapshot.step, history


def _stack(history: list[Values]) -> History:
  """Values of each epoch -> name -> [epochs, L]."""
  names = history[0] if history else ()
  return {name: np.stack([values[name] for values in history]) for name in names}
