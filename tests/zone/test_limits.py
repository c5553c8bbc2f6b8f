"""Which candidate is nearest to limits that none keeps."""

import pytest

from gpz_jax.types import Treatment
from gpz_jax.zone.candidates import Candidate
from gpz_jax.zone.limits import make_limits, nearest_candidate

LIMITS = make_limits({'max_edge_params': 100, 'max_payload_bytes': 100})


def make_candidate(params: int, payload: int, flops: int = 0, mse: float = 0.1):
  """A candidate of these costs."""
  return Candidate(
    split='conv_1',
    split_index=0,
    treatment=Treatment(),
    test_mse=mse,
    test_psnr=10.0,
    target_accuracy=0.9,
    edge_params=params,
    edge_params_share=0.5,
    edge_flops=flops,
    edge_flops_share=0.5,
    payload_bytes=payload,
  )


@pytest.mark.parametrize(
  ('nearest', 'other'),
  [
    # the worst excess is 0.5 against 0.63, although the sum is 1 against 0.63
    (make_candidate(150, 150), make_candidate(163, 50)),
    # the worst excess is 0.5 in both, and the sum is 0.5 against 1
    (make_candidate(150, 100), make_candidate(150, 150)),
    # both excesses are equal, and the edge is cheaper
    (make_candidate(150, 90, flops=5), make_candidate(150, 90, flops=6)),
    # only the resistance differs
    (make_candidate(150, 90, mse=0.2), make_candidate(150, 90, mse=0.1)),
  ],
)
def test_the_worst_excess_comes_before_the_sum_and_the_costs(nearest, other):
  assert nearest_candidate([nearest, other], LIMITS) is nearest
  assert nearest_candidate([other, nearest], LIMITS) is nearest
