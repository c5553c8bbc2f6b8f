"""A sweep on three nodes of Slurm through a lost node and a preemption, and alone.

  python tests/launch/slurm/through_faults.py alone DIR FLAG...
  python tests/launch/slurm/through_faults.py units DIR FLAG...
  python tests/launch/slurm/through_faults.py compare DIR

FLAG are those of the sweep, whose data $TFDS_DATA_DIR names. `alone` runs it in
one process, `units` on a Slurm that it starts on this machine, as root, and `compare`
says which rows differ. What is printed is a transcript in which DIR is called runs. The
exit status of `compare` is 1 where a row differs or `verify` finds something.
"""

import os
import pathlib
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parents[2]
sys.path[:0] = [str(ROOT), str(HERE.parents[1])]

from gpz_jax.launching import slurm, states  # noqa: E402
from gpz_jax.launching.states import Queued, State  # noqa: E402
from gpz_jax.launching.units import Store, Unit  # noqa: E402

PATIENCE = float(os.environ.get('PATIENCE', 3600))
SBATCH = '--partition=low --exclusive'
COLUMNS = ('unit', 'kind', 'state', 'node', 'restarts', 'rows')


class Story:
  """What is told of a run, with the seconds since it began.

  Args:
    folder: The folder of the run, which is not named.
  """

  def __init__(self, folder: pathlib.Path):
    self.folder, self.began = folder, time.monotonic()

  def tell(self, text: str) -> None:
    """Prints what happened, and when."""
    seconds = time.monotonic() - self.began
    print(f'[{seconds:4.0f} s] {text}'.replace(str(self.folder), 'runs'), flush=True)

  def run(self, *command: str, shown: Sequence[str] = ()) -> int:
    """Runs a command and prints it with what it prints."""
    line = shlex.join(shown or command).replace(sys.executable, 'python')
    print('$', line.replace(str(self.folder), 'runs'), flush=True)
    done = subprocess.run(
      command,
      cwd=ROOT,
      env=os.environ | {'PYTHONPATH': str(ROOT)},
      stdout=subprocess.PIPE,
      stderr=subprocess.STDOUT,
      text=True,
      check=False,
    )
    print(done.stdout.replace(str(self.folder), 'runs').rstrip(), flush=True)
    return done.returncode


