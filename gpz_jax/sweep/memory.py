"""Where a cohort's activations go, and how many of its lanes at a time."""

import functools
import math
from collections.abc import Iterator, Sequence

import jax.numpy as jnp
import numpy as np

from gpz_jax.attacks.activation import interception
from gpz_jax.attacks.activation.cohorts import AttackLane, cohorts
from gpz_jax.attacks.activation.protocol import Attack
from gpz_jax.defences import cuts
from gpz_jax.partition import PREDICTION
from gpz_jax.sweep.plan import Plan, Shape
from gpz_jax.training import programs
from gpz_jax.training.loop import Trainer


class TooLargeError(Exception):
  """So many lanes do not fit the device; says what they take."""


def budget_bytes(plan: Plan) -> float:
  """Most of the device's memory for activations at a time."""
  return plan.config.cache_budget_gb * 2**30


def lane_chunks(
  plan: Plan, shape: Shape, lanes: Sequence[AttackLane]
) -> Iterator[Sequence[AttackLane]]:
  """Cuts a cohort's lanes so that each part fits the budget."""
  size = max(1, int(budget_bytes(plan) // max(bytes_per_lane(plan, shape), 1)))
  for start in range(0, len(lanes), size):
    yield lanes[start : start + size]


def check_fits(trainer: Trainer) -> None:
  """Raises TooLargeError where the compiled programs say they do not fit the device."""
  peak = trainer.peak_bytes()
  if peak is not None and peak > programs.device_bytes():
    raise TooLargeError(f'{peak / 2**30:.1f} GiB')


def activation_dtype(plan: Plan, shape: Shape) -> np.dtype:
  """What activations are kept in; logits in float32, for their logarithm's sake."""
  may_be_logits = shape == plan.shapes[PREDICTION].shape
  return jnp.dtype('float32' if may_be_logits else plan.config.activation_dtype)


def choose_place(plan: Plan, shape: Shape, num_lanes: int) -> interception.Place:
  """Where the activations of so many lanes of a cohort are kept."""
  if plan.config.cache != 'auto':
    return plan.config.cache
  needed = num_lanes * activation_bytes(plan, shape)
  return interception.choose_place(needed, budget_bytes(plan))


def bytes_per_lane(plan: Plan, shape: Shape) -> int:
  """Bytes one lane of a cohort needs at a time.

  That is its activations, aux and test, and what the hungriest attack needs beside.
  """
  beside = [
    _bytes_beside(attack, shape, plan.task.image_shape)
    for attack, places in plan.attacked.items()
    if any(plan.shapes[split].shape == shape for split in places)
  ]
  return activation_bytes(plan, shape) + max(beside, default=0)


@functools.cache
def _bytes_beside(
  attack: Attack, shape: Shape, image_shape: tuple[int, int, int]
) -> int:
  """Cached, because it traces a network, and every chunk of lanes asks for it."""
  return attack.bytes_per_lane(shape, image_shape)


def activation_bytes(plan: Plan, shape: Shape) -> int:
  """Bytes of one lane's activations, aux and test.

  Where what is sent is drawn, a further draw of aux is kept beside them.
  """
  task, item = plan.task, activation_dtype(plan, shape).itemsize
  texts = {lane.treatment.defence for lane in plan.lanes}
  is_drawn = any(
    cuts.is_drawn(text, plan.model, task.image_shape, split)
    for split in plan.splits
    if plan.shapes[split].shape == shape
    for text in texts
  )
  count = (1 + is_drawn) * len(task.aux) + len(task.test)
  return count * math.prod(shape) * item


def notes(plan: Plan) -> Iterator[str]:
  """A line for each cohort of which a single lane exceeds the budget."""
  budget = budget_bytes(plan)
  for shape in cohorts(plan.shapes, plan.splits):
    needed = bytes_per_lane(plan, shape)
    if needed > budget:
      yield (
        f'note: one lane at {"x".join(map(str, shape))} takes {needed / 2**30:.1f} GiB,'
        f' over --cache_budget_gb={plan.config.cache_budget_gb:g}: it is kept in host'
        ' memory or on disk, which is slower; --activation_dtype=float16, --aux_limit'
        ' and --test_limit make it smaller'
      )
