"""A finished sweep with made-up numbers, for tests of the page."""

import json
import math

import numpy as np

from gpz_jax import results
from gpz_jax.study.workdir import Workdir
from gpz_jax.types import Lane, Treatment

SPLITS = ('block_1', 'block_2', 'block_3', 'block_4', '<script>alert(1)</script>')
ALPHAS = (-0.05, 0.0, 0.3)
SEEDS = (0, 1)


def make_rows():
  rng = np.random.default_rng(0)
  accuracy = {(a, s): rng.uniform() for a in ALPHAS for s in SEEDS}
  rows = []
  for index, split in enumerate(SPLITS):
    for alpha in ALPHAS:
      for seed in SEEDS:
        mse = 0.002 * (1 + index) * (4 if index > 2 else 1) * rng.uniform(0.9, 1.1)
        row = {c.name: {str: 'x', int: 7, float: 0.5}[c.type] for c in results.COLUMNS}
        row |= {'model': 'vgg<b>11', 'dataset': 'a & b', 'aux_dataset': 'a & b'}
        row |= Treatment(alpha).columns
        row |= {'seed': seed, 'split': split, 'split_index': index}
        row |= {'test_mse': mse, 'test_mse_paper': 3 * mse, 'status': 'done'}
        row |= {'guess_mse': 0.06, 'chance_accuracy': 0.0, 'loss_fall': 0.01}
        row |= {'edge_flops_share': 0.2, 'doubt': '', 'skips_final': ''}
        row |= {'finetuned_from': '', 'recognised': 0.0}
        row |= {'judge_recognised': math.nan, 'judge_accuracy': math.nan}
        row |= {'clean_accuracy': accuracy[alpha, seed]}
        row |= {'test_psnr': -10 * math.log10(mse), 'test_ssim': rng.uniform()}
        row |= {
          'target_accuracy': accuracy[alpha, seed],
          'edge_params': 1000 * 3**index,
        }
        row |= {'edge_params_share': rng.uniform(), 'payload_bytes': 65536 >> index}
        row |= {'selection': 'aux'}
        row['lane_id'] = Lane('vgg<b>11', 'a & b', Treatment(alpha), seed).lane_id
        rows.append(row)
  return rows


def write_workdir(folder):
  """A finished sweep of 3 alphas, 2 seeds and 5 splits."""
  rows = make_rows()
  rng = np.random.default_rng(1)
  ladder = {
    name: {'mse': level / 3, 'psnr': 12.0, 'ssim': 0.1, 'mse_paper': level}
    for name, level in (('mean_image', 0.183), ('class_mean', 0.170))
  }
  (folder / 'ladder.json').write_text(json.dumps(ladder))
  (folder / 'config.json').write_text(json.dumps({'classes': ['</dd><script>']}))
  (folder / 'env.json').write_text(json.dumps(results.provenance()))
  (folder / 'samples').mkdir()
  images = rng.integers(0, 255, (3, 8, 8, 3), np.uint8)
  np.save(folder / 'samples' / 'originals.npy', images)
  for row in rows:
    np.save(Workdir(folder).sample(row['lane_id'], row['split'], row['attack']), images)
  results.write_parquet(folder / 'results.parquet', rows)
