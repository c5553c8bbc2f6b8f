"""Says which treatment protects against which threat, and what it costs.

  gpz-threats --sweep=runs/treated --model_inversion=runs/faces --workdir=runs/threats

A sweep inverts activations, and a study of model inversion searches for what classes
look like. Where both attacked the same targets, this command joins them by treatment:
one table, and one picture. With --workdir it writes threats.csv, threats.png and
threats.txt there. The exit status is 2 for bad input.
"""

import csv
import io
import pathlib
from typing import Any

from absl import flags

from gpz_jax.commands import command
from gpz_jax.types import InputError, check_known

STUDIES = ('sweep', 'model_inversion')


def define_flags() -> None:
  """The flags of this command."""
  flags.DEFINE_list('sweep', [], 'The folders of sweeps of the same kind of target.')
  flags.DEFINE_list(
    'model_inversion', [], 'The folders of studies of model inversion of such targets.'
  )
  flags.DEFINE_string(
    'split', None, 'The split that the picture shows; by default the deepest.'
  )
  flags.DEFINE_string('workdir', None, 'The folder where files are written.')


def main(argv: list[str]) -> None:
  """Prints the table, and writes what --workdir asks for."""
  from gpz_jax import results, threats
  from gpz_jax.results.inversions import CLASSES, INVERSIONS, inversion_key

  del argv
  options = flags.FLAGS
  for name in STUDIES:
    if not options[name].value:
      raise InputError(f'--{name} is missing; name the folder of a study')
  sweep = threats.join(_read(options.sweep, results.RESULTS), results.row_key)
  faces = threats.join(_read(options.model_inversion, INVERSIONS), inversion_key)
  classes = _read(options.model_inversion, CLASSES, missing_ok=True)
  crossing = threats.cross(
    [row for row, _ in sweep.values()],
    [row for row, _ in faces.values()],
    [
      row
      for study, rows in classes.items()
      for row in rows
      if faces.get(inversion_key(row), (row, ''))[1] == study
    ],
  )
  split = options.split or crossing.splits[-1]
  check_known('split', split, crossing.splits)
  text = threats.format_crossed(crossing)
  if options.workdir:
    _write(pathlib.Path(options.workdir), crossing, split, text)
  print(text)


def _read(
  workdirs: list[str], schema: Any, **options: Any
) -> dict[str, list[dict[str, Any]]]:
  """The rows of several studies, by folder."""
  from gpz_jax import results

  return {
    workdir: results.read_workdir(workdir, schema, **options)[0] for workdir in workdirs
  }


def _write(folder: pathlib.Path, crossing: Any, split: str, text: str) -> None:
  from gpz_jax import atomic, threats
  from gpz_jax.report import threats as picture

  try:
    folder.mkdir(parents=True, exist_ok=True)
  except OSError as error:
    raise InputError(
      f'--workdir={folder} cannot be made: {error.strerror}; name another folder'
    ) from error
  file = io.StringIO()
  writer = csv.DictWriter(file, threats.LINES, lineterminator='\n')
  writer.writeheader()
  writer.writerows(threats.list_lines(crossing))
  atomic.write_text(folder / 'threats.csv', file.getvalue())
  atomic.write_text(folder / 'threats.txt', text + '\n')
  with atomic.replacing(folder / 'threats.png') as draft:
    picture.draw(crossing, split).savefig(draft, format='png', dpi=150)


def start() -> None:
  """What gpz-threats runs."""
  command.run('threats', main, define_flags)


if __name__ == '__main__':
  start()
