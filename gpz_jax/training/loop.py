"""Epochs of many lanes as compiled segments.

Three programs are compiled for a cohort. `segment` takes any number of steps, the
evaluation takes any number of held-out batches, and `end_epoch` moves the plateau and
keeps the best variables. The host sees one small array per epoch.
"""

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np

from gpz_jax import interruption, jaxpr_costs
from gpz_jax.data import epoch_order
from gpz_jax.means import Mean
from gpz_jax.training import compiling, programs
from gpz_jax.training import lanes as lanes_lib
from gpz_jax.training.engine import Engine
from gpz_jax.training.epoch import Epoch
from gpz_jax.training.evaluation import Evaluator
from gpz_jax.training.objective import Objective
from gpz_jax.training.recipe import Recipe, make_optimizer
from gpz_jax.training.segments import Segmenter
from gpz_jax.training.snapshots import (
  History,
  Running,
  Snapshots,
  Values,
  join,
  separate,
)
from gpz_jax.training.state import FitState, create_fit_state
from gpz_jax.training.step import LaneArrays, Shared, Span
from gpz_jax.training.streaming import STREAMED, Stream

# (steps done, steps in all, the epoch's values at its end and {} before)
OnProgress = Callable[[int, int, Values], None]
# (seed, epoch, number of examples, batch size) -> index and mask [S, B]
MakeOrder = Callable[[int, int, int, int], tuple[np.ndarray, np.ndarray]]


@contextlib.contextmanager
def unwatched(name: str) -> Iterator[OnProgress]:
  """A phase whose progress nobody watches, the default of an attack's scenario."""
  del name
  yield lambda done, total, values: None


