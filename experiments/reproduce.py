"""Runs a table or figure of the paper and prints our numbers beside the published ones.

  python -m experiments.reproduce --table=4 --scale=small --data_dir=DIR

Runs experiments/flagfiles/table4_*.cfg (at --scale=small their twins), each into a
folder of its own under --root; runs that are there already are not repeated, and
targets that an earlier run trained are used again. The comparison is printed and put
into the report of each run. Exit status: 0 done, 2 bad input, 3 a lane diverged.
"""

import dataclasses
import pathlib

from absl import flags

from experiments import command
from experiments import sweep as sweep_flags
from gpz_jax import report, results, sweep
from gpz_jax.report import comparison
from gpz_jax.types import InputError, hint

_TABLE = flags.DEFINE_string('table', None, 'Number of a table: 2, 3, 4 or 5.')
_FIGURE = flags.DEFINE_string('figure', None, 'Number of a figure: 2, 4, 5, 7, 8, 10.')
_SCALE = flags.DEFINE_string('scale', 'full', 'full: as published; small: for 2 cores.')
_ROOT = flags.DEFINE_string('root', 'runs/reproduce', 'Folder of the runs.')
_DATA_DIR = flags.DEFINE_string('data_dir', None, 'TFDS folder, see the sweep.')
_SEEDS = flags.DEFINE_string('seeds', None, 'Seeds in place of those of the flagfile.')

FOLDER = pathlib.Path(__file__).parent
# The small twins of IR-152 are IR-50: which of its units stand for the paper's.
SMALL_SPLITS = {
  'unit_8': 'unit_6',
  'unit_25': 'unit_9',
  'unit_40': 'unit_18',
  'unit_48': 'unit_22',
  'unit_49': 'unit_23',
  'unit_50': 'unit_24',
  'unit_51': 'unit_25',
}


def main(argv: list[str]) -> int:
  """Runs what is missing, compares, prints and rebuilds the reports."""
  del argv
  artefact = _artefact()
  if _SCALE.value not in ('full', 'small'):
    raise InputError(f'--scale={_SCALE.value} is not allowed; give full or small')
  is_small = _SCALE.value == 'small'
  suffix = '_small' if is_small else ''
  root = pathlib.Path(_ROOT.value)
  runs = {}
  for flagfile in _flagfiles(artefact, is_small):
    workdir = root / flagfile.stem
    runs[flagfile.stem.removesuffix(suffix)] = _sweep(flagfile, workdir, root)
  found = comparison.Runs(runs, SMALL_SPLITS if is_small else {})
  numbers = comparison.read_numbers(FOLDER / 'paper' / 'numbers.csv', artefact, found)
  claims = comparison.read_claims(FOLDER / 'paper' / 'claims.csv', artefact, found)
  text = comparison.format_comparison(numbers, claims)
  for name in runs:
    workdir = root / (name + suffix)
    (workdir / 'comparison.txt').write_text(text + '\n')
    print(f'report: {report.build(workdir)}')
  print(f'\n{text}')
  diverged = any(row['status'] == 'diverged' for rows in runs.values() for row in rows)
  return 3 if diverged else 0


def _artefact() -> str:
  if bool(_TABLE.value) == bool(_FIGURE.value):
    raise InputError('give one of --table and --figure, such as --table=4')
  kind = 'table' if _TABLE.value else 'fig'
  name = f'{kind}{_TABLE.value or _FIGURE.value}'
  known = {path.stem.split('_')[0] for path in (FOLDER / 'flagfiles').glob('*_*.cfg')}
  known = sorted(known - {'cifar10'})
  if name not in known:
    raise InputError(f"'{name}' has no flagfiles{hint(name, known)}")
  return name


def _flagfiles(artefact: str, is_small: bool) -> list[pathlib.Path]:
  found = sorted((FOLDER / 'flagfiles').glob(f'{artefact}_*.cfg'))
  return [path for path in found if path.stem.endswith('_small') == is_small]


def _sweep(
  flagfile: pathlib.Path, workdir: pathlib.Path, root: pathlib.Path
) -> list[results.Row]:
  """The rows of one flagfile, with the targets of an earlier run that has the same."""
  values = flags.FlagValues()
  sweep_flags.define_flags(values)
  arguments = [f'--flagfile={flagfile}', f'--workdir={workdir}']
  if _DATA_DIR.value:
    arguments.append(f'--data_dir={_DATA_DIR.value}')
  if _SEEDS.value:
    arguments.append(f'--seeds={_SEEDS.value}')
  values(['sweep', *arguments])
  config = sweep_flags.config_from_flags(values)
  print(
    f'{flagfile.stem}: python -m experiments.sweep {" ".join(arguments)}', flush=True
  )
  finished = sorted(path.parent for path in root.glob('*/results.parquet'))
  source = sweep.find_targets(config, [path for path in finished if path != workdir])
  return sweep.run(dataclasses.replace(config, targets_from=source)).rows


if __name__ == '__main__':
  command.run('reproduce', main)
