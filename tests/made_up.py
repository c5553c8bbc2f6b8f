"""Rows with chosen numbers, for tests of what is concluded from rows."""

import math

from gpz_jax import results
from gpz_jax.types import Lane, Treatment

SPLITS = ('a', 'b', 'c', 'd', 'e', 'f')


def make_row(schema=results.RESULTS, **changes):
  """A row with something in every column."""
  filler = {str: 'x', int: 1, float: 0.5}
  return {column.name: filler[column.type] for column in schema.columns} | changes


def make_rows(errors, *, alpha=0.0, seed=0, accuracy=0.9):
  """Rows of one lane with the given channel-summed errors; costs grow with depth."""
  return [
    make_row(
      alpha=alpha,
      seed=seed,
      lane_id=Lane('x', 'x', Treatment(alpha), seed).lane_id,
      split=SPLITS[index],
      split_index=index,
      status='done',
      target_accuracy=accuracy,
      test_mse_paper=error,
      test_mse=error / 3,
      guess_mse=10 * max(errors),
      chance_accuracy=0.2,
      loss_fall=0.01,
      doubt='',
      edge_flops_share=0.1 * (index + 1),
      edge_params=100 * (index + 1),
      edge_flops=1000 * (index + 1),
      payload_bytes=8000 // 2**index,
    )
    for index, error in enumerate(errors)
  ]


def make_theory(values, *, quantity='radius_share', width=math.nan, **changes):
  """Rows of one lane with the given values, and intervals `width` wide."""
  lane = Lane('x', 'x', Treatment(changes.get('alpha', 0.0)), changes.get('seed', 0))
  common = {
    **lane.treatment.columns,
    'seed': lane.seed,
    'lane_id': lane.lane_id,
    'epoch': 0,
    'subset': 'train',
    'quantity': quantity,
  } | changes
  return [
    make_row(
      results.THEORY,
      split=SPLITS[index],
      split_index=index,
      value=value,
      low=value - width / 2,
      high=value + width / 2,
      **common,
    )
    for index, value in enumerate(values)
  ]
