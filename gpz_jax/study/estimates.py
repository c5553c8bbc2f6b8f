"""GPU hours that the arithmetic of a study takes, computed and not measured."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from gpz_jax.results.formats import align

# A backward pass is two of the forward pass: for the input, and for the weights.
TRAINING = 3


class Cost(NamedTuple):
  """One kind of work.

  Attributes:
    what: What it is.
    flops: Floating-point operations over all lanes; None where they are not known.
    kind: What it is a case of, where speeds are known by kind; else ''.
  """

  what: str
  flops: float | None
  kind: str = ''


def describe_gpu_hours(
  costs: Sequence[Cost], peak_tflops: float, share: float, uncounted: str
) -> str:
  """The costs as a table, with the hours at an assumed speed.

  Args:
    costs: The kinds of work.
    peak_tflops: Peak of one GPU in TFLOP/s.
    share: Share of the peak that is reached.
    uncounted: What no cost stands for, as 'Evaluation and compiling'.
  """
  speed = peak_tflops * 1e12 * share
  table = [['work', 'TFLOP', 'GPU hours']]
  for cost in costs:
    numbers = ['not known', '']
    if cost.flops is not None:
      numbers = [f'{cost.flops / 1e12:.3g}', f'{_hours(cost.flops, speed):.3g}']
    table.append([cost.what, *numbers])
  known = [cost.flops for cost in costs if cost.flops is not None]
  left_out = len(costs) - len(known)
  total = (
    f'{_hours(math.fsum(known), speed):.3g} GPU hours, computed and not measured: at an'
    f' assumed {share:.0%} of {peak_tflops:g} TFLOP/s. {uncounted} are not counted'
  )
  if left_out:
    total += f', nor is the work whose TFLOP are not known ({left_out} of {len(costs)})'
  return '\n'.join([*align(table), f'{total}.'])


def _hours(flops: float, speed: float) -> float:
  return flops / speed / 3600 if speed else math.inf
