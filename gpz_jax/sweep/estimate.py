"""What a sweep computes, in floating-point operations."""

from collections.abc import Iterator

import jax
import jax.numpy as jnp

from gpz_jax import jaxpr_costs
from gpz_jax.attacks.activation.cohorts import cohorts, subsets
from gpz_jax.attacks.activation.protocol import Network
from gpz_jax.study.estimates import TRAINING, Cost
from gpz_jax.sweep.plan import Plan

# What `estimate` leaves out.
UNCOUNTED = 'Evaluation, compiling and the theory'


def estimate(plan: Plan) -> list[Cost]:
  """What targets, activations and decoders cost, over all lanes."""
  return [*_targets(plan), *_activations(plan), *_decoders(plan)]


def _targets(plan: Plan) -> Iterator[Cost]:
  if plan.weights is not None or plan.config.targets_from is not None:
    return
  recipe = plan.config.make_target_recipe()
  flops = [_forward(plan, lane.treatment.skips) for lane in plan.lanes]
  images = TRAINING * len(plan.task.train) * recipe.epochs
  yield Cost('targets', sum(flops) * images)


def _forward(plan: Plan, skips: str) -> float:
  """Operations of a target's forward pass for one image."""
  split = plan.costs[skips][plan.splits[-1]]
  return split['edge_flops'] / split['edge_flops_share']


def _activations(plan: Plan) -> Iterator[Cost]:
  images = len(plan.task.aux) + len(plan.task.test)
  edge = sum(
    plan.costs[lane.treatment.skips][split]['edge_flops']
    for lane in plan.lanes
    for split in plan.splits
  )
  yield Cost('activations', edge * images)


def _decoders(plan: Plan) -> Iterator[Cost]:
  recipe = plan.config.make_decoder_recipe()
  train, _ = subsets(plan.task, plan.config.selection)
  images = TRAINING * len(train) * recipe.epochs
  for attack, places in plan.attacked.items():
    for shape, splits in cohorts(plan.shapes, places).items():
      network = attack.make_network(shape, plan.task.image_shape)
      what = f'{"x".join(map(str, shape))} {attack.text}'
      lanes = len(splits) * len(plan.lanes)
      flops = network and _count(network) * images * lanes
      yield Cost(what, flops)


def _count(network: Network) -> float:
  """Operations of a decoder's forward pass for one activation."""
  example = jax.ShapeDtypeStruct((1, *network.input_shape), jnp.float32)
  variables = jax.eval_shape(network.module.init, jax.random.key(0), example)

  def apply(variables, activations):
    return network.module.apply(variables, activations, train=False)

  return jaxpr_costs.count_flops(apply, variables, example)
