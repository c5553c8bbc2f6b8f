"""Trains targets, attacks them by model inversion, and says what a defence is worth.

  gpz-model-inversion --preset=mi_small
  python -m experiments.model_inversion --flagfile=experiments/flagfiles/mi_small.cfg

The first line works in every folder, and the second one in a checkout.

It writes inversions.jsonl, classes.jsonl, their parquet files, report/index.html and
checkpoints into --workdir. The same command continues an interrupted study. The exit
status is 0 if all is done, 2 for bad input and 3 if a lane diverged. It is 73 if
another process writes --workdir, 74 if the machine failed (disk, memory), and 75 if the
study was interrupted and can be continued.
"""

from typing import Any

from absl import flags

from gpz_jax import model_inversion
from gpz_jax.commands import command, config_flags, layout


def define_flags(values: flags.FlagValues = flags.FLAGS) -> None:
  """One flag for each field of ModelInversionConfig."""
  config_flags.define(model_inversion.ModelInversionConfig, values)


def config_from_flags(
  values: flags.FlagValues = flags.FLAGS,
) -> model_inversion.ModelInversionConfig:
  """The config that the parsed flags give.

  Raises:
    InputError: A value is not allowed.
  """
  return config_flags.read(model_inversion.ModelInversionConfig, values)


def parse_config(arguments: list[str]) -> model_inversion.ModelInversionConfig:
  """The config that a command line gives, whatever the flags of this process are.

  Args:
    arguments: The command line without the program's name.

  Raises:
    InputError: A flag is unknown, or its value is not allowed.
  """
  values = flags.FlagValues()
  define_flags(values)
  command.check_no_more(command.parse_flags(values, ['model-inversion', *arguments]))
  return config_from_flags(values)


def main(argv: list[str]) -> int:
  """Runs the study and prints its table, the answer and the path of the report."""
  del argv
  found = model_inversion.run(config_from_flags())
  print_answer(found.rows, found.classes)
  print(f'report: {found.report}')
  return 3 if any(row['status'] == 'diverged' for row in found.rows) else 0


def print_answer(rows: list[dict[str, Any]], classes: list[dict[str, Any]]) -> None:
  """Prints the table of a study and what it says."""
  from gpz_jax import tradeoff

  print(f'\n{tradeoff.format_table(rows)}\n')
  answer = tradeoff.conclude(rows, classes)
  for sentence in (answer.headline, *answer.reasons):
    print(f'{sentence[0].upper()}{sentence[1:]}.')


def start() -> None:
  """What gpz-model-inversion runs."""
  command.run('model-inversion', main, define_flags, layout.MODEL_INVERSION)


if __name__ == '__main__':
  start()
