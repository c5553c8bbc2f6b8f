"""Sweeps in processes of their own, to be hurt.

A fork server imports the command once, so that a process costs a second, not ten. What
runs in it is the command as a shell starts it: its flags, its signals, its exit status.
"""

import multiprocessing
import os
import pathlib
import random
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence

import numpy as np
from absl import flags as absl_flags

from gpz_jax import results

PATIENCE = 600.0  # seconds that anything may take
STARTED = 'rows are there already'  # said before anything is computed
# What two runs of one sweep may differ in.
INCIDENTAL = ('wall_seconds', 'cache')
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
_context = multiprocessing.get_context('forkserver')
_context.set_forkserver_preload(['experiments.sweep', 'experiments.verify'])


class Run:
  """A command in a process of its own.

  Args:
    command: `sweep` or `verify`.
    flags: its arguments.
    folder: for what it prints.
    prepare: called in the process before the command is.
  """

  def __init__(
    self,
    command: str,
    flags: Sequence[str],
    folder: pathlib.Path,
    prepare: Callable[[], None] | None = None,
  ):
    folder.mkdir(parents=True, exist_ok=True)
    number = len(list(folder.glob('*.out')))
    self._out, self._err = (folder / f'{number}.{kind}' for kind in ('out', 'err'))
    self._out.touch()
    self._err.touch()
    self._process = _context.Process(
      target=_enter,
      args=(command, list(flags), self._out, self._err, prepare, dict(ENVIRONMENT)),
    )
    self._process.start()

  @property
  def output(self) -> str:
    return self._out.read_text()

  @property
  def error(self) -> str:
    return self._err.read_text()

  def wait_for(self, text: str) -> bool:
    """Waits until it has printed `text`; False if it ended without."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
      is_running = self._process.is_alive()  # before looking: it may print and end
      if text in self.output:
        return True
      if not is_running:
        return False
      time.sleep(0.02)
    raise TimeoutError(f'{text!r} is not printed: {self.output}')

  def send(self, number: int) -> None:
    if self._process.is_alive():
      os.kill(self._process.pid, number)

  def finish(self) -> int:
    """Waits for its end; the exit status, -9 where it was killed."""
    self._process.join(PATIENCE)
    if self._process.exitcode is None:
      self._process.kill()
      raise TimeoutError('it does not end')
    return self._process.exitcode


def _enter(command: str, flags: list[str], out, err, prepare, environment) -> None:
  """In the new process: becomes the command."""
  from experiments import command as command_lib
  from experiments import sweep, verify

  for number, path in ((1, out), (2, err)):
    os.dup2(os.open(path, os.O_WRONLY | os.O_APPEND), number)
  sys.stdout = os.fdopen(1, 'w', buffering=1, closefd=False)
  sys.stderr = os.fdopen(2, 'w', buffering=1, closefd=False)
  os.environ.update(environment)  # the fork server's is older
  sys.argv = [command, *flags]
  if prepare is not None:
    prepare()
  module = {'sweep': sweep, 'verify': verify}[command]
  module.define_flags(absl_flags.FLAGS)
  command_lib.run(command, module.main)


def sweep(workdir: pathlib.Path, prepare=None, **changes) -> Run:
  """Starts the tiny sweep, or goes on with it."""
  return Run('sweep', flags(workdir, **changes), _log(workdir), prepare)


def flags(workdir: pathlib.Path, **changes) -> list[str]:
  """The command line of the tiny sweep."""
  values = (
    TINY | {'workdir': workdir, 'compile_cache': f'{_CACHE.name}/compiled'} | changes
  )
  return [f'--{name}={value}' for name, value in values.items()]


def verify(workdir: pathlib.Path, *options: str) -> Run:
  """Starts a verification."""
  return Run('verify', [f'--workdir={workdir}', *options], _log(workdir))


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
    assert 'the same command goes on' in run.error
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
  from gpz_jax.attacks import inversion

  train = inversion.train

  def poisoned(decoder, lanes, fit_on, *arguments, **options):
    activations, images = fit_on
    return train(
      decoder, lanes, (activations.at[1].set(np.nan), images), *arguments, **options
    )

  inversion.train = poisoned
