"""Rows of a study of model inversion with chosen numbers, and the files beside them."""

import json

import numpy as np
from made_up import make_row

from gpz_jax import results
from gpz_jax.results.inversions import CLASSES, INVERSIONS
from gpz_jax.study import histories, pictures
from gpz_jax.study.workdir import Workdir
from gpz_jax.types import Lane, Treatment

LABELS = (0, 1, 2, 3, 4, 5)
# How the classes lie about the mean of a lane: they sum to 0.
SPREAD = (-0.05, -0.03, -0.01, 0.01, 0.03, 0.05)


def make_inversion(accuracy, att_acc, *, seed=0, attack='ppa', name='vgg', **changes):
  """A row of one lane, whose interval over classes is 0.1 wide."""
  fields = {n: changes.pop(n) for n in ('alpha', 'skips', 'defence') if n in changes}
  treatment = Treatment(**fields)
  known = {
    'model': name,
    **treatment.columns,
    'seed': seed,
    'attack': attack,
    'lane_id': Lane(name, 'x', treatment, seed).lane_id,
    'target_accuracy': accuracy,
    'chance_accuracy': 0.2,
    'att_acc1': att_acc,
    'att_acc1_low': att_acc - 0.05,
    'att_acc1_high': att_acc + 0.05,
    'chance_att_acc': 1 / 50,
    'evaluator_accuracy': 0.95,
    'false_positives': 0.9 - att_acc,
    'confidence': 0.9,
    'num_classes': 50,
    'num_attacked': len(LABELS),
    'num_candidates': 16,
    'num_final': 8,
    'status': 'done',
    'doubt': '',
  }
  return make_row(INVERSIONS, **known | changes)


def make_classes(rows, spread=SPREAD):
  """A row of each class, whose mean is that of the lane."""
  columns = CLASSES.types
  found = []
  for row in rows:
    is_treated = Treatment.of(row) != Treatment()
    shared = {key: value for key, value in row.items() if key in columns}
    for label, shift in zip(LABELS, spread, strict=True):
      own = {
        'label': label,
        'class_name': f'person {label}',
        # Treated classes lie further apart, so that they do not fall alike.
        'att_acc1': row['att_acc1'] + shift * (2 if is_treated else 1),
        'confidence': row['confidence'] + shift,
        'false_positives': row['false_positives'] - shift,
      }
      found.append(make_row(CLASSES, **shared | own))
  return found


def make_study(seeds=(0, 1, 2), **changes):
  """Intact skips, each stage of four removed, TTS and BiDO.

  The last stage falls from 83% to 59%, at 2.1 points of accuracy; 0.2 points of
  accuracy and 1 point of AttAcc@1 lie between neighbouring seeds.
  """
  cells = (
    ({}, 0.948, 0.83),
    ({'skips': '0111'}, 0.945, 0.82),
    ({'skips': '1011'}, 0.940, 0.80),
    ({'skips': '1101'}, 0.937, 0.74),
    ({'skips': '1110'}, 0.927, 0.59),
    ({'skips': '1110@5'}, 0.943, 0.71),
    ({'defence': 'bido:hidden=0.05:output=0.5'}, 0.903, 0.67),
  )
  rows = []
  for treatment, accuracy, att_acc in cells:
    for seed in seeds:
      shift = 0.002 * (seed - 1)
      # The seeds do not all fall alike, so that there is an interval.
      own = 0.004 * (seed - 1) if treatment else 0.0
      rows.append(
        make_inversion(
          accuracy + shift + own / 4,
          att_acc + 5 * shift + own,
          seed=seed,
          **treatment | changes,
        )
      )
  return rows


def write(folder, rows, classes=None, *, is_final=True):
  """The files of rows of a study."""
  classes = make_classes(rows) if classes is None else classes
  if is_final:
    results.write_parquet(folder / 'inversions.parquet', rows, INVERSIONS)
    results.write_parquet(folder / 'classes.parquet', classes, CLASSES)
  else:
    results.append_rows(folder / 'inversions.jsonl', rows, INVERSIONS)
    results.append_rows(folder / 'classes.jsonl', classes, CLASSES)


def add_files(folder, rows, shape=(4, 3, 16, 16, 3)):
  """Private images, reconstructions, histories and settings."""
  workdir = Workdir(folder)
  workdir.samples.mkdir(exist_ok=True)
  rng = np.random.default_rng(0)
  pictures.write(workdir.privates, _draw_faces(rng, shape))
  for row in rows:
    where = (row['lane_id'], row['attack'])
    pictures.write(workdir.reconstruction(*where), _draw_faces(rng, shape))
    fall = np.exp(-np.arange(50) / 20)
    curves = {
      'gradient_mean': 1e-3 * row['att_acc1'] * fall,
      'gradient_std': 4e-3 * row['att_acc1'] * fall,
      'loss': 5 - row['att_acc1'] * (4 - 4 * fall),
    }
    histories.write(workdir.history(*where), curves)
  config = {'public_dataset': 'public', 'note': '</dd><script>', 'seeds': [0, 1]}
  (folder / 'config.json').write_text(json.dumps(config))
  (folder / 'env.json').write_text(json.dumps(results.provenance()))


def _draw_faces(rng, shape):
  """Blots of two colours that differ from class to class."""
  classes, count, height, width, channels = shape
  y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
  centre = 0.5 + 0.1 * rng.normal(size=(2, classes, count, 1, 1))
  blot = np.exp(-((y - centre[0]) ** 2 + (x - centre[1]) ** 2) / 0.05)[..., None]
  colours = rng.uniform(0, 255, (2, classes, 1, 1, 1, channels))
  images = blot * colours[0] + (1 - blot) * colours[1]
  return images.astype(np.uint8)
