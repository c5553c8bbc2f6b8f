"""The compiled programs of a search, which take the classes of one chunk at a time."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from gpz_jax import interruption
from gpz_jax.attacks.model.search import Item, Phase, Search, Shared
from gpz_jax.training import lanes as lanes_lib
from gpz_jax.training import programs
from gpz_jax.training.engine import Engine
from gpz_jax.training.segments import Segmenter

HISTORY = 'history/'  # what the names of histories begin with among the results


class ChunkPrograms:
  """A search for C classes of one target at a time.

  The engine's strategy says how classes are computed. By `map` they are taken in turn,
  each by a program that knows of no other: a class has the bits that it has alone. By
  `vmap` the candidates of all classes are one batch, and convolutions stay dense,
  because the classes share the weights of target and generator.

  Attributes:
    traces: How often each phase was traced for its segments.
  """

  def __init__(self, search: Search, engine: Engine):
    self._search = search
    self._phases = [_PhasePrograms(phase, engine) for phase in search.phases]
    self._finish = _over_classes(search.finish, engine)
    self._segmenters = [Segmenter() for _ in search.phases]

  @property
  def traces(self) -> tuple[int, ...]:
    """How often the segment of each phase was traced."""
    return tuple(phase.traces for phase in self._phases)

  def peak_bytes(self) -> int | None:
    """The most memory that a program which has run holds at a time, if it is known."""
    found = [programs.peak_bytes(phase.compiled) for phase in self._phases]
    return max((size for size in found if size is not None), default=None)

  def compile(self, items: Item, shared: Shared) -> None:
    """Compiles the segments of all phases for chunks of these shapes."""
    states = None
    for phase in self._phases:
      states = phase.compile(states, items, shared)

  def run(
    self, items: Item, shared: Shared, tick: Callable[[int], None]
  ) -> dict[str, np.ndarray]:
    """Searches for the C classes of `items`.

    Args:
      items: The classes of one target, with C in front.
      shared: What they share.
      tick: Receives the number of steps that are done.

    Returns:
      What `finish` makes, and the histories as 'history/NAME' [C, steps].

    Raises:
      Interrupted: A signal came.
    """
    states, histories, before = None, {}, 0
    for phase, segmenter in zip(self._phases, self._segmenters, strict=True):
      states, history = phase.begin(states, items, shared)
      for bounds in segmenter.segments(0, phase.steps):
        states, history = jax.block_until_ready(
          phase.compiled(states, history, items, shared, bounds)
        )
        tick(before + int(bounds[1]))
        interruption.check()
      before += phase.steps
      for name, values in history.items():
        histories.setdefault(f'{HISTORY}{name}', []).append(np.asarray(values))
    found = jax.device_get(self._finish((states, items), shared))
    joined = {name: np.concatenate(parts, 1) for name, parts in histories.items()}
    return {name: np.asarray(array) for name, array in found.items()} | joined


class _PhasePrograms:
  """Entering one phase, and any number of its steps."""

  def __init__(self, phase: Phase, engine: Engine):
    self.steps = phase.steps
    self.traces = 0
    self._phase = phase
    self._names: tuple[str, ...] | None = None
    self._enter = phase.enter and _over_classes(phase.enter, engine)
    batched = engine.over_lanes(self._segment)

    def segment(states, history, items, shared, bounds):
      self.traces += 1
      return batched((states, history, items), shared, bounds)

    # The old state is overwritten, so that memory holds it once.
    self._jitted = jax.jit(engine.traced(segment), donate_argnums=(0, 1))
    self.compiled: Any = self._jitted

  def compile(self, states: Any, items: Item, shared: Shared) -> Any:
    """Compiles the steps; takes and returns the shapes of the states."""
    states, history = jax.eval_shape(self.begin, states, items, shared)
    bounds = np.zeros(2, np.int32)
    lowered = self._jitted.lower(states, history, items, shared, bounds)
    self.compiled = lowered.compile()
    return states

  def begin(self, states: Any, items: Item, shared: Shared) -> tuple[Any, Any]:
    """The states [C] that the phase begins with, and its empty history."""
    if self._enter is not None:
      states = self._enter((states, items), shared)

    if self._names is None:
      self._names = self._find_names(states, items, shared)
    shape = (len(items.label), self.steps)
    return states, {name: jnp.zeros(shape, jnp.float32) for name in self._names}

  def _find_names(self, states: Any, items: Item, shared: Shared) -> tuple[str, ...]:
    """The names of the metrics, from a step that is traced and not computed."""

    def metrics(states, items, shared):
      state, item = lanes_lib.take((states, items), 0)
      return self._phase.step(state, item, shared, jnp.int32(0))[1]

    return tuple(jax.eval_shape(metrics, states, items, shared))

  def _segment(self, lane: Any, shared: Shared, bounds: jax.Array) -> Any:
    """Takes the steps bounds[0] .. bounds[1] - 1 for one class."""
    state, history, item = lane

    def body(i, carry):
      state, history = carry
      state, metrics = self._phase.step(state, item, shared, i)
      kept = {name: values.at[i].set(metrics[name]) for name, values in history.items()}
      return state, kept

    # The bounds are traced, so that one program serves segments of all lengths.
    return lax.fori_loop(bounds[0], bounds[1], body, (state, history))


def _over_classes(function: Callable[[Any, Item, Shared], Any], engine: Engine) -> Any:
  """Compiles `function(state, item, shared)` for states and items with C in front."""

  def one(lane, shared):
    state, item = lane
    return function(state, item, shared)

  return jax.jit(engine.traced(engine.over_lanes(one)))
