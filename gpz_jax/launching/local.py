"""A pool of processes on one machine, each with its share of the cores or its GPU.

The pool may be killed at any moment and started again: what is done is read off the
files, and a process that outlives it is told to save and end.
"""

import os
import pathlib
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence

from gpz_jax import interruption
from gpz_jax.launching import outcomes, pinned, states
from gpz_jax.launching.units import Store, Unit
from gpz_jax.types import InputError

Say = Callable[[str], None]
PAUSE = 0.2  # seconds between two looks at the processes


class Slot:
  """A place for one process: some cores, or one GPU.

  Args:
    cores: The processors that a process may use; None for all.
    gpu: The number of its GPU; None without.
  """

  def __init__(self, cores: frozenset[int] | None = None, gpu: str | None = None):
    self.cores, self.gpu = cores, gpu

  def start(self, command: Sequence[str], log: pathlib.Path) -> subprocess.Popen:
    """Starts a process here, whose output goes to the end of a log."""
    environment = dict(os.environ)
    if self.gpu is not None:
      environment['CUDA_VISIBLE_DEVICES'] = self.gpu
    cores = ','.join(map(str, sorted(self.cores or ())))
    prefix = [sys.executable, pinned.__file__, str(os.getpid()), cores]
    with log.open('ab') as out:
      return subprocess.Popen(
        [*prefix, *command],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=out,
        stderr=subprocess.STDOUT,
        start_new_session=True,  # Ctrl-C is for the pool, which hands it on once
      )


def make_slots(count: int) -> list[Slot]:
  """Places for `count` processes on this machine.

  Raises:
    InputError: The machine has GPUs, but not so many.
  """
  gpus = list_gpus()
  if gpus:
    if count > len(gpus):
      raise InputError(
        f'--cluster=local:{count} takes a GPU for each process, and this machine has'
        f' {len(gpus)}; give local:{len(gpus)}'
      )
    return [Slot(gpu=gpu) for gpu in gpus[:count]]
  if not hasattr(os, 'sched_getaffinity'):  # not on macOS
    return [Slot() for _ in range(count)]
  cores = sorted(os.sched_getaffinity(0))
  share = max(1, len(cores) // count)
  return [
    Slot(frozenset(cores[(i * share + k) % len(cores)] for k in range(share)))
    for i in range(count)
  ]


def list_gpus() -> list[str]:
  """The GPUs that processes may use, as CUDA_VISIBLE_DEVICES names them."""
  if os.environ.get('JAX_PLATFORMS') == 'cpu' or not shutil.which('nvidia-smi'):
    return []
  visible = os.environ.get('CUDA_VISIBLE_DEVICES')
  if visible is not None:
    return [name for name in visible.split(',') if name]
  listed = subprocess.run(['nvidia-smi', '-L'], capture_output=True, text=True)
  count = sum(line.startswith('GPU ') for line in listed.stdout.splitlines())
  return [str(number) for number in range(count)]


class Pool:
  """Does units side by side, each as soon as those it needs are done.

  Args:
    store: Where the units lie.
    units: All units, each behind those it needs.
    slots: The places for processes.
    say: Told what begins and ends.
    retries: How often a unit is begun again because of a passing fault.
    delay: Seconds until then.
  """

  def __init__(
    self,
    store: Store,
    units: Sequence[Unit],
    slots: Sequence[Slot],
    say: Say,
    *,
    retries: int = outcomes.RETRIES,
    delay: float = 60.0,
  ):
    self._store, self._units, self._say = store, units, say
    self._free, self._most, self._delay = list(slots), retries, delay
    self._running: dict[str, tuple[Unit, Slot, subprocess.Popen]] = {}
    self._begins = {unit.name: 0.0 for unit in units}  # not before
    self._ended: dict[str, bool] = {  # and whether it is done
      unit.name: True
      for unit in units
      if unit.kind != 'merge' and states.is_done(store, unit)
    }

  def run(self) -> bool:
    """Does what is missing; whether all is done.

    Raises:
      Interrupted: A signal came. Every unit has saved what it had.
    """
    with interruption.handled():
      try:
        while len(self._ended) < len(self._units):
          interruption.check()
          self._start_ready()
          time.sleep(PAUSE)
          self._collect()
      finally:
        self._stop()
    return all(self._ended.values())

  def _start_ready(self) -> None:
    for unit in self._units:
      if not self._free:
        return
      if unit.name in self._ended or unit.name in self._running:
        continue
      if any(name not in self._ended for name in unit.needs):
        continue
      if unit.kind != 'merge' and not all(self._ended[name] for name in unit.needs):
        self._ended[unit.name] = False
        self._say(f'{unit.title}: left out, because what it needs has failed')
      elif time.monotonic() >= self._begins[unit.name]:
        self._start(unit)

  def _start(self, unit: Unit) -> None:
    slot, folder = self._free.pop(0), self._store.folder(unit.name)
    folder.mkdir(parents=True, exist_ok=True)
    command = make_command(self._store.path, unit.name)
    process = slot.start(command, folder / 'log.txt')
    self._running[unit.name] = unit, slot, process
    self._say(f'{unit.title}: process {process.pid}, log {folder / "log.txt"}')

  def _collect(self) -> None:
    """Notes what has ended, and what becomes of it."""
    for name, (unit, slot, process) in list(self._running.items()):
      status = process.poll()
      if status is None:
        continue
      del self._running[name]
      self._free.append(slot)
      folder = self._store.folder(name)
      status = 128 - status if status < 0 else status
      outcomes.write_status(folder, status)
      retries = outcomes.read_retries(folder)
      outcome = outcomes.decide(status, retries, self._most)
      if outcome == 'later':
        outcomes.count_retry(folder)
        self._begins[name] = time.monotonic() + self._delay
        text = f'again in {self._delay:g} s, for the {_nth(retries + 1)} time'
      elif outcome == 'again':
        text = 'interrupted, again'
      else:
        self._ended[name] = outcome == 'done'
        text = outcome
      self._say(f'{unit.title}: status {status}, {text}')

  def _stop(self) -> None:
    """Has what still runs save and end."""
    for _, _, process in self._running.values():
      process.terminate()
    for _, _, process in self._running.values():
      process.wait()


def _nth(number: int) -> str:
  return {1: 'first', 2: 'second', 3: 'third'}.get(number, f'{number}th')


def make_command(workdir: pathlib.Path, name: str) -> list[str]:
  """The command line that does a unit."""
  module = ['-m', 'gpz_jax.commands.unit']
  return [sys.executable, *module, f'--workdir={workdir}', f'--unit={name}']
