"""Trains targets and decoders for every split, alpha and seed, and says where to cut.

  gpz-sweep --preset=quickstart
  python -m experiments.sweep --flagfile=experiments/flagfiles/quickstart.cfg

The first line works in every folder, and the second one in a checkout.

It writes results.jsonl, results.parquet, report/index.html and checkpoints into
--workdir. The same command continues an interrupted sweep. The exit status is 0 if all
is done, 2 for bad input and 3 if a lane diverged. It is 73 if another process writes
--workdir, 74 if the machine failed (disk, memory), and 75 if it was interrupted
and can be continued.
"""

from absl import flags

from gpz_jax import sweep
from gpz_jax.commands import command, config_flags, layout, presets
from gpz_jax.commands.recommend import given_limits


def define_flags(values: flags.FlagValues = flags.FLAGS) -> None:
  """One flag for each field of SweepConfig."""
  config_flags.define(sweep.SweepConfig, values)


def config_from_flags(values: flags.FlagValues = flags.FLAGS) -> sweep.SweepConfig:
  """The config that the parsed flags give.

  Raises:
    InputError: A value is not allowed.
  """
  return presets.locate(config_flags.read(sweep.SweepConfig, values))


def parse_config(arguments: list[str]) -> sweep.SweepConfig:
  """The config that a command line gives, whatever the flags of this process are.

  Args:
    arguments: The command line without the program's name.

  Raises:
    InputError: A flag is unknown, or its value is not allowed.
  """
  values = flags.FlagValues()
  define_flags(values)
  command.check_no_more(command.parse_flags(values, ['sweep', *arguments]))
  return config_from_flags(values)


def main(argv: list[str]) -> int:
  """Runs the sweep and prints its table, the answer and the path of the report."""
  from gpz_jax import results, zone
  from gpz_jax.study.workdir import Workdir

  del argv
  found = sweep.run(config_from_flags())
  ladder = results.read_ladder(Workdir(found.workdir).ladder)
  print(f'\n{results.format_table(found.rows)}\n')
  advice = zone.recommend(found.rows, ladder=ladder, **given_limits())
  if not advice.tells_all_of(found.zone):
    print(found.zone.sentence())
  print(advice.sentence())
  print(f'report: {found.report}')
  return 3 if any(row['status'] == 'diverged' for row in found.rows) else 0


def start() -> None:
  """What gpz-sweep runs."""
  command.run('sweep', main, define_flags, layout.LAYOUT)


if __name__ == '__main__':
  start()
