"""Stands in for a unit: counts slowly, saves when it is interrupted, holds the lock.

  stand_in.py -m gpz_jax.commands.unit --workdir=DIR --unit=NAME

The environment's STEPS says how far it counts, twenty steps in a second.
"""

import os
import pathlib
import sys
import time

from gpz_jax import interruption
from gpz_jax.launching.units import Store, find
from gpz_jax.study import locking
from gpz_jax.types import BusyError


def main() -> int:
  flags = dict(arg[2:].split('=', 1) for arg in sys.argv if arg.startswith('--'))
  store = Store(flags['workdir'])
  name = flags.get('unit')
  if name is None:
    names = pathlib.Path(flags['list']).read_text().splitlines()
    name = names[int(os.environ['JOB_COMPLETION_INDEX'])]
  unit = find(store.read(), name)
  work = store.workdir(unit.name)
  if (store.folder(unit.name) / 'bad').exists():
    return 2
  try:
    with interruption.handled(), locking.locked(work, work / 'lock', print):
      count(work, int(os.environ['STEPS']))
  except BusyError:
    return 73
  except interruption.Interrupted:
    return 75
  finish(store, unit, work)
  return 0


def count(work, steps) -> None:
  saved = work / 'count'
  done = int(saved.read_text()) if saved.exists() else 0
  with (work / 'history').open('a') as file:
    file.write(f'{done} {os.getpid()} {os.getppid()}\n')
  try:
    while done < steps:
      interruption.check()
      time.sleep(0.05)
      done += 1
  finally:
    time.sleep(0.3)  # saving takes a while
    saved.write_text(str(done))


def finish(store, unit, work) -> None:
  for need in unit.needs if unit.kind == 'cohort' else ():
    assert (store.workdir(need) / 'targets' / '0').is_dir(), 'too early'
  if unit.kind == 'merge':
    store.merged.write_text('{"rows": 1, "of": 1}')
  elif unit.kind == 'targets':
    (work / 'targets' / '0').mkdir(parents=True, exist_ok=True)
  else:
    (work / 'results.jsonl').write_text('{}\n')
    (work / 'results.parquet').touch()


if __name__ == '__main__':
  sys.exit(main())