class Watch:
  """The units of a sweep that Slurm does."""

  def __init__(self, store: Store):
    self.store, self.units = store, store.read()

  def ask(self) -> dict[str, Queued]:
    return slurm.ask(self.store, slurm.run_command)

  def list(self) -> list[State]:
    return states.list_states(self.store, self.units, self.ask())

  def print(self) -> None:
    """The table of `--status` without its last columns."""
    rows = [COLUMNS] + [
      (s.unit.name, s.unit.kind, s.state, s.node, str(s.restarts), str(s.rows))
      for s in self.list()
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
      cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
      print('  ' + '  '.join(cells).rstrip(), flush=True)

  def wait_for(self, find: Callable[[State], bool]) -> State:
    """The first unit of which something holds, as soon as there is one."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
      for state in self.list():
        if find(state):
          return state
        if state.state.startswith(('failed', 'never')):
          raise RuntimeError(f'{state.unit.name} is {state.state}')
      time.sleep(0.5)
    raise TimeoutError(str(self.list()))

  def has_snapshot(self, unit: Unit) -> bool:
    """Whether a training of a unit has been saved, and goes on."""
    running = self.store.workdir(unit.name) / 'running'
    return any(path.name.isdecimal() for path in running.glob('*/*'))


def do_alone(folder: pathlib.Path, given: list[str]) -> int:
  story = Story(folder)
  command = (sys.executable, '-m', 'experiments.sweep', *given)
  status = story.run(*command, f'--workdir={folder}/alone')
  story.tell('one process has ended')
  return status


def do_units(folder: pathlib.Path, given: list[str]) -> int:
  state = folder / 'slurm'
  os.environ['SLURM_CONF'] = str(state / 'slurm.conf')
  subprocess.run([HERE / 'start.sh', state], check=True)
  try:
    return _hurt(folder, given, state)
  finally:
    subprocess.run([HERE / 'stop.sh', state], check=False)


def _hurt(folder: pathlib.Path, given: list[str], state: pathlib.Path) -> int:
  story = Story(folder)
  workdir = f'--workdir={folder}/units'
  command = (sys.executable, '-m', 'launch.submit', *given, workdir)
  if status := story.run(*command, '--cluster=slurm', f'--sbatch={SBATCH}'):
    return status
  watch = Watch(Store(folder / 'units'))
  hit = watch.wait_for(lambda s: s.unit.kind == 'targets' and _is_saved(watch, s))
  watch.print()
  _cut_power(watch, hit, state)
  story.tell(f'{hit.node} is lost: slurmd, slurmstepd, unit.sh and python are killed')
  back = watch.wait_for(
    lambda s: s.unit == hit.unit and s.state == 'running' and s.restarts > 0
  )
  story.tell(f'{hit.unit.name} runs again, on {back.node}')
  subprocess.run(['slurmd', '-N', hit.node], check=True)
  hit = watch.wait_for(lambda s: s.unit.kind == 'cohort' and _is_saved(watch, s))
  watch.print()
  high = ['--partition=high', f'--nodelist={hit.node}', '--exclusive']
  slurm.run_command(['sbatch', *high, '--output=/dev/null', '--wrap=sleep 5'])
  story.tell(f'another job of partition high takes {hit.node}')
  watch.wait_for(lambda s: s.unit == hit.unit and s.restarts > 0)
  story.tell(f'{hit.unit.name} is preempted and queued again')
  watch.print()
  watch.wait_for(lambda s: s.unit.kind == 'merge' and s.state == 'done')
  story.tell('all is done')
  for log in sorted(watch.store.submitted.glob('*.log')):
    for line in log.read_text().splitlines():
      if (
        'goes on after' in line or 'queued again' in line or 'targets are those' in line
      ):
        print(f'{log.name}: {line}'.replace(str(folder), 'runs'))
  return story.run(sys.executable, '-m', 'launch.submit', workdir, '--status')


def _is_saved(watch: Watch, state: State) -> bool:
  return state.state == 'running' and watch.has_snapshot(state.unit)


def _cut_power(watch: Watch, hit: State, state: pathlib.Path) -> None:
  """Kills all that a unit's node runs, the daemon first."""
  lock = watch.store.workdir(hit.unit.name) / 'lock'
  python = int(lock.read_text().split()[1])
  daemon = int((state / f'slurmd.{hit.node}.pid').read_text())
  for process in (daemon, *reversed([python, *_list_parents(python, 2)])):
    os.kill(process, signal.SIGKILL)


def _list_parents(process: int, count: int) -> Iterator[int]:
  """The script of a process, and Slurm's daemon of that script."""
  for _ in range(count):
    stat = pathlib.Path(f'/proc/{process}/stat').read_text()
    process = int(stat.rpartition(')')[2].split()[1])
    yield process


def do_compare(folder: pathlib.Path) -> int:
  from faults import harness

  story = Story(folder)
  found, expected = (harness.metrics(folder / name) for name in ('units', 'alone'))
  differences = harness.differences(found, expected)
  for line in differences:
    print(line)
  columns = len(expected[0])
  print(
    f'{len(found)} rows of {columns} columns: {len(differences)} values differ from'
    f' those of one process; {", ".join(harness.INCIDENTAL)} are not compared'
  )
  verified = story.run(
    *(sys.executable, '-m', 'experiments.verify', f'--workdir={folder}/units')
  )
  return 1 if differences or verified else 0


def main() -> int:
  what, folder, *given = sys.argv[1:]
  path = pathlib.Path(folder).resolve()
  path.mkdir(parents=True, exist_ok=True)
  signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # Slurm is ended then too
  if what == 'compare':
    return do_compare(path)
  return {'alone': do_alone, 'units': do_units}[what](path, given)


if __name__ == '__main__':
  sys.exit(main())
