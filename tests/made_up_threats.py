"""Rows of a sweep and of a study of model inversion of the same targets."""

import made_up
import made_up_inversions

from gpz_jax.types import Lane, Treatment

TREATED = {'skips': '1110'}
SAME = {'model': 'vgg', 'model_options': 'width=1', 'dataset': 'people'}


def make_sweep(treated=1.3, seeds=(0, 1, 2), *, attacks=('inversion',), **changes):
  """Errors 0.01 and 0.04 at two splits, and `treated` times that of treated targets.

  Seeds differ by 1%, and the treated ones by 1% more.
  """
  rows = []
  for factor, treatment in ((1.0, {}), (treated, TREATED)):
    for seed in seeds:
      own = factor * (1 + 0.01 * (seed - 1) * (2 if treatment else 1))
      lane = Lane('vgg', 'people', Treatment(**treatment), seed)
      for row in made_up.make_rows([0.03 * own, 0.12 * own], seed=seed):
        row |= SAME | treatment | {'lane_id': lane.lane_id, 'payload_bits': 32}
        row |= changes
        rows += [row | {'attack': attack} for attack in attacks]
  return rows


def make_faces(att_acc=0.4, seeds=(0, 1, 2), **changes):
  """AttAcc@1 0.8 of untreated targets; accuracy is that of `make_sweep`."""
  rows = []
  for treatment, found in (({}, 0.8), (TREATED, att_acc)):
    for seed in seeds:
      own = found + 0.01 * (seed - 1) * (2 if treatment else 1)
      rows.append(
        made_up_inversions.make_inversion(
          0.9, own, seed=seed, **treatment, **SAME | changes
        )
      )
  return rows


def make_many(num_splits):
  """Five treatments that protect everywhere; the smoother they are, the cheaper."""
  sweep, faces = [], []
  for alpha in (0.0, -0.1, 0.0001, 0.1, 0.2, 0.3):
    treatment = {'alpha': alpha, **(TREATED if alpha else {})}
    for seed in (0, 1, 2):
      spread = 0.01 * seed * (2 if alpha else 1)
      lane = Lane('vgg', 'people', Treatment(**treatment), seed)
      accuracy = 0.9 - (0.04 - alpha / 10 if alpha else 0) + 0.001 * seed
      errors = [0.03 * (1.5 if alpha else 1) * (1 + spread)] * num_splits
      for row in made_up.make_rows(errors, seed=seed, accuracy=accuracy):
        row |= SAME | treatment | {'lane_id': lane.lane_id, 'guess_mse': 1.0}
        sweep.append(row)
      att_acc = (0.3 if alpha else 0.8) + spread
      faces.append(
        made_up_inversions.make_inversion(
          accuracy, att_acc, seed=seed, **treatment, **SAME
        )
      )
  return sweep, faces
