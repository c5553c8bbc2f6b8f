"""Pools of processes on this machine that are hurt, and one process beside them."""

import os
import pathlib
import signal
import subprocess
import sys
import time
from collections.abc import Sequence

import pytest

from gpz_jax.launching import local, states
from gpz_jax.launching.studies import STUDIES
from gpz_jax.launching.units import Store

ROOT = pathlib.Path(__file__).parents[1]
ROUTE = os.pathsep.join([str(ROOT), *sys.path])  # to the models of tests, too
PATIENCE = 600.0


def do_both(study: str, folder: pathlib.Path, flags: Sequence[str]) -> pathlib.Path:
  """A study in one process (`whole`), and in units that are hurt (`big`)."""
  log = folder / 'whole.log'
  alone = _start_alone(study, folder / 'whole', flags, log)
  _run_hurt(study, folder / 'big', flags)
  assert alone.wait(PATIENCE) == 0, log.read_text()
  return folder


def _start_alone(
  study: str, workdir: pathlib.Path, flags: Sequence[str], log: pathlib.Path
) -> subprocess.Popen:
  """Starts a study in one process, on as many cores as a unit has."""
  command = [sys.executable, '-m', f'gpz_jax.commands.{study}', f'--workdir={workdir}']
  with pytest.MonkeyPatch.context() as patch:
    patch.setenv('PYTHONPATH', ROUTE)
    return local.make_slots(2)[0].start([*command, *flags], log)


def submit(
  workdir: pathlib.Path, *arguments: str, log: pathlib.Path
) -> subprocess.Popen:
  """Starts launch.submit."""
  command = [sys.executable, '-m', 'launch.submit', f'--workdir={workdir}', *arguments]
  with log.open('ab') as out:
    return subprocess.Popen(
      command, cwd=ROOT, env=os.environ | {'PYTHONPATH': ROUTE}, stdout=out, stderr=out
    )


def _run_hurt(study: str, workdir: pathlib.Path, flags: Sequence[str]) -> None:
  """Does a study in units, of which one is killed, and so is the pool."""
  store, log = Store(workdir), workdir.with_suffix('.log')
  options = ('--cluster=local:2', '--retry_seconds=0.1')
  pool = submit(workdir, *flags, *options, log=log)
  os.kill(_wait_for(lambda: _find_writer(store), log), signal.SIGKILL)
  _wait_for(lambda: 'status 137, again' in log.read_text(), log)
  table = f'{STUDIES[study].rows}.parquet'
  _wait_for(
    lambda: any((work / table).exists() for work in store.units.glob('*/work')), log
  )
  pool.kill()
  pool.wait(PATIENCE)
  again = submit(workdir, '--resume', *options, log=log)
  assert again.wait(PATIENCE) == 0, log.read_text()


def _wait_for(condition, log):
  deadline = time.monotonic() + PATIENCE
  while time.monotonic() < deadline:
    if found := condition():
      return found
    time.sleep(0.1)
  raise TimeoutError(log.read_text())


def _find_writer(store: Store) -> int | None:
  """The process that writes some unit's workdir."""
  for work in store.units.glob('*/work'):
    lock = work / 'lock'
    if lock.exists() and states.is_written(work) and (text := lock.read_text()):
      return int(text.split()[1])
  return None
