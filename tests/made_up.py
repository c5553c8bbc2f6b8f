"""Rows with chosen numbers, for tests of what is concluded from rows."""

import math

import numpy as np

from gpz_jax import results
from gpz_jax.report.theory import along_epochs
from gpz_jax.study.workdir import Workdir
from gpz_jax.types import Lane, Treatment

ERRORS = [0.01, 0.012, 0.05, 0.06]  # jumps at c
SHARE = [0.9, 0.8, 0.4, 0.35]  # drops at c, by half
DIMS = 8.0
SPLITS = ('a', 'b', 'c', 'd', 'e', 'f')


def make_row(schema=results.RESULTS, **changes):
  """A row with something in every column."""
  filler = {str: 'x', int: 1, float: 0.5}
  row = {
    column.name: filler[column.type] if column.default is None else column.default
    for column in schema.columns
  }
  return row | Treatment().columns | changes


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
      epochs=20,
      doubt='',
      edge_flops_share=0.1 * (index + 1),
      edge_params=100 * (index + 1),
      edge_flops=1000 * (index + 1),
      payload_bytes=8000 // 2**index,
    )
    for index, error in enumerate(errors)
  ]


def change(rows, **values):
  """The rows with other values in some columns."""
  return [row | values for row in rows]


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


def make_finished(values, **changes):
  """All that the figure over the splits shows."""
  count = len(values)
  return [
    *make_theory(values, width=0.1, unit='', assumes='<i>a</i>', **changes),
    *make_theory([-4.0] * count, quantity='entropy_class_logdet', **changes),
    *make_theory([4.0] * count, quantity='entropy_logdet', **changes),
    *make_theory([DIMS * 0.3] * count, quantity='radius', **changes),
    *make_theory([0.3] * count, quantity='radius_per_dim', **changes),
    *make_theory([50.0] * count, quantity='information_mixture', **changes),
    *make_theory([-3.0] * count, quantity='information_infonce', **changes),
  ]


def make_training(radii, predicted=(), **changes):
  """Radii [E][P], and what was predicted of them, at epochs 2, 4, ..."""
  rows = []
  for name, table in (('radius', radii), (along_epochs.PREDICTED, predicted)):
    for i, values in enumerate(table):
      rows += make_theory(values, quantity=name, epoch=2 * (i + 1), **changes)
  return rows


def write(folder, rows, theory_rows, *, is_final=True):
  if is_final:
    results.write_parquet(folder / 'results.parquet', rows)
    results.write_parquet(folder / 'theory.parquet', theory_rows, results.THEORY)
  else:
    results.append_rows(folder / 'results.jsonl', rows)
    results.append_rows(folder / 'theory.jsonl', theory_rows, results.THEORY)


def embed(folder, rows, count=40):
  """A file for each lane and split of `rows`."""
  (folder / 'theory').mkdir()
  rng = np.random.default_rng(0)
  for row in rows:
    table = np.column_stack([rng.normal(size=(count, 2)), np.arange(count) % 10])
    np.save(Workdir(folder).embedding(row['lane_id'], row['split']), table)
