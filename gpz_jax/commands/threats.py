"""Says which treatment protects against which threat, and what it costs.

  gpz-threats --sweep=runs/treated --model_inversion=runs/faces --workdir=runs/threats

A sweep inverts activations, and a study of model inversion searches for what classes
look like. Where both attacked the same targets, this command joins them by treatment:
one table, one picture and one page. With --workdir it writes threats.html there, which
holds all it needs, and threats.csv, threats.png and threats.txt. The exit status is 2
for bad input.
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
    'split',
    None,
    'The split that threats.png shows, and the page first; by default the deepest.',
  )
  flags.DEFINE_string(
    'workdir', None, 'The folder where the page and the other files are written.'
  )


def main(argv: list[str]) -> None:
  """Prints the table, and writes what --workdir asks for."""
  from gpz_jax import results, threats
  from gpz_jax.results.inversions import CLASSES, INVERSIONS, inversion_key

  del argv
  options = flags.FLAGS
  for name in STUDIES:
    if not options[name].value:
      raise InputError(f'--{name} is missing; name the folder of a study')
  sweeps = _read(options.sweep, results.RESULTS)
  inversions = _read(options.model_inversion, INVERSIONS)
  classes = _read(options.model_inversion, CLASSES, missing_ok=True)
  sweep = threats.join(_by_folder(sweeps), results.row_key)
  faces = threats.join(_by_folder(inversions), inversion_key)
  crossing = threats.cross(
    [row for row, _ in sweep.values()],
    [row for row, _ in faces.values()],
    [
      row
      for study, rows in _by_folder(classes).items()
      for row in rows
      if faces.get(inversion_key(row), (row, ''))[1] == study
    ],
  )
  split = options.split or crossing.splits[-1]
  check_known('split', split, crossing.splits)
  text = threats.format_crossed(crossing)
  if options.workdir:
    from gpz_jax.report.threats import page

    folder = _make_folder(pathlib.Path(options.workdir))
    _write(folder, crossing, split, text)
    page.build(folder / 'threats.html', crossing, split, sweeps, inversions)
  print(text)


def _read(workdirs: list[str], schema: Any, **options: Any) -> list[Any]:
  """Several studies, each a `threats.Study`."""
  from gpz_jax import results, threats

  return [
    threats.Study(workdir, *results.read_workdir(workdir, schema, **options))
    for workdir in workdirs
  ]


def _by_folder(studies: list[Any]) -> dict[str, list[dict[str, Any]]]:
  return {study.workdir: study.rows for study in studies}


def _make_folder(folder: pathlib.Path) -> pathlib.Path:
  try:
    folder.mkdir(parents=True, exist_ok=True)
  except OSError as error:
    raise InputError(
      f'--workdir={folder} cannot be made: {error.strerror}; name another folder'
    ) from error
  return folder


def _write(folder: pathlib.Path, crossing: Any, split: str, text: str) -> None:
  """The table as text and as CSV, and the picture."""
  from gpz_jax import atomic, threats
  from gpz_jax.report.threats import figures

  file = io.StringIO()
  writer = csv.DictWriter(file, threats.LINES, lineterminator='\n')
  writer.writeheader()
  writer.writerows(threats.list_lines(crossing))
  atomic.write_text(folder / 'threats.csv', file.getvalue())
  atomic.write_text(folder / 'threats.txt', text + '\n')
  with atomic.replacing(folder / 'threats.png') as draft:
    figures.draw(crossing, split).savefig(draft, format='png', dpi=150)


def start() -> None:
  """What gpz-threats runs."""
  command.run('threats', main, define_flags)


if __name__ == '__main__':
  start()
