"""Checks that a workdir is whole and that its rows are what its decoders give.

  python -m experiments.verify --workdir=runs/quickstart --sample=4

Computes the checksum of every checkpoint again, the scores of a sample of rows from
their decoders, and compares config, versions and files. Prints what is wrong, a line
each. Exit status: 0 all is well, 1 something is wrong, 2 bad input.
"""

import pathlib

from absl import flags

from experiments import command
from gpz_jax.sweep.verify import verify
from gpz_jax.types import InputError


def define_flags(values: flags.FlagValues = flags.FLAGS) -> None:
  """The flags of this command."""
  flags.DEFINE_string('workdir', None, 'Folder of the sweep.', flag_values=values)
  flags.DEFINE_integer(
    'sample',
    4,
    'Rows whose scores are computed again; 0: none.',
    lower_bound=0,
    flag_values=values,
  )


def main(argv: list[str]) -> int:
  """Verifies --workdir."""
  del argv
  workdir, sample = flags.FLAGS.workdir, flags.FLAGS.sample
  if not workdir:
    raise InputError('--workdir is missing; name the folder of a sweep')
  verdict = verify(pathlib.Path(workdir), sample=sample, tell=print)
  for note in verdict.notes:
    print(f'note: {note}')
  print(verdict.sentence())
  return 1 if verdict.problems else 0


if __name__ == '__main__':
  define_flags()
  command.run('verify', main)
