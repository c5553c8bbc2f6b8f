"""Joins the units of a study: one table and page, and a workdir to verify.

  gpz-merge --workdir=runs/big
  gpz-merge --workdir=runs/both --studies=runs/seed_0,runs/seed_1

With --studies it joins studies that were run by themselves and differ in one list,
such as their seeds. It can be run at any time, also while units run. It says what is
missing, and the page says how many lanes there are of how many. The exit status is 0 if
all is there, 1 if something is missing, 2 for bad input, 3 if a lane diverged and 73 if
another process is merging.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from absl import flags

from gpz_jax.commands import command
from gpz_jax.types import InputError

if TYPE_CHECKING:  # it needs JAX, and --help must not wait for it
  from gpz_jax.launching.merge import Merged


def define_flags(values: flags.FlagValues = flags.FLAGS) -> None:
  """The flags of this command."""
  flags.DEFINE_string(
    'workdir',
    None,
    'The folder with units.jsonl, or with --studies a new one for the whole.',
    flag_values=values,
  )
  flags.DEFINE_list(
    'studies',
    [],
    'Workdirs of studies that were run by themselves and differ in one list alone:'
    ' their seeds, alphas, skips, defences, treatments, splits or attacks.',
    flag_values=values,
  )


def main(argv: list[str]) -> int:
  """Merges the units of --workdir, or --studies into it."""
  del argv
  if not flags.FLAGS.workdir:
    raise InputError(
      '--workdir is missing; name the folder with units.jsonl, or with --studies a new'
      ' one'
    )
  if flags.FLAGS.studies:
    return join_given(flags.FLAGS.workdir, flags.FLAGS.studies)
  return join(flags.FLAGS.workdir)


def join(workdir: str) -> int:
  """Merges the units of a workdir, prints what they say and returns the status."""
  from gpz_jax.commands import studies
  from gpz_jax.launching.merge import merge
  from gpz_jax.launching.units import Store

  units = Store(workdir).read()
  whole = next((unit for unit in units if unit.kind == 'merge'), None)
  if whole is None:
    raise InputError(f'--workdir={workdir}: units.jsonl names no merge; submit again')
  parse_config = studies.COMMANDS[whole.study].parse_config
  config = parse_config([*whole.flags, f'--workdir={workdir}'])
  return _show(whole.study, workdir, merge(config, units))


def join_given(workdir: str, folders: Sequence[str]) -> int:
  """Merges studies that were run by themselves into a workdir, as `join` does."""
  from gpz_jax.launching import given
  from gpz_jax.launching.merge import merge

  whole = given.plan_whole(workdir, folders)
  return _show(
    whole.study, workdir, merge(whole.config, whole.units, store=whole.store)
  )


def _show(study: str, workdir: str, found: 'Merged') -> int:
  """Prints what was joined, and returns the status."""
  if found.rows:
    _print_rows(study, workdir, found.rows)
  print(f'{len(found.rows)} of {found.total} lanes are there')
  if found.report is not None:
    print(f'report: {found.report}')
  if not found.is_whole:
    return 1
  return 3 if any(row['status'] == 'diverged' for row in found.rows) else 0


def _print_rows(study: str, workdir: str, rows: list[dict[str, Any]]) -> None:
  """Prints the table of a study and what it says."""
  from gpz_jax import results, zone
  from gpz_jax.commands import model_inversion
  from gpz_jax.launching.studies import SWEEP
  from gpz_jax.study.workdir import Workdir

  if study == SWEEP:
    print(f'\n{results.format_table(rows)}\n')
    print(zone.golden_zone(rows).sentence())
    return
  classes = Workdir(workdir).read_rows(results.CLASSES)
  model_inversion.print_answer(rows, classes)


def start() -> None:
  """What gpz-merge runs."""
  command.run('merge', main, define_flags)


if __name__ == '__main__':
  start()
