"""Studies in processes of their own, to be hurt."""

import pathlib
import random
import resource
import signal
import tempfile
import time
from collections.abc import Callable

import numpy as np
from forked import PATIENCE, Run

from gpz_jax import results

STARTED = 'rows are there already'  # said before anything is computed
HANGING = 'an attack hangs'
# What two runs of one sweep may differ in.
INCIDENTAL = ('wall_seconds', 'cache', 'wave')  # a row computed alone has wave 1
# Two targets; two trainings of decoders, which are one program.
TINY = {
  'image_size': 16,
  'model': 'tiny:Branched',
  'model_options': '',
  'splits': 'stem,sum',
  'attack': 'inversion:at=stem,inversion:at=sum',
  'alphas': '0,0.3',
  'train_limit': 32,
  'val_limit': 8,
  'test_limit': 8,
  'aux_limit': 20,
  'target_epochs': 6,
  'target_batch_size': 8,
  'decoder_epochs': 8,
  'decoder_batch_size': 8,
  'save_seconds': 0,
}
# Two targets, an evaluator, a generator and two attacks, of several chunks each.
TINY_INVERSION = {
  'dataset': 'portraits/private32_6x8',
  'public_dataset': 'portraits/public32_6x6',
  'image_size': 16,
  'model': 'cnn',
  'model_options': 'width=0.0625',
  'alphas': '0,0.3',
  'target_epochs': 3,
  'target_batch_size': 8,
  'evaluator': 'cnn',
  'evaluator_options': 'width=0.125',
  'evaluator_epochs': 3,
  'evaluator_batch_size': 8,
  'prior_steps': 6,
  'prior_width': 2,
  'classes': 0,
  'attack': (
    'ppa:preset=small:steps=4:candidates=3:final=2:latents=8:draws=2,'
    'kedmi:preset=small:steps=4:candidates=2:generator_steps=6:batch_size=8:width=2'
  ),
  'save_seconds': 0,
}

# Decoded images and compiled programs. Their own: a kill may leave a damaged program,
# of which jax warns ever after.
_CACHE = tempfile.TemporaryDirectory(prefix='gpz_jax_faults_')
ENVIRONMENT = {'XDG_CACHE_HOME': _CACHE.name}


def sweep(workdir: pathlib.Path, prepare=None, **changes) -> Run:
  """Starts the tiny sweep, or goes on with it."""
  return Run('sweep', flags(workdir, **changes), _log(workdir), ENVIRONMENT, prepare)


def inversion(workdir: pathlib.Path, prepare=None, **changes) -> Run:
  """Starts the tiny study of model inversion, or goes on with it."""
  arguments = flags(workdir, TINY_INVERSION, **changes)
  return Run('model_inversion', arguments, _log(workdir), ENVIRONMENT, prepare)


def flags(workdir: pathlib.Path, base=TINY, **changes) -> list[str]:
  """The command line of the tiny sweep, or of another study."""
  values = (
    base | {'workdir': workdir, 'compile_cache': f'{_CACHE.name}/compiled'} | changes
  )
  return [f'--{name}={value}' for name, value in values.items()]


def verify(workdir: pathlib.Path, *options: str) -> Run:
  """Starts a verification."""
  return Run('verify', [f'--workdir={workdir}', *options], _log(workdir), ENVIRONMENT)


def _log(workdir: pathlib.Path) -> pathlib.Path:
  return workdir.with_name(f'{workdir.name}.log')


def hurt(
  workdir: pathlib.Path,
  number: int,
  rng: random.Random,
  longest: float,
  start: Callable[..., Run] = sweep,
  **changes,
) -> int:
  """Runs a study and sends it a signal at a random moment; its exit status."""
  run = start(workdir, **changes)
  if run.wait_for(STARTED):
    time.sleep(rng.uniform(0, longest))
    run.send(number)
  status = run.finish()
  if status == 75:
    assert number != signal.SIGKILL
    assert 'the same command continues' in run.error
  elif status not in (0, -signal.SIGKILL):  # it came when all was done and written
    assert (workdir / 'report' / 'index.html').exists(), (status, run.error)
  assert 'Traceback' not in run.error
  return status


def errors(run: Run) -> list[str]:
  """The lines of stderr, without the warnings."""
  lines = run.error.splitlines()
  return [line for line in lines if not line.startswith('sweep: warning: ')]


def metrics(workdir: pathlib.Path, schema=results.RESULTS) -> list[dict]:
  """The rows of a finished study, without what may differ between two runs."""
  rows = results.read_parquet(workdir / f'{schema.name}.parquet', schema)
  return [{k: v for k, v in row.items() if k not in INCIDENTAL} for row in rows]


def differences(ours: list[dict], theirs: list[dict]) -> list[str]:
  """What is not equal, bit for bit, between two lists of rows."""
  if len(ours) != len(theirs):
    return [f'{len(ours)} rows, not {len(theirs)}']
  return [
    f'row {i}, {name}: {row[name]!r}, not {other[name]!r}'
    for i, (row, other) in enumerate(zip(ours, theirs, strict=True))
    for name in row
    if np.array(row[name]).tobytes() != np.array(other[name]).tobytes()
  ]


def make_chunks_small() -> None:
  """Has an attack on a model search two classes at a time, and keep them."""
  from gpz_jax.attacks.model import chunks

  chunks.CANDIDATES_AT_A_TIME = 6


def hang_in_an_attack() -> None:
  """Has an attack on a model begin and never end, whatever signals come."""
  from gpz_jax.attacks.model.ppa import Ppa

  def run(self, scenario):
    del self, scenario
    print(HANGING, flush=True)
    time.sleep(PATIENCE)

  Ppa.run = run


def limit_files(size: int) -> None:
  """No file of this process may become larger: what a full disk looks like."""
  resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def poison_second_lane() -> None:
  """Has the second of the lanes trained side by side see NaN."""
  from gpz_jax.attacks.activation import inversion

  train = inversion.train

  def poisoned(decoder, lanes, fit_on, *arguments, **options):
    activations, images = fit_on
    return train(
      decoder, lanes, (activations.at[1].set(np.nan), images), *arguments, **options
    )

  inversion.train = poisoned
