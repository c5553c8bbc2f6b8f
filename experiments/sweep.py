"""Trains targets and decoders for every split, alpha and seed, and says where to cut.

  python -m experiments.sweep --flagfile=experiments/flagfiles/quickstart.cfg

Writes results.jsonl, results.parquet, report/index.html and checkpoints into --workdir;
the same command continues an interrupted sweep. Exit status: 0 done, 2 bad input,
3 a lane diverged, 74 the machine failed (disk, memory), 75 interrupted: run it again.
"""

import dataclasses
from typing import Any, get_args, get_origin, get_type_hints

from absl import flags

from experiments import command
from gpz_jax import results, sweep, zone
from gpz_jax.study import fields as fields_lib
from gpz_jax.types import InputError


def define_flags(values: flags.FlagValues = flags.FLAGS) -> None:
  """One flag for each field of SweepConfig."""
  hints = get_type_hints(sweep.SweepConfig)
  for field in dataclasses.fields(sweep.SweepConfig):
    kind = fields_lib.scalar_kind(hints[field.name])
    default: Any = field.default
    text = field.metadata['help']
    if field.metadata['allowed']:
      text += f' One of: {", ".join(field.metadata["allowed"])}.'
    if get_origin(kind) is tuple:
      default = ','.join(map(str, default))
      flags.DEFINE_string(
        field.name, default, f'{text} Separated by commas.', flag_values=values
      )
    elif kind is bool:
      flags.DEFINE_bool(field.name, default, text, flag_values=values)
    else:
      define = {str: flags.DEFINE_string, int: flags.DEFINE_integer}
      define.get(kind, flags.DEFINE_float)(
        field.name, default, text, flag_values=values
      )


def config_from_flags(values: flags.FlagValues = flags.FLAGS) -> sweep.SweepConfig:
  """The config that the parsed flags spell.

  Raises:
    InputError: an entry of a list is not a number.
  """
  hints = get_type_hints(sweep.SweepConfig)
  fields = {}
  for name, hint in hints.items():
    value = values[name].value
    kind = fields_lib.scalar_kind(hint)
    is_list = get_origin(kind) is tuple
    fields[name] = (
      _parse_list(name, value or '', get_args(kind)[0]) if is_list else value
    )
  return sweep.SweepConfig(**fields)


def parse_config(arguments: list[str]) -> sweep.SweepConfig:
  """The config that a command line spells, apart from this process's own flags.

  Raises:
    InputError: a flag is unknown, or its value is none of its type.
  """
  values = flags.FlagValues()
  define_flags(values)
  command.check_no_more(command.parse_flags(values, ['sweep', *arguments]))
  return config_from_flags(values)


def _parse_list(name: str, text: str, kind: type) -> tuple[Any, ...]:
  entries = [entry.strip() for entry in text.split(',') if entry.strip()]
  try:
    return tuple(kind(entry) for entry in entries)
  except ValueError:
    raise InputError(
      f'--{name}={text} is not allowed; give {kind.__name__} values separated by commas'
    ) from None


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
