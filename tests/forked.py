"""The project's commands in processes of their own.

A fork server imports them once, so that a process costs a second, not ten. What runs in
it is the command as a shell starts it: its flags, its signals, its exit status.
"""

import multiprocessing
import os
import pathlib
import runpy
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

PATIENCE = 600.0  # seconds that anything may take
COMMANDS = (
  *('sweep', 'model_inversion', 'verify', 'report', 'recommend', 'reproduce'),
  *('prepare_data', 'threats'),
)
_context = multiprocessing.get_context('forkserver')
# What commands import when they run, beside themselves.
LATER = (
  *('gpz_jax.sweep.runner', 'gpz_jax.sweep.verify', 'gpz_jax.report.comparison'),
  'gpz_jax.model_inversion.runner',
)
_context.set_forkserver_preload([*(f'experiments.{name}' for name in COMMANDS), *LATER])


class Done(NamedTuple):
  """A command that has ended, as subprocess describes one."""

  returncode: int
  stdout: str
  stderr: str


class Run:
  """A command in a process of its own.

  Args:
    command: a module of gpz_jax.commands.
    flags: its arguments.
    folder: for what it prints.
    environment: variables to set, beside those of this process.
    prepare: called in the process before the command is.
  """

  def __init__(
    self,
    command: str,
    flags: Sequence[str],
    folder: pathlib.Path,
    environment: Mapping[str, str] | None = None,
    prepare: Callable[[], None] | None = None,
  ):
    folder.mkdir(parents=True, exist_ok=True)
    number = len(list(folder.glob('*.out')))
    self._out, self._err = (folder / f'{number}.{kind}' for kind in ('out', 'err'))
    self._out.touch()
    self._err.touch()
    wanted = dict(os.environ) | dict(environment or {})
    self._process = _context.Process(
      target=_enter,
      args=(command, list(flags), self._out, self._err, prepare, wanted),
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


def run(
  command: str, *flags: str, environment: Mapping[str, str] | None = None
) -> Done:
  """Runs a command to its end."""
  with tempfile.TemporaryDirectory() as folder:
    process = Run(command, flags, pathlib.Path(folder), environment)
    status = process.finish()
    return Done(status, process.output, process.error)


def _enter(command: str, flags: list[str], out, err, prepare, environment) -> None:
  """In the new process: becomes the command."""
  for number, path in ((1, out), (2, err)):
    os.dup2(os.open(path, os.O_WRONLY | os.O_APPEND), number)
  sys.stdout = os.fdopen(1, 'w', buffering=1, closefd=False)
  sys.stderr = os.fdopen(2, 'w', buffering=1, closefd=False)
  os.environ.update(environment)  # the fork server's is older
  sys.argv = [command, *flags]
  if prepare is not None:
    prepare()
  module = f'experiments.{command}'
  sys.modules.pop(module)  # imported ahead; what runs is __main__
  runpy.run_module(module, run_name='__main__')