class Trainer:
  """The compiled programs of one cohort."""

  def __init__(
    self,
    objective: Objective,
    recipe: Recipe,
    engine: Engine,
    *,
    initial: dict[str, Any] | None = None,
  ):
    self.initial = initial or {}  # what all lanes begin with instead of drawn values
    self.objective = objective
    self.recipe = recipe
    self.engine = engine
    self.tx = make_optimizer(recipe)
    self._epoch = Epoch(objective, recipe, self.tx)
    self.evaluator = Evaluator(objective.evaluation, engine)
    self.traces = 0  # how often `segment` was traced; once for a cohort
    # For programs that run once, or once per epoch without the model, compilation
    # takes longer than they run. On CPU they are therefore not optimised.
    quick = {'xla_backend_optimization_level': 0}
    options = quick if jax.default_backend() == 'cpu' else None
    self._create_one = jax.jit(self._create, compiler_options=options)
    self._stack = jax.jit(
      lambda *states: lanes_lib.stack(states), compiler_options=options
    )

    def end_epoch(states, means, lanes, *shared):
      return engine.over_lanes(self._epoch.end)((states, means, lanes), *shared)

    # States are donated: a program writes the new ones over the old, so that a cohort
    # needs the memory of its states once and not twice.
    self.end_epoch = jax.jit(end_epoch, donate_argnums=(0,), compiler_options=options)

    def segment(running, scale, lanes, *shared):
      self.traces += 1
      return engine.over_lanes(self._epoch.segment)((running, scale, lanes), *shared)

    self._traced = segment
    self.segment: Any = None  # not before it is known how much it will do
    self._compiled: dict[str, Any] = {}

  def compile(self, lanes: LaneArrays, shared: Shared, num_examples: int) -> None:
    """Compiles all programs ahead of `fit`, which may be on another thread.

    Args:
      lanes: What `fit` will be given; shapes and dtypes will do.
      shared: What `fit` will be given; shapes and dtypes will do.
      num_examples: What `fit` will be given.
    """
    _check_arguments(lanes, shared, num_examples)
    states, loss = self._shapes(lanes['key'])
    order, masks = epoch_order(0, 0, num_examples, self.recipe.batch_size)
    span = Span(*np.zeros(4, np.int32))
    carry = (states.train, loss), states.plateau.scale, lanes
    variables = states.train.variables
    means = self.evaluator.empty_means(variables, lanes, shared)
    arguments = *carry, shared, order, masks, span, np.float32(0)
    segment = self.make_segment(num_examples, *arguments)
    self.segment = segment.lower(*arguments).compile()
    self._compiled = {
      'segment': self.segment,
      'evaluate': self.evaluator.compile(variables, lanes, shared),
      'end_epoch': self.end_epoch.lower(
        states, means, lanes, np.int32(0), np.float32(0)
      ).compile(),
    }

  def make_segment(self, num_examples: int, *arguments: Any) -> Any:
    """The program of a segment, optimised as far as the whole training is worth it.

    Args:
      num_examples: What `fit` will be given.
      *arguments: What the program will be given; shapes and dtypes will do.

    Returns:
      A jitted function. Making it traces the segment once, and JAX keeps the trace.
    """
    program = functools.partial(jax.jit, self._traced, donate_argnums=(0,))
    traced = program().trace(*arguments)
    lanes = lanes_lib.count(arguments[2]) // self.engine.devices
    steps = self.recipe.epochs * -(-num_examples // self.recipe.batch_size)
    flops = jaxpr_costs.jaxpr_flops(traced.jaxpr) / lanes * steps
    return program(compiler_options=compiling.options_for(flops))

  def _shapes(self, keys: Any) -> tuple[FitState, Mean]:
    """The shapes of the states and of the running loss of lanes with keys [L]."""

    def one(key):
      return self._create(key), Mean.zero()

    return jax.eval_shape(jax.vmap(one), keys)

  def peak_bytes(self) -> int | None:
    """The most memory a program compiled ahead holds at a time; None if unknown."""
    found = [programs.peak_bytes(program) for program in self._compiled.values()]
    return max((size for size in found if size is not None), default=None)

  def create(self, keys: jax.Array) -> FitState:
    """Creates fresh lanes [L] from their keys [L].

    They are created one by one, because a batched program may round differently. A
    lane then starts from the same bits whatever runs beside it, by every strategy.
    """
    return self._stack(*(self._create_one(key, self.initial) for key in keys))

  def _create(self, key: jax.Array, initial: dict[str, Any] | None = None) -> FitState:
    sample = jnp.zeros((1, *self.objective.sample_shape), jnp.float32)
    key = jax.random.fold_in(key, 0)
    return create_fit_state(key, self.objective.model, sample, self.tx, initial)

  def fit(
    self,
    lanes: LaneArrays,
    shared: Shared,
    *,
    num_examples: int,
    order_seed: int,
    on_progress: OnProgress = lambda done, total, values: None,
    snapshots: Snapshots | None = None,
    each_epoch: Callable[[int, FitState], None] = lambda epoch, states: None,
    make_order: MakeOrder = epoch_order,
    renew: Callable[[int], Any] | None = None,
  ) -> tuple[FitState, History]:
    """Trains all lanes to the end of the recipe's epochs, from a snapshot if any.

    Args:
      lanes: Arrays with L in front, among them 'key', the lanes' random keys [L].
      shared: The arrays that all lanes read.
      num_examples: N, the size of the training subset that batches index into.
      order_seed: The seed of the order of examples, which all lanes share.
      on_progress: Called after each segment with the steps done, the steps in all and
        {}; at the end of an epoch with its values [L] instead of {}.
      snapshots: Where snapshots are kept; without it, nothing can be resumed.
      each_epoch: Called after each epoch with its number, from 1, and the states.
      make_order: Makes the batches of an epoch; `data.epoch_order` takes each example
        once.
      renew: Makes the lanes' entry 'train' for an epoch, from 1 on; they begin with
        what `lanes` has. None keeps that for all epochs.

    Returns:
      The final states [L] and the values of every epoch, name -> [epochs, L].

    Raises:
      Interrupted: A signal came; a snapshot was saved to `snapshots`.
    """
    _check_arguments(lanes, shared, num_examples)
    epochs, batch_size = self.recipe.epochs, self.recipe.batch_size
    stream = Stream(lanes, shared, batch_size, self.engine.devices)
    segmenter = Segmenter(stream.most_steps)
    running = self._begin(lanes['key'], snapshots)
    for epoch in range(running.epoch, epochs):
      if renew is not None and epoch > 0:
        _renew(running, stream, functools.partial(renew, epoch))
      # The last batch is filled with examples that its mask leaves out of the loss: all
      # steps then have one shape, and batch statistics see real images only.
      order, masks = make_order(order_seed, epoch, num_examples, batch_size)
      steps, progress = len(order), np.float32((epoch + 1) / epochs)
      for bounds in segmenter.segments(running.step, steps):
        given = stream.segment(order, masks, bounds)
        self._run_segment(running, given, progress, num_examples)
        running.step = int(bounds[1])
        on_progress(epoch * steps + running.step, epochs * steps, {})
        running.keep_if_due()
      self._finish_epoch(running, stream, progress)
      on_progress((epoch + 1) * steps, epochs * steps, running.epochs[-1])
      each_epoch(epoch + 1, running.states)
    states = running.states
    if running.num_lanes < stream.num_lanes:
      states = lanes_lib.take(states, slice(running.num_lanes))
    return states, join(running.epochs)

  def _begin(self, keys: jax.Array, snapshots: Snapshots | None) -> Running:
    """The training as it was kept, or a fresh one, placed as the stream's lanes are."""
    num_lanes, devices = len(keys), self.engine.devices
    snapshot = snapshots.load(self._shapes(keys)) if snapshots is not None else None
    if snapshot is None:
      states = lanes_lib.place(self.create(lanes_lib.pad(keys, devices)), devices)
      loss = _no_loss(lanes_lib.count(states), devices)
      return Running(states, loss, 0, 0, [], num_lanes, snapshots)
    arrays = jax.device_put((snapshot.states, snapshot.loss))
    states, loss = lanes_lib.place(arrays, devices)
    epochs = separate(snapshot.history, snapshot.epoch)
    return Running(
      states, loss, snapshot.epoch, snapshot.step, epochs, num_lanes, snapshots
    )

  def _run_segment(
    self, running: Running, given: Any, progress: Any, num_examples: int
  ) -> None:
    """Takes the steps of one segment and waits for them, as the host times them."""
    carry = (running.states.train, running.loss), running.states.plateau.scale
    arguments = *carry, *given, progress
    if self.segment is None:
      self.segment = self.make_segment(num_examples, *arguments)
    train, running.loss = self.segment(*arguments)
    running.states = running.states.replace(train=jax.block_until_ready(train))

  def _finish_epoch(self, running: Running, stream: Stream, progress: Any) -> None:
    """Evaluates the lanes, moves the plateau and notes the epoch's values."""
    means = self.evaluator.run(
      running.states.train.variables, stream.lanes, stream.shared, running.keep_if_due
    )
    end_epoch = self._compiled.get('end_epoch', self.end_epoch)
    running.states, values = end_epoch(
      running.states, means, stream.lanes, np.int32(running.epoch + 1), progress
    )
    values = jax.device_get(values | {'loss': running.loss.compute()})
    running.epochs.append(
      {name: value[: running.num_lanes] for name, value in values.items()}
    )
    running.epoch, running.step = running.epoch + 1, 0
    running.loss = _no_loss(stream.num_lanes, self.engine.devices)


def _renew(running: Running, stream: Stream, make: Callable[[], Any]) -> None:
  """Replaces the rows that are trained on; a signal meanwhile loses no epoch."""
  try:
    stream.renew(make)
  except interruption.Interrupted:
    running.keep_if_due()
    raise


def _no_loss(num_lanes: int, devices: int) -> Mean:
  """The loss [L] of an epoch that has not begun, where the lanes are."""
  return lanes_lib.place(Mean(*jnp.zeros((2, num_lanes))), devices)


def _check_arguments(lanes: LaneArrays, shared: Shared, num_examples: int) -> None:
  """Refuses arrays whose lanes or training examples are not as many as is said."""
  for name, arrays in lanes.items():
    for leaf in jax.tree.leaves(arrays):
      message = f"lanes['{name}'] must have as many lanes in front as lanes['key']"
      chex.assert_shape(leaf, (len(lanes['key']), ...), custom_message=message)
  lanes_lib.check_subset(lanes, shared, STREAMED, num_examples)
