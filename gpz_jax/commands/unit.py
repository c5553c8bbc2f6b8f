"""Does one unit of a study that was cut into units by launch.submit.

  python -m gpz_jax.commands.unit --workdir=runs/big --unit=1f0c2a94be77
  python -m gpz_jax.commands.unit --workdir=runs/big --list=runs/big/submitted/0.txt

The second line takes the unit from the line of a list that the scheduler's number of
the task counts, from 0. The same command continues an interrupted unit. The exit status
is 0 if the work is done, also where a lane diverged, which the rows say. It is 1 if a
merge has gaps, 2 for bad input, 73 if another process does this unit, 74 if the machine
failed, and 75 if the unit was interrupted and can be continued.
"""

import os
import pathlib

from absl import flags

from gpz_jax.commands import command
from gpz_jax.types import InputError

# What counts the tasks: Slurm's arrays, Kubernetes' indexed jobs.
COUNTERS = ('SLURM_ARRAY_TASK_ID', 'JOB_COMPLETION_INDEX')


def define_flags(values: flags.FlagValues = flags.FLAGS) -> None:
  """The flags of this command."""
  for name, text in (
    ('workdir', 'The folder with units.jsonl.'),
    ('unit', 'Name of the unit.'),
    ('list', 'File with a name in each line; the number of the task says which.'),
  ):
    flags.DEFINE_string(name, None, text, flag_values=values)


def main(argv: list[str]) -> int:
  """Does --unit, or that of the --list."""
  from gpz_jax.launching import units

  del argv
  if not flags.FLAGS.workdir:
    raise InputError('--workdir is missing; name the folder with units.jsonl')
  store = units.Store(flags.FLAGS.workdir)
  listed = store.read()
  unit = units.find(listed, flags.FLAGS.unit or _read_name(flags.FLAGS.list))
  needs = () if unit.kind == 'merge' else unit.needs  # of that there are thousands
  return _do(store, unit, {name: units.find(listed, name).kind for name in needs})


def _read_name(path: str | None) -> str:
  """The line of a list that this task is to do."""
  if not path:
    raise InputError('--unit is missing; give the name of a unit, or --list=FILE')
  number = next((os.environ[name] for name in COUNTERS if name in os.environ), None)
  try:
    names = pathlib.Path(path).read_text().splitlines()
    return names[int(number or 'none')]
  except (OSError, ValueError, IndexError) as error:
    raise InputError(
      f'--list={path} has no line for task {number} ({error}); start it as a task of an'
      f' array, where {" or ".join(COUNTERS)} counts from 0'
    ) from error


def _do(store, unit, needs: dict[str, str]) -> int:
  """Does a unit; `needs` are the units before it, name -> kind."""
  from gpz_jax import model_inversion, sweep
  from gpz_jax.commands import merge, studies
  from gpz_jax.launching.studies import MODEL_INVERSION
  from gpz_jax.launching.units import TRAINED

  if unit.kind == 'merge':
    status = merge.join(str(store.path))
    return 0 if status == 3 else status
  folders = [f'--workdir={store.workdir(unit.name)}']
  folders += [f'--{kind}_from={store.workdir(name)}' for name, kind in needs.items()]
  config = studies.COMMANDS[unit.study].parse_config([*unit.flags, *folders])
  if unit.kind not in TRAINED:
    run = model_inversion.run if unit.study == MODEL_INVERSION else sweep.run
    run(config)
  elif unit.study == MODEL_INVERSION:
    model_inversion.train(config, unit.kind)
  else:
    sweep.train_targets(config)
  return 0


def start() -> None:
  """Runs the command."""
  command.run('unit', main, define_flags)


if __name__ == '__main__':
  start()
