"""What is trained, and what its epochs are judged by."""

import dataclasses
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from gpz_jax.training.evaluation import Evaluation
from gpz_jax.training.step import LaneArrays, LossFn


def _always(lane: LaneArrays, progress: jax.Array) -> jax.Array:
  """Lets every epoch be chosen."""
  del lane, progress
  return jnp.ones((), bool)


@dataclasses.dataclass(frozen=True)
class Objective:
  """What to train, written for one lane.

  Attributes:
    model: The module whose parameters are trained.
    sample_shape: The shape of one input, without the batch.
    loss: What each step descends on.
    evaluation: What is measured on held-out examples at the end of each epoch.
    plateau_on: The name of the mean that the learning rate follows; lower is better.
    select_on: The name of the mean that chooses the best epoch; lower is better.
    eligible: Whether an epoch may be chosen: the lane's arrays and the progress [] at
      its end give a [] bool.
    restrict: What a step may do to the parameters: the lane's arrays and the updates
      give the updates that are made. None makes all of them.
  """

  model: nn.Module
  sample_shape: tuple[int, ...]
  loss: LossFn
  evaluation: Evaluation
  plateau_on: str
  select_on: str
  eligible: Callable[[LaneArrays, jax.Array], jax.Array] = _always
  restrict: Callable[[LaneArrays, Any], Any] | None = None
