"""Units as arrays of Slurm: what to submit, and what Slurm says of it."""

import collections
import json
import pathlib
import re
import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from gpz_jax import atomic
from gpz_jax.launching.states import Queued
from gpz_jax.launching.units import Store, Unit
from gpz_jax.types import InputError

Run = Callable[[Sequence[str]], str]  # a command line -> what it prints
MOST_TASKS = 1000  # of an array; Slurm's MaxArraySize is 1001 unless it is changed
NOTICE = 120  # seconds before the time is up
# Width of each column: what is longer would be cut.
COLUMNS = {
  'ArrayJobID': 20,
  'ArrayTaskID': 20,
  'State': 20,
  'NodeList': 60,
  'TimeLeft': 20,
  'RestartCnt': 12,
  'Reason': 60,
}
NEVER = 'DependencyNeverSatisfied'


_After = tuple[tuple[str, int | str], ...]


class Array(NamedTuple):
  """One call of sbatch.

  Attributes:
    kind: Kind of its units.
    names: The unit of each task; '' where the number is left out.
    after: Conditions of its beginning. A number stands for the job of the array at that
      place in the list of arrays, as in `aftercorr:0`.
  """

  kind: str
  names: tuple[str, ...]
  after: _After = ()

  @property
  def tasks(self) -> str:
    """The numbers of its tasks, as in 0-3,5."""
    numbers = [i for i, name in enumerate(self.names) if name]
    parts: list[list[int]] = []
    for number in numbers:
      if parts and number == parts[-1][1] + 1:
        parts[-1][1] = number
      else:
        parts.append([number, number])
    return ','.join(str(a) if a == b else f'{a}-{b}' for a, b in parts)


def plan_arrays(
  units: Sequence[Unit],
  wanted: Iterable[str],
  queued: Mapping[str, Queued],
  most: int = MOST_TASKS,
) -> list[Array]:
  """The arrays to submit, each behind those it waits for.

  Units that wait for targets follow their array task by task (`aftercorr`): each begins
  as soon as its own targets are there. What all of them need is waited for as a whole.

  Args:
    units: All units, each behind those it needs.
    wanted: Names of the units to submit.
    queued: What is in the queue already, by name of the unit.
    most: Most tasks of an array.
  """
  wanted = set(wanted)
  chosen = [unit for unit in units if unit.name in wanted and unit.kind != 'merge']
  arrays: list[Array] = []
  places: dict[str, tuple[int, int]] = {}  # name -> its array, and its task there

  def list_jobs(unit: Unit, own: str | None) -> _After:
    """What a unit waits for beside its own targets."""
    there = {places[n][0] for n in unit.needs if n in places and n != own}
    tasks = [queued[name].task for name in unit.needs if name in queued]
    return tuple(('afterok', job) for job in [*sorted(there), *tasks])

  def add(waiting: Mapping[_After, list[Unit]]) -> None:
    for after, those in waiting.items():
      for part in _cut(those, most):
        places.update((unit.name, (len(arrays), i)) for i, unit in enumerate(part))
        arrays.append(Array(part[0].kind, tuple(u.name for u in part), after))

  first: dict[_After, list[Unit]] = {}
  for unit in chosen:
    if not any(name in wanted for name in unit.needs):
      first.setdefault(list_jobs(unit, None), []).append(unit)
  add(first)
  targets = {unit.name for unit in chosen if unit.kind == 'targets'}
  whole: dict[_After, list[Unit]] = {}
  groups: dict[tuple[int, _After], dict[int, Unit]] = {}
  counts: collections.Counter[str] = collections.Counter()  # units so far of targets
  for unit in chosen:
    if unit.name in places:
      continue
    own = next((name for name in unit.needs if name in targets), None)
    after = list_jobs(unit, own)
    if own is None:
      whole.setdefault(after, []).append(unit)
      continue
    array, task = places[own]
    key = (counts[own], (('aftercorr', array), *after))
    groups.setdefault(key, {})[task] = unit
    counts[own] += 1
  for (_, after), members in groups.items():
    tasks = range(max(members) + 1)
    names = tuple(members[i].name if i in members else '' for i in tasks)
    arrays.append(Array(next(iter(members.values())).kind, names, after))
  add(whole)
  merges = [unit for unit in units if unit.kind == 'merge' and unit.name in wanted]
  for unit in merges:
    others = sorted({q.task.partition('_')[0] for q in queued.values()})
    jobs = [*range(len(arrays)), *others]
    after = tuple(('afterany', job) for job in jobs)
    arrays.append(Array('merge', (unit.name,), after))
  return arrays


def _cut(units: list[Unit], most: int) -> Iterable[list[Unit]]:
  """Parts of at most so many units, each of one kind."""
  for kind in dict.fromkeys(unit.kind for unit in units):
    those = [unit for unit in units if unit.kind == kind]
    for start in range(0, len(those), most):
      yield those[start : start + most]


