"""Rebuilds the report of a sweep, also while the sweep is running.

  python -m experiments.report --workdir=runs/quickstart

Prints the path of the page. Takes a few seconds. Exit status 2: bad input.
"""

import sys
from typing import NoReturn

from absl import app, flags

from gpz_jax import report
from gpz_jax.types import InputError

_WORKDIR = flags.DEFINE_string('workdir', None, 'folder of the sweep')


def main(argv: list[str]) -> None:
  """Builds the report of --workdir."""
  if len(argv) > 1 or not _WORKDIR.value:
    refuse('name one folder of a sweep with --workdir=...')
  try:
    print(report.build(_WORKDIR.value))
  except InputError as error:
    refuse(str(error))


def parse_flags(argv: list[str]) -> list[str]:
  """Parses flags; an unknown one is bad input like any other."""
  try:
    return flags.FLAGS(argv)
  except flags.Error as error:
    refuse(str(error).splitlines()[0])


def refuse(message: str) -> NoReturn:
  """Ends the command with one line and status 2."""
  print(f'report: {message}', file=sys.stderr)
  sys.exit(2)


if __name__ == '__main__':
  app.run(main, flags_parser=parse_flags)
