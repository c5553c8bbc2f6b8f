"""Runs a table or figure of the paper and prints our numbers beside the published ones.

  gpz-reproduce --table=4 --scale=small --data_dir=DIR
  gpz-reproduce --paper=skips --table=1 --scale=small

It runs experiments/flagfiles/table4_*.cfg, or twins of them that two cores can run:
--scale=small takes minutes, and --scale=medium hours. Each run has a folder of its own
under --root. Finished runs are not repeated, and targets that an earlier run trained
are used again. The comparison is printed and added to the report of each run. Of the
paper on skip connections (--paper=skips), the table is printed and its findings are
judged; --plan prints how long its runs take. The exit status is 0 if all is done, 2 for
bad input and 3 if a lane diverged.
"""

import dataclasses
import itertools
import pathlib
import sys
import textwrap
from typing import Any

from absl import flags

from gpz_jax import sweep
from gpz_jax.commands import command, presets, reproduce_skips
from gpz_jax.commands import sweep as sweep_flags
from gpz_jax.types import LINE_WIDTH, InputError, check_known, hint

FOLDER = presets.FOLDER
PAPERS = ('gpz', 'skips')
# What the names of flagfiles end with.
SCALES = {'full': '', 'medium': '_medium', 'small': '_small'}
# The twins use IR-50 instead of IR-152. These of its units stand for the paper's.
TWIN_SPLITS = {
  'unit_8': 'unit_6',
  'unit_25': 'unit_9',
  'unit_40': 'unit_18',
  'unit_48': 'unit_22',
  'unit_49': 'unit_23',
  'unit_50': 'unit_24',
  'unit_51': 'unit_25',
}


def define_flags() -> None:
  """The flags of this command."""
  flags.DEFINE_string(
    'paper',
    'gpz',
    'The paper: gpz is Golden Partition Zone, and skips is that on skip connections.',
  )
  flags.DEFINE_string('table', None, 'The number of the table: 2, 3, 4 or 5.')
  flags.DEFINE_string('figure', None, 'The number of the figure: 2 to 5, 7, 8 or 10.')
  flags.DEFINE_string(
    'finding', None, 'With --paper=skips: the name of a finding to run, or all.'
  )
  flags.DEFINE_bool(
    'plan', False, 'With --paper=skips: print what would be run, and run nothing.'
  )
  flags.DEFINE_string('workdir', None, 'With --paper=skips: another name of --root.')
  flags.DEFINE_string(
    'scale',
    'full',
    'Size of the runs: full is as published; small takes minutes on two cores, and'
    ' medium up to three hours.',
  )
  flags.DEFINE_string(
    'root', 'runs/reproduce', 'The folder that holds the folders of all runs.'
  )
  flags.DEFINE_string('data_dir', None, 'The TFDS folder, as in gpz-sweep.')
  flags.DEFINE_string(
    'seeds', None, 'Seeds that replace those of the flagfile, separated by commas.'
  )


def main(argv: list[str]) -> int:
  """Checks the flags and reproduces the table or figure that they name."""
  del argv
  options = flags.FLAGS
  check_known('paper', options.paper, PAPERS)
  check_known('scale', options.scale, SCALES)
  if options.paper == 'skips':
    if options.scale == 'medium':
      raise InputError(
        '--scale=medium has no flagfiles for --paper=skips; give full or small'
      )
    if options.workdir:
      options.root = options.workdir
    return reproduce_skips.reproduce(options)
  for name in ('finding', 'plan', 'workdir'):
    if options[name].value:
      raise InputError(f'--{name} needs --paper=skips; leave it out, or give both')
  return reproduce(_artefact(options.table, options.figure), options)


