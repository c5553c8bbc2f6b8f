"""Rebuilds the report of a sweep, which may still be running.

  gpz-report --workdir=runs/quickstart

It prints the path of the page and takes a few seconds. The exit status is 2 for bad
input.
"""

from absl import flags

from gpz_jax.commands import command
from gpz_jax.types import InputError


def define_flags() -> None:
  """The flags of this command."""
  flags.DEFINE_string('workdir', None, 'The folder of the sweep.')


def main(argv: list[str]) -> None:
  """Builds the report of --workdir."""
  from gpz_jax import report

  del argv
  workdir = flags.FLAGS.workdir
  if not workdir:
    raise InputError('--workdir is missing; name the folder of a sweep')
  print(report.build(workdir))


def start() -> None:
  """What gpz-report runs."""
  command.run('report', main, define_flags)


if __name__ == '__main__':
  start()
