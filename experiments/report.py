"""Rebuilds the report of a sweep, also while the sweep is running.

  python -m experiments.report --workdir=runs/quickstart

Prints the path of the page. Takes a few seconds. Exit status 2: bad input.
"""

from absl import flags

from experiments import command
from gpz_jax import report
from gpz_jax.types import InputError


def define_flags() -> None:
  """The flags of this command."""
  flags.DEFINE_string('workdir', None, 'Folder of the sweep.')


def main(argv: list[str]) -> None:
  """Builds the report of --workdir."""
  del argv
  workdir = flags.FLAGS.workdir
  if not workdir:
    raise InputError('--workdir is missing; name the folder of a sweep')
  print(report.build(workdir))


if __name__ == '__main__':
  define_flags()
  command.run('report', main)
