"""Checks that a workdir is complete and that its rows are what its decoders give.

  gpz-verify --workdir=runs/quickstart --sample=4

It computes the checksum of every checkpoint again, and in a sweep the scores of a
sample of rows and the accuracy of all targets. In a study of model inversion it
compares rows with those of classes. It also compares config, versions and files. Each
problem is printed on a line of its own. The exit status is 0 if all is well, 1 if
something is wrong, 2 for bad input and 73 while the study runs.
"""

import pathlib

from absl import flags

from gpz_jax.commands import command
from gpz_jax.types import InputError


def define_flags(values: flags.FlagValues = flags.FLAGS) -> None:
  """The flags of this command."""
  flags.DEFINE_string('workdir', None, 'The folder of the study.', flag_values=values)
  flags.DEFINE_integer(
    'sample',
    4,
    'The number of rows of a sweep whose scores are computed again. With 0 the targets'
    ' are not measured again either.',
    lower_bound=0,
    flag_values=values,
  )


def main(argv: list[str]) -> int:
  """Verifies --workdir."""
  from gpz_jax import report
  from gpz_jax.model_inversion import verify as inversion
  from gpz_jax.sweep import verify as sweep

  del argv
  workdir, sample = flags.FLAGS.workdir, flags.FLAGS.sample
  if not workdir:
    raise InputError('--workdir is missing; name the folder of a study')
  folder = pathlib.Path(workdir)
  if report.is_inversion(folder):
    verdict = inversion.verify(folder, tell=print)
  else:
    verdict = sweep.verify(folder, sample=sample, tell=print)
  for note in verdict.notes:
    print(f'note: {note}')
  print(verdict.sentence())
  return 1 if verdict.problems else 0


def start() -> None:
  """What gpz-verify runs."""
  command.run('verify', main, define_flags)


if __name__ == '__main__':
  start()
