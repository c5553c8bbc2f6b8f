"""Means over held-out examples, for many lanes, as compiled segments.

One program takes any number of batches, as in training, so that a large model's
evaluation can be interrupted.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from gpz_jax import interruption
from gpz_jax.data import eval_order
from gpz_jax.means import Mean
from gpz_jax.training import compiling
from gpz_jax.training import lanes as lanes_lib
from gpz_jax.training.engine import Engine
from gpz_jax.training.segments import Segmenter
from gpz_jax.training.step import Batch, LaneArrays, Shared

Means = dict[str, Mean]
HELD_OUT = 'held_out'  # the entry of lanes, and of what they share, that is evaluated


class EvalFn(Protocol):
  """What is measured of one lane on one batch."""

  def __call__(
    self,
    variables: dict[str, Any],
    lane: LaneArrays,
    shared: Shared,
    batch: Batch,
    /,
  ) -> Means:
    """Measures the lane as it is used, and not in training mode.

    Args:
      variables: What `model.apply` takes.
      lane: The lane's own arrays.
      shared: The arrays that all lanes read.
      batch: The examples, which are looked up in `lane` or `shared`.

    Returns:
      Means [] over the examples whose mask is 1, by name.
    """
    ...


@dataclasses.dataclass(frozen=True)
class Evaluation:
  """What to measure, and on how many held-out examples.

  Attributes:
    batch: Measures one lane on one batch.
    num_examples: N, the size of the held-out subset.
    batch_size: B, the examples of each batch.
  """

  batch: EvalFn
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

    self._lazy = jax.jit(evaluate, compiler_options=compiling.brief_options())
    self._run: Callable[..., Means] = self._lazy

  def compile(self, variables: Any, lanes: LaneArrays, shared: Shared) -> Any:
    """Compiles for arguments of these shapes ahead of `run`; returns the program."""
    arguments = (self.empty_means(variables, lanes, shared), variables, lanes)
    bounds = np.zeros(2, np.int32)
    lowered = self._lazy.lower(arguments, shared, self._index, self._masks, bounds)
    self._run = lowered.compile()
    return self._run

  def run(
    self,
    variables: Any,
    lanes: LaneArrays,
    shared: Shared,
    between: Callable[[], None] = interruption.check,
  ) -> Means:
    """Computes the means [L] over all held-out examples, on the host.

    Args:
      variables: The variables of the lanes, with L in front.
      lanes: Arrays with L in front; {} where lanes have none of their own.
      shared: The arrays that all lanes read.
      between: Called after each segment; what it raises ends the evaluation.
    """
    lanes_lib.count((variables, lanes))  # refuses where they are not as many
    lanes_lib.check_subset(lanes, shared, HELD_OUT, self.evaluation.num_examples)
    means = self.empty_means(variables, lanes, shared)
    for bounds in self._segmenter.segments(0, len(self._index)):
      arguments = (means, variables, lanes)
      means = self._run(arguments, shared, self._index, self._masks, bounds)
      # A segment over several devices leaves its means spread over them, but the first
      # one got means from the host. Fetched, they lie alike for every segment, and one
      # compiled program takes them all.
      means = jax.device_get(means)
      between()
    return means

  def empty_means(self, variables: Any, lanes: LaneArrays, shared: Shared) -> Means:
    """The means [L] over no examples yet, on the host.

    Args:
      variables: What `run` will be given; shapes and dtypes will do.
      lanes: What `run` will be given; shapes and dtypes will do.
      shared: What `run` will be given; shapes and dtypes will do.
    """
    if not self._names:  # only a trace tells what is measured

      def first(variables, lanes, shared):
        variables, lane = lanes_lib.take((variables, lanes), 0)
        batch = Batch(self._index[0], self._masks[0])
        return self.evaluation.batch(variables, lane, shared, batch)

      self._names = tuple(jax.eval_shape(first, variables, lanes, shared))
    zero = Mean(*jnp.zeros((2, lanes_lib.count(variables))))
    return jax.device_get(dict.fromkeys(self._names, zero))

  def _segment(self, carry, shared, index, masks, bounds) -> Means:
    """Evaluates batches bounds[0] .. bounds[1] - 1, for one lane."""
    means, variables, lane = carry

    def body(i, means):
      batch = Batch(index[i], masks[i])
      found = self.evaluation.batch(variables, lane, shared, batch)
      return {name: means[name].merge(found[name]) for name in means}

    return lax.fori_loop(bounds[0], bounds[1], body, means)
