"""What a sweep costs by its arithmetic, before anything is trained."""

import pytest
import tiny

from gpz_jax import sweep
from gpz_jax.sweep import estimate


def test_the_arithmetic_is_that_of_the_plan(tmp_path):
  plan = sweep.make_plan(
    tiny.sweep_config(
      tmp_path / 'big',
      splits=('conv_2', 'conv_3'),
      seeds=(0, 1),
      attack=('inversion', 'rmle'),
    )
  )
  costs = {cost.what: cost.flops for cost in estimate.estimate(plan)}
  at = plan.costs['intact']
  whole = at['conv_2']['edge_flops'] / at['conv_2']['edge_flops_share']
  # By hand: 2 seeds, forward and twice as much backward, 16 images, 1 epoch.
  assert costs['targets'] == pytest.approx(2 * 3 * 16 * whole)
  # 20 aux and 8 test images through each edge, for each seed.
  edges = at['conv_2']['edge_flops'] + at['conv_3']['edge_flops']
  assert costs['activations'] == 2 * 28 * edges
  assert sum(flops is None for flops in costs.values()) == 2  # searches
