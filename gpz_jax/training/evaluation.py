"""Means over held-out examples, for many lanes, as compiled segments.

One program takes any number of batches, as in training, so that a large model's
evaluation can be interrupted.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from gpz_jax import interruption
from gpz_jax.data import eval_order
from gpz_jax.training import lanes as lanes_lib
from gpz_jax.training.engine import Engine
from gpz_jax.training.segments import Segmenter
from gpz_jax.types import Mean

Means = dict[str, Mean]


@dataclasses.dataclass(frozen=True)
class Evaluation:
  """What to measure, written for one lane and one batch of held-out examples."""

  # (variables, lane, shared, index [B], mask [B]) -> {name: Mean}
  batch: Callable[..., Means]
  num_examples: int
  batch_size: int


class Evaluator:
  """The compiled program of an evaluation."""

  def __init__(self, evaluation: Evaluation, engine: Engine):
    self.evaluation = evaluation
    self._index, self._masks = eval_order(
      evaluation.num_examples, evaluation.batch_size
    )
    self._segmenter = Segmenter()
    self._names: tuple[str, ...] = ()

    def evaluate(lanes, *shared):
      return engine.over_lanes(self._segment)(lanes, *shared)

    self._lazy = jax.jit(evaluate)
    self._run: Callable[..., Means] = self._lazy

  def compile(self, variables: Any, lanes: Any, shared: Any) -> Any:
    """Compiles for arguments of these shapes ahead of `run`; the program."""
    arguments = (self.nothing(variables, lanes, shared), variables, lanes)
    bounds = np.zeros(2, np.int32)
    lowered = self._lazy.lower(arguments, shared, self._index, self._masks, bounds)
    self._run = lowered.compile()
    return self._run

  def run(
    self,
    variables: Any,
    lanes: Any,
    shared: Any,
    between: Callable[[], None] = interruption.check,
  ) -> Means:
    """On the host, the means [L] over all examples.

    Args:
      variables: [L].
      lanes: a pytree with L in front, or an empty one.
      shared: what all lanes read.
      between: called after each segment; what it raises ends the evaluation.
    """
    means = self.nothing(variables, lanes, shared)
    for bounds in self._segmenter.segments(0, len(self._index)):
      arguments = (means, variables, lanes)
      means = self._run(arguments, shared, self._index, self._masks, bounds)
      means = jax.device_get(means)  # each segment's lie on one device, as the first's
      between()
    return means

  def nothing(self, variables: Any, lanes: Any, shared: Any) -> Means:
    """On the host, the means [L] over no examples yet; shapes will do as arguments."""
    if not self._names:

      def first(variables, lanes, shared):
        lane = lanes_lib.take((variables, lanes), 0)
        return self.evaluation.batch(*lane, shared, self._index[0], self._masks[0])

      self._names = tuple(jax.eval_shape(first, variables, lanes, shared))
    zero = Mean(*jnp.zeros((2, lanes_lib.count(variables))))
    return jax.device_get(dict.fromkeys(self._names, zero))

  def _segment(self, carry, shared, index, masks, bounds) -> Means:
    """Batches bounds[0] .. bounds[1] - 1, for one lane."""
    means, variables, lane = carry

    def body(i, means):
      found = self.evaluation.batch(variables, lane, shared, index[i], masks[i])
      return {name: means[name].merge(found[name]) for name in means}

    return lax.fori_loop(bounds[0], bounds[1], body, means)
