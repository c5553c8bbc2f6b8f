"""Sweeps in processes of their own, to be hurt."""

import pathlib
import random
import resource
import signal
import tempfile
import time

import numpy as np
from forked import Run

from gpz_jax import results

STARTED = 'rows are there already'  # said before anything is computed
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

# Decoded images and compiled programs. Their own: a kill may leave a damaged program,
# of which jax warns ever after.
_CACHE = tempfile.TemporaryDirectory(prefix='gpz_jax_faults_')
ENVIRONMENT = {'XDG_CACHE_HOME': _CACHE.name}


def sweep(workdir: pathlib.Path, prepare=None, **changes) -> Run:
  """Starts the tiny sweep, or goes on with it."""
  return Run('sweep', flags(workdir, **changes), _log(workdir), ENVIRONMENT, prepare)


def flags(workdir: pathlib.Path, **changes) -> list[str]:
  """The command line of the tiny sweep."""
  values = (
    TINY | {'workdir': workdir, 'compile_cache': f'{_CACHE.name}/compiled'} | changes
  )
  return [f'--{name}={value}' for name, value in values.items()]


def verify(workdir: pathlib.Path, *options: str) -> Run:
  """Starts a verification."""
  return Run('verify', [f'--workdir={workdir}', *options], _log(workdir), ENVIRONMENT)


def _log(workdir: pathlib.Path) -> pathlib.Path:
  return workdir.with_name(f'{workdir.name}.log')


def hurt(
  workdir: pathlib.Path, number: int, rng: random.Random, longest: float, **changes
) -> int:
  """Runs the sweep and sends it a signal at a random moment; its exit status."""
  run = sweep(workdir, **changes)
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


def metrics(workdir: pathlib.Path) -> list[dict]:
  """The rows of a finished sweep, without what may differ between two runs."""
  rows = results.read_parquet(workdir / 'results.parquet')
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
