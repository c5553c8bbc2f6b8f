"""Rebuilds the report of a study, which may still be running.

  gpz-report --workdir=runs/quickstart

It prints the path of the page and takes a few seconds. Pictures of a sweep that are
damaged or gone are first made again, for which the data are loaded. The exit status is
2 for bad input.
"""

import pathlib
import sys

from absl import flags

from gpz_jax.commands import command
from gpz_jax.types import InputError


def define_flags() -> None:
  """The flags of this command."""
  flags.DEFINE_string('workdir', None, 'The folder of the study.')


def main(argv: list[str]) -> None:
  """Builds the report of --workdir."""
  from gpz_jax import report
  from gpz_jax.sweep import pictures

  del argv
  workdir = flags.FLAGS.workdir
  if not workdir:
    raise InputError('--workdir is missing; name the folder of a study')
  pictures.mend(pathlib.Path(workdir), _note)
  print(report.build(workdir))


def _note(text: str) -> None:
  print(f'report: note: {text}', file=sys.stderr)


def start() -> None:
  """What gpz-report runs."""
  command.run('report', main, define_flags)


if __name__ == '__main__':
  start()
