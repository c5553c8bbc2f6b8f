"""Where a cohort's activations go, and how many of its lanes at a time."""

import functools
import math
from collections.abc import Iterator

import jax
import jax.numpy as jnp

from gpz_jax.attacks import capture, inputs, inversion
from gpz_jax.attacks.specs import DecoderAttack
from gpz_jax.sweep.plan import Plan, Shape


def budget_bytes(plan: Plan) -> float:
  """Most of the device's memory for activations at a time."""
  return plan.config.cache_budget_gb * 2**30


def choose_place(plan: Plan, shape: Shape, num_lanes: int) -> capture.Place:
  """Where the activations of so many lanes of a cohort are kept."""
  if plan.config.cache != 'auto':
    return plan.config.cache
  needed = num_lanes * activation_bytes(plan, shape)
  return capture.choose_place(needed, budget_bytes(plan))


def bytes_per_lane(plan: Plan, shape: Shape) -> int:
  """Bytes one lane of a cohort needs at a time.

  Its activations, aux and test, and the largest decoder that attacks it: parameters,
  gradient, three moments and the best so far.
  """
  decoders = [
    _decoder_parameters(attack, shape, plan.task.image_shape)
    for attack, places in plan.attacked.items()
    if isinstance(attack, DecoderAttack)
    and any(plan.shapes[split].shape == shape for split in places)
  ]
  return activation_bytes(plan, shape) + 6 * 4 * max(decoders, default=0)


def activation_bytes(plan: Plan, shape: Shape) -> int:
  """Bytes of one lane's activations, aux and test."""
  item = jnp.dtype(plan.config.activation_dtype).itemsize
  return (len(plan.task.aux) + len(plan.task.test)) * math.prod(shape) * item


@functools.cache
def _decoder_parameters(
  attack: DecoderAttack, shape: Shape, image_shape: tuple[int, int, int]
) -> int:
  decoder = attack.make(shape, image_shape)
  example = jax.ShapeDtypeStruct((1, *inputs.shape(attack.input, shape)), jnp.float32)
  variables = jax.eval_shape(decoder.init, jax.random.key(0), example)
  return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(variables['params']))


def notes(plan: Plan) -> Iterator[str]:
  """A line for each cohort of which a single lane exceeds the budget."""
  budget = budget_bytes(plan)
  for shape in inversion.cohorts(plan.shapes, plan.splits):
    needed = bytes_per_lane(plan, shape)
    if needed > budget:
      yield (
        f'note: one lane at {"x".join(map(str, shape))} takes {needed / 2**30:.1f} GiB,'
        f' over --cache_budget_gb={plan.config.cache_budget_gb:g}: it is kept in host'
        ' memory or on disk, which is slower; --activation_dtype=float16, --aux_limit'
        ' and --test_limit make it smaller'
      )