def make_command(
  array: Array,
  jobs: Mapping[int, str],
  store: Store,
  listed: pathlib.Path,
  script: Sequence[str],
  options: Sequence[str],
) -> list[str]:
  """The command line that submits an array.

  Args:
    array: What to submit.
    jobs: The jobs of the arrays that were submitted before, by place.
    store: Where the units lie.
    listed: File with the name of the unit of each task.
    script: The script and what follows the workdir and the list.
    options: Options of sbatch that the user gives; they come last and win.
  """
  conditions: dict[str, list[str]] = {}
  for condition, job in array.after:
    name = jobs[job] if isinstance(job, int) else job
    conditions.setdefault(condition, []).append(name)
  waits = ','.join(':'.join([name, *ids]) for name, ids in conditions.items())
  return [
    'sbatch',
    '--parsable',
    f'--job-name=gpz-{array.kind}',
    f'--array={array.tasks}',
    '--requeue',
    '--open-mode=append',
    f'--signal=B:USR1@{NOTICE}',
    '--kill-on-invalid-dep=no',
    f'--output={store.submitted / "%A_%a.log"}',
    *([f'--dependency={waits}'] if waits else []),
    *options,
    script[0],
    str(store.path),
    str(listed),
    *script[1:],
  ]


def submit(
  arrays: Sequence[Array],
  store: Store,
  script: Sequence[str],
  options: Sequence[str],
  run: Run,
) -> list[str]:
  """Submits arrays and notes their jobs as it goes; the jobs.

  Args:
    arrays: Each behind those it waits for.
    store: Where the units lie.
    script: The script and its last arguments.
    options: Options of sbatch.
    run: Runs a command line.
  """
  store.submitted.mkdir(parents=True, exist_ok=True)
  first = len(read_jobs(store))
  jobs: dict[int, str] = {}
  for i, array in enumerate(arrays):
    listed = store.submitted / f'{first + i}.txt'
    atomic.write_text(listed, ''.join(f'{name}\n' for name in array.names))
    command = make_command(array, jobs, store, listed, script, options)
    jobs[i] = run(command).strip().partition(';')[0]  # JOB;CLUSTER
    with (store.submitted / 'jobs.jsonl').open('a') as file:
      file.write(json.dumps({'job': jobs[i], 'list': listed.name}) + '\n')
  return list(jobs.values())


def read_jobs(store: Store) -> list[tuple[str, list[str]]]:
  """Each job that was submitted, and the unit of each of its tasks."""
  try:
    lines = (store.submitted / 'jobs.jsonl').read_text().splitlines()
  except OSError:
    return []
  found = []
  for line in lines:
    try:
      values = json.loads(line)
      names = (store.submitted / values['list']).read_text().splitlines()
    except (ValueError, LookupError, TypeError, OSError):
      continue  # torn by a kill; its units are submitted again
    found.append((values['job'], names))
  return found


def ask(store: Store, run: Run) -> dict[str, Queued]:
  """What Slurm says of the units in its queue, asked once."""
  jobs = read_jobs(store)
  if not jobs:
    return {}
  form = ','.join(f'{name}:{width}' for name, width in COLUMNS.items())
  command = ['squeue', '--noheader', '--array', f'--Format={form}']
  # Only one's own: a job that has left the queue may not be named any more.
  return parse_queue(run([*command, '--me']), jobs)


def parse_queue(text: str, jobs: list[tuple[str, list[str]]]) -> dict[str, Queued]:
  """The units in what squeue prints.

  Args:
    text: A line for each task, in columns of the widths of `COLUMNS`.
    jobs: Each job and the unit of each of its tasks.
  """
  units = dict(jobs)
  found = {}
  for line in text.splitlines():
    cells, start = {}, 0
    for name, width in COLUMNS.items():
      cells[name] = line[start : start + width].strip()
      start += width
    job, number = cells['ArrayJobID'], cells['ArrayTaskID']
    names = units.get(job, [])
    if not number.isdecimal() or int(number) >= len(names) or not names[int(number)]:
      continue
    restarts = cells['RestartCnt']
    found[names[int(number)]] = Queued(
      task=f'{job}_{number}',
      state='never' if NEVER in cells['Reason'] else cells['State'],
      node=cells['NodeList'],
      left=cells['TimeLeft'] if cells['State'] == 'RUNNING' else '',
      restarts=int(restarts) if restarts.isdecimal() else 0,
      reason=cells['Reason'],
    )
  return found


def run_command(command: Sequence[str]) -> str:
  """Runs a command of Slurm and returns what it prints.

  Raises:
    InputError: It is not there, or it fails; with its own words.
  """
  try:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
  except OSError as error:
    raise InputError(
      f'--cluster=slurm: {command[0]} cannot be run ({error.strerror}); go to a machine'
      ' that submits to Slurm, or give --cluster=local:N'
    ) from error
  if done.returncode:
    words = re.sub(r'\s+', ' ', done.stderr).strip() or f'status {done.returncode}'
    raise InputError(f'{command[0]} says: {words}; change --sbatch, and try --resume')
  return done.stdout
