"""Units of stand-ins that are handed to a real Slurm."""

import os
import pathlib
import sys
import time

from made_up_units import make_units

from gpz_jax.launching import slurm, states
from gpz_jax.launching.units import Store, Unit

HERE = pathlib.Path(__file__).parent / 'launch' / 'slurm'
ROOT = HERE.parents[2]
PATIENCE = 120.0


class Cluster:
  """Units handed to Slurm.

  Args:
    path: The workdir.
    units: The units.
    steps: How far they count, twenty in a second.
  """

  def __init__(self, path: pathlib.Path, units: list[Unit], steps: int):
    self.store, self.units = Store(path / 'big'), units
    self.store.write(units)
    self.python = path / 'python'
    route = os.pathsep.join([str(ROOT), *sys.path])
    self.python.write_text(
      f'#!/bin/bash\nexport STEPS={steps} PYTHONPATH={route}\n'
      f'exec {sys.executable} {HERE}/stand_in.py "$@"\n'
    )
    self.python.chmod(0o755)

  def submit(self, *options, names=None, where='--nodelist=node3') -> list[str]:
    arrays = slurm.plan_arrays(
      self.units, names or [unit.name for unit in self.units], {}
    )
    script = [str(ROOT / 'launch' / 'unit.sh'), str(self.python), '5']
    options = (where, *options)
    return slurm.submit(arrays, self.store, script, options, slurm.run_command)

  def ask(self):
    return slurm.ask(self.store, slurm.run_command)

  def history(self, name) -> list[list[int]]:
    """Where each run of a unit began to count, its process and its script's."""
    path = self.store.workdir(name) / 'history'
    lines = path.read_text().splitlines() if path.exists() else []
    return [[int(word) for word in line.split()] for line in lines]

  def wait_until_runs(self, name, times=1) -> None:
    self.wait(lambda: len(self.history(name)) >= times)
    time.sleep(1.0)  # let it count

  def wait_until_done(self, name) -> None:
    unit = next(unit for unit in self.units if unit.name == name)
    self.wait(lambda: states.is_done(self.store, unit))

  def wait(self, condition) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
      if time.monotonic() > deadline:
        logs = sorted(self.store.submitted.glob('*.log'))
        text = '\n'.join(f'{log.name}: {log.read_text()}' for log in logs)
        raise TimeoutError(f'{self.ask()}\n{text}')
      time.sleep(0.3)


def one(path, steps) -> tuple[Cluster, str]:
  """A single unit, and its name."""
  (unit, *_) = make_units(1, 0)
  return Cluster(path, [unit], steps), unit.name
