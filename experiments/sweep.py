"""Trains targets and decoders for every split, alpha and seed, and says where to cut.

  python -m experiments.sweep --flagfile=experiments/flagfiles/quickstart.cfg

Writes results.jsonl, results.parquet, report/index.html and checkpoints into --workdir;
the same command continues an interrupted sweep. Exit status: 0 done, 2 bad input,
3 a lane diverged, 74 the machine failed (disk, memory), 75 interrupted: run it again.
"""

from absl import flags

from experiments import command, config_flags
from gpz_jax import results, sweep, zone


def define_flags(values: flags.FlagValues = flags.FLAGS) -> None:
  """One flag for each field of SweepConfig."""
  config_flags.define(sweep.SweepConfig, values)
  # --help lists the flags of the command's own module, and no others.
  flags.adopt_module_key_flags(config_flags, values)


def config_from_flags(values: flags.FlagValues = flags.FLAGS) -> sweep.SweepConfig:
  """The config that the parsed flags spell.

  Raises:
    InputError: A value is not allowed.
  """
  return config_flags.read(sweep.SweepConfig, values)


def parse_config(arguments: list[str]) -> sweep.SweepConfig:
  """The config that a command line spells, apart from this process's own flags.

  Raises:
    InputError: a flag is unknown, or its value is none of its type.
  """
  values = flags.FlagValues()
  define_flags(values)
  command.check_no_more(command.parse_flags(values, ['sweep', *arguments]))
  return config_from_flags(values)


def main(argv: list[str]) -> int:
  """Runs the sweep and prints its table, the answer and the path of the report."""
  del argv
  found = sweep.run(config_from_flags())
  print(f'\n{results.format_table(found.rows)}\n')
  print(found.zone.sentence())
  print(zone.recommend(found.rows, **_limits()).sentence())
  print(f'report: {found.report}')
  return 3 if any(row['status'] == 'diverged' for row in found.rows) else 0


def _limits() -> dict[str, float | None]:
  return {name: flags.FLAGS[name].value for name in zone.LIMITS}


if __name__ == '__main__':
  define_flags()
  command.run('sweep', main)
