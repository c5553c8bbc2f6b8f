"""Epochs of many lanes as compiled segments.

Two programs are compiled for a cohort: `segment`, which takes any number of steps, and
`end_epoch`, which evaluates on held-out data, moves the plateau and keeps the best
variables. The host sees one small array per epoch.
"""

import dataclasses
import time
from collections.abc import Callable, Iterator
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax

from gpz_jax.data import epoch_order
from gpz_jax.training import lanes as lanes_lib
from gpz_jax.training import programs
from gpz_jax.training.engine import Engine
from gpz_jax.training.feed import Feed
from gpz_jax.training.recipe import Recipe, make_optimizer
from gpz_jax.training.state import Best, FitState, TrainState, create_fit_state
from gpz_jax.types import Mean

SEGMENT_SECONDS = 5.0  # how long the host waits at most before it looks up
Lane = dict[str, Any]  # a lane's own numbers and arrays, and 'key', its random key
Shared = Any
Values = dict[str, np.ndarray]  # name -> [L], at the end of an epoch
History = dict[str, np.ndarray]  # name -> [epochs, L]
Report = Callable[[int, int, Values], None]  # steps done, steps in all, values or {}


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
  # (variables, lane, shared) -> {name: Mean} over all held-out examples
  evaluate: Callable[..., dict[str, Mean]]
  plateau_on: str  # names in what `evaluate` returns; lower is better
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
  alive = state.alive & finite
  kept = jax.tree.map(lambda new, old: jnp.where(alive, new, old), proposed, state)
  examples = jnp.sum(mask)
  return kept.replace(alive=alive), Mean(loss * examples, examples)


class Trainer:
  """The compiled programs of one cohort."""

  def __init__(self, objective: Objective, recipe: Recipe, engine: Engine):
    self.objective = objective
    self.recipe = recipe
    self.engine = engine
    self.tx = make_optimizer(recipe)
    self.traces = 0  # of `segment`; one a cohort
    # Drawing the parameters runs once: what it costs is its compilation.
    quick = {'xla_backend_optimization_level': 0}
    options = quick if jax.default_backend() == 'cpu' else None
    self._create_one = jax.jit(self._create, compiler_options=options)
    self._stack = jax.jit(lambda *states: lanes_lib.stack(states))

    def end_epoch(states, lanes, *shared):
      return engine.over_lanes(self._end_epoch)((states, lanes), *shared)

    self.end_epoch = jax.jit(end_epoch, donate_argnums=(0,))

    def segment(running, scale, lanes, *shared):
      self.traces += 1
      return engine.over_lanes(self._segment)((running, scale, lanes), *shared)

    self.segment = jax.jit(segment, donate_argnums=(0,))
    self._compiled: dict[str, Any] = {}

  def compile(self, lanes: Lane, shared: Shared, num_examples: int) -> None:
    """Compiles both programs ahead of `fit`, which may be on another thread.

    Args:
      lanes: shapes and dtypes of what `fit` will be given, with L in front.
      shared: likewise.
      num_examples: as `fit` will be given.
    """

    def state(key):
      return self._create(key), Mean(*jnp.zeros((2,)))

    states, loss = jax.eval_shape(jax.vmap(state), lanes['key'])
    batch_size = self.recipe.batch_size
    order, masks = epoch_order(0, 0, num_examples, batch_size)
    bounds = np.zeros(2, np.int32)
    carry = (states.train, loss), states.plateau.scale, lanes
    self._compiled = {
      'segment': self.segment.lower(
        *carry, shared, order, masks, bounds, np.float32(0)
      ).compile(),
      'end_epoch': self.end_epoch.lower(
        states, lanes, shared, np.int32(0), np.float32(0)
      ).compile(),
    }

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

  def _end_epoch(self, carry, shared, epoch, progress):
    """Held-out evaluation, plateau and choice of the best epoch, for one lane."""
    fit, lane = carry
    means = self.objective.evaluate(fit.train.variables, lane, shared)
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
    report: Report = lambda done, total, values: None,
  ) -> tuple[FitState, History]:
    """Trains all lanes for the recipe's epochs.

    Args:
      lanes: a pytree with L in front; holds 'key', the lanes' random keys.
      shared: what all lanes read.
      num_examples: N, in the training subset; batches index into it.
      order_seed: of the order of examples, the same for all lanes.
      report: called after each segment with the steps done, the steps in all, and, at
        the end of an epoch, its values [L] (else nothing).

    Returns:
      The final states [L] and the values of every epoch, name -> [epochs, L].
    """
    wanted = lanes_lib.count(lanes)
    epochs, batch_size = self.recipe.epochs, self.recipe.batch_size
    feed = Feed(lanes, shared, batch_size, self.engine.devices)
    states = self.create(feed.lanes['key'])
    segment = self._compiled.get('segment', self.segment)
    end_epoch = self._compiled.get('end_epoch', self.end_epoch)
    steps = -(-num_examples // batch_size)
    pace = _Pace(feed.most_steps)
    history = []
    for epoch in range(epochs):
      order, masks = epoch_order(order_seed, epoch, num_examples, batch_size)
      progress = np.float32((epoch + 1) / epochs)
      loss = Mean(*jnp.zeros((2, feed.num_lanes)))
      running, scale = (states.train, loss), states.plateau.scale
      for bounds in pace.segments(steps):
        running = segment(running, scale, *feed.segment(order, masks, bounds), progress)
        jax.block_until_ready(running)
        report(epoch * steps + int(bounds[1]), epochs * steps, {})
      states = states.replace(train=running[0])
      states, values = end_epoch(
        states, feed.lanes, feed.shared, np.int32(epoch + 1), progress
      )
      values = jax.device_get(values | {'loss': running[1].compute()})
      history.append({name: value[:wanted] for name, value in values.items()})
      report((epoch + 1) * steps, epochs * steps, history[-1])
    if wanted < feed.num_lanes:
      states = lanes_lib.take(states, slice(wanted))
    return states, {name: np.stack([h[name] for h in history]) for name in history[0]}


class _Pace:
  """Cuts epochs into segments that take about SEGMENT_SECONDS.

  Where a segment ends does not change what is computed, so wall-clock may decide.
  """

  def __init__(self, most: int):
    self.steps = 1
    self.most = most

  def segments(self, steps: int) -> Iterator[np.ndarray]:
    """Yields [start, stop] int32 until all `steps` of an epoch are covered."""
    start = 0
    while start < steps:
      stop = min(start + self.steps, steps)
      began = time.perf_counter()
      yield np.array([start, stop], np.int32)
      seconds = time.perf_counter() - began
      rate = (stop - start) / max(seconds, 1e-9)  # the compile makes the first one slow
      wanted = min(int(rate * SEGMENT_SECONDS), 4 * self.steps, self.most)
      self.steps = max(1, wanted)
      start = stop