def reproduce(artefact: str, options: Any, folder: pathlib.Path = FOLDER) -> int:
  """Runs what is missing, compares, prints and rebuilds the reports.

  Args:
    artefact: The table or figure, as 'table4' or 'fig5'.
    options: The flags scale, root, data_dir and seeds.
    folder: The folder that holds flagfiles/ and paper/.

  Returns:
    The exit status.
  """
  from gpz_jax import atomic, report
  from gpz_jax.report import agreements, comparison
  from gpz_jax.study.workdir import Workdir

  is_twin = options.scale != 'full'
  runs, notes, status = {}, {}, 0
  for flagfile in _list_flagfiles(folder, artefact, options.scale):
    try:
      found = _sweep(flagfile, options)
    except InputError as error:  # a missing dataset must not stop the other runs
      print(f'reproduce: {flagfile.stem}: {error}', file=sys.stderr)
      status = 2
      continue
    runs[flagfile.stem.removesuffix(SCALES[options.scale])] = found.rows
    notes[found.workdir] = _comment(flagfile)
  if not runs:
    return status
  cells = comparison.Runs(runs, TWIN_SPLITS if is_twin else {})
  numbers = comparison.read_numbers(folder / 'paper' / 'numbers.csv', artefact, cells)
  claims = comparison.read_claims(folder / 'paper' / 'claims.csv', artefact, cells)
  text = comparison.format_comparison(numbers, claims, has_verdicts=not is_twin)
  comments = [textwrap.fill(note, LINE_WIDTH) for note in dict.fromkeys(notes.values())]
  theory = agreements.describe(notes)
  text = '\n'.join([*comments, '', text, *(['', theory] if theory else [])])
  for workdir in notes:
    atomic.write_text(Workdir(workdir).comparison, text + '\n')
    print(f'report: {report.build(workdir)}')
  print(f'\n{text}')
  diverged = any(row['status'] == 'diverged' for rows in runs.values() for row in rows)
  return status or (3 if diverged else 0)


def _list_flagfiles(
  folder: pathlib.Path, artefact: str, scale: str
) -> list[pathlib.Path]:
  """The flagfiles of a table or figure at a scale."""
  every = sorted((folder / 'flagfiles').glob(f'{artefact}_*.cfg'))
  ends = tuple(filter(None, SCALES.values()))
  twins = [path for path in every if path.stem.endswith(ends)]
  if scale == 'full':
    return [path for path in every if path not in twins]
  found = [path for path in twins if path.stem.endswith(SCALES[scale])]
  if not found:
    raise InputError(
      f'{artefact} has no flagfile at --scale={scale}; give another scale'
    )
  return found


def _comment(flagfile: pathlib.Path) -> str:
  """The comments of a flagfile as one text, which say what it runs."""
  lines = [line for line in flagfile.read_text().splitlines() if line.startswith('#')]
  return ' '.join(line.removeprefix('#').strip() for line in lines)


def _artefact(table: str | None, figure: str | None) -> str:
  """The name that the flagfiles of a table or figure begin with."""
  if bool(table) == bool(figure):
    raise InputError('give one of --table and --figure, such as --table=4')
  name = f'table{table}' if table else f'fig{figure}'
  flagfiles = itertools.chain(
    *((FOLDER / 'flagfiles').glob(f'{kind}*_*.cfg') for kind in ('table', 'fig'))
  )
  known = sorted({path.stem.split('_')[0] for path in flagfiles})
  if name not in known:
    raise InputError(f"'{name}' has no flagfiles{hint(name, known)}")
  return name


def _sweep(flagfile: pathlib.Path, options: Any) -> 'sweep.Results':
  """Runs one flagfile and uses the targets of an earlier run if they are the same."""
  from gpz_jax.study.workdir import Workdir

  root = pathlib.Path(options.root)
  name = flagfile.stem
  arguments = [f'--flagfile={flagfile}']
  if options.data_dir:
    arguments.append(f'--data_dir={options.data_dir}')
  if options.seeds:
    arguments.append(f'--seeds={options.seeds}')
    name += f'_seeds_{options.seeds.replace(",", "_")}'
  arguments.append(f'--workdir={root / name}')
  config = sweep_flags.parse_config(arguments)
  if config.aux_exclude:  # named from the top of the repository
    path = FOLDER.parent / config.aux_exclude
    config = dataclasses.replace(config, aux_exclude=str(path))
  finished = sorted(path for path in root.glob('*') if Workdir(path).table().exists())
  source = sweep.find_targets(config, finished)
  print(f'gpz-sweep {" ".join(arguments)}', flush=True)
  return sweep.run(dataclasses.replace(config, targets_from=source))


def start() -> None:
  """What gpz-reproduce runs."""
  command.run('reproduce', main, define_flags)


if __name__ == '__main__':
  start()
