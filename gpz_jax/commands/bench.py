"""Times the engine of lanes: convolutions, decoders, targets, sweeps, inversions.

  gpz-bench --suite=step --peer=torch --json=bench.json

The command prints a table and writes the records as JSON. The peer is plain PyTorch in
a separate process, and runs in turn with ours. Compilation is reported separately.
Seconds are those of one step of all lanes. In the suite `sweep` they are those of the
published sweep at one alpha. In the suite `target` a lane is a target that is trained,
and the peer trains them one after another. In the suite `inversion` a lane is a class
that is searched for, and the operations of the sizes that are not timed are counted.
The suite `estimators` times nothing: it compares the theory's estimators with known
truths.

The exit status is 0 if the work is done, 1 if a bound is on the wrong side, and 2 for
bad input.
"""

import dataclasses
import functools
import itertools
import os
import pathlib
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from absl import flags

from gpz_jax import atomic
from gpz_jax.commands import command
from gpz_jax.commands.benchmarks.peer import Peer
from gpz_jax.types import InputError, check_known

if TYPE_CHECKING:  # JAX takes seconds to import, and --help must not wait for it
  from gpz_jax.commands.benchmarks.options import Options
  from gpz_jax.commands.benchmarks.records import Record

SUITES = ('conv', 'step', 'target', 'sweep', 'inversion')
# It is not part of `all`, because it measures correctness instead of speed.
ESTIMATORS = 'estimators'
MOST = 2**16  # the largest number of lanes, examples of a batch, steps or repeats
CLOCKS = ('wall', 'cpu')
PEERS = ('none', 'torch', 'torch_compile')
SIZES = ('32', '64', '256', '1024')  # sides of images in the suite inversion


def define_flags(values: flags.FlagValues = flags.FLAGS) -> None:
  """Defines the flags of this command."""
  names = ', '.join((*SUITES, 'all', ESTIMATORS))
  lists = functools.partial(flags.DEFINE_list, flag_values=values)
  texts = functools.partial(flags.DEFINE_string, flag_values=values)
  counts = functools.partial(
    flags.DEFINE_integer, lower_bound=1, upper_bound=MOST, flag_values=values
  )
  texts('suite', 'step', f'What to measure: {names}.')
  texts('peer', 'none', f'What to compare with: {", ".join(PEERS)}.')
  texts('json', None, 'File to write the records to.')
  texts(
    'choices', None, 'File to write the fastest convolutions to, in the suite conv.'
  )
  texts('case', '', 'Measure only cases whose name contains this text.')
  lists('lanes', ['1', '3'], 'Numbers of lanes to run at a time.')
  lists('strategy', ['auto'], 'How the lanes run.')
  lists(
    'conv',
    ['auto'],
    'How convolutions are computed. In the suite conv, auto measures every way.',
  )
  lists('precision', ['auto'], 'Number formats of the forward and backward pass.')
  lists(
    'models',
    [],
    'Targets to measure in the suites sweep and target; those of the suite if it is not'
    ' set.',
  )
  lists(
    'widths', ['0.25', '0.5', '1'], 'Multiples of the channels in the suite target.'
  )
  lists(
    'sizes',
    ['32', '64'],
    f'Sides of the images to time in the suite inversion: {", ".join(SIZES)}. The'
    ' operations of the others are counted.',
  )
  texts(
    'clock',
    'wall',
    'What is timed in the suites step, target and inversion: wall, or cpu for the'
    ' seconds that processors worked, which other programs disturb less. Use one core'
    ' for it.',
  )
  counts('candidates', 8, 'Candidates of each class in the suite inversion.')
  counts('batch', None, 'Batch size; 32 on a CPU and 128 elsewhere if it is not set.')
  counts('steps', 4, 'Steps in one timed run.')
  counts('repeats', 5, 'Number of timed runs.')
  counts('seeds', 20, 'Samples of each case in the suite estimators; at least 2.')
  counts('examples', 2000, 'Pairs in a sample in the suite estimators.')


def main(argv: list[str]) -> int:
  """Measures what the flags name."""
  del argv
  return run(flags.FLAGS)


def run(values: flags.FlagValues) -> int:
  """Checks the values of the flags, measures what they name, and returns the status.

  Args:
    values: The parsed flags of `define_flags`.

  Raises:
    InputError: A value is not allowed, or no case has the name that is asked for.
  """
  from gpz_jax.commands.benchmarks import records

  _check(values)
  if values.suite == ESTIMATORS:
    return _estimators(values)
  chosen = SUITES if values.suite == 'all' else (values.suite,)
  options = _make_options(values)
  found: list[Record] = []
  try:
    for suite in chosen:
      for record in _find_measure(suite)(options):
        found.append(record)
        print(records.format_table([record]).splitlines()[1], flush=True)
  except KeyboardInterrupt:
    kept = f'; what was measured is in {values.json}' if values.json and found else ''
    print(f'bench: interrupted{kept}', file=sys.stderr)
    return 130
  finally:
    _write(values, found)
    if options.peer is not None:
      options.peer.close()
  if not found:
    raise InputError(f'no case contains --case={values.case}; leave the flag out')
  print(f'\n{records.format_table(found)}')
  return 0


def _find_measure(suite: str) -> 'Callable[[Options], Iterator[Record]]':
  """What measures a suite."""
  from gpz_jax.commands.benchmarks import convs, inversions, steps, sweeps, targets

  measures = {
    'conv': convs.measure,
    'step': steps.measure,
    'target': targets.measure,
    'sweep': sweeps.measure,
    'inversion': inversions.measure,
  }
  return measures[suite]


def _check(values: flags.FlagValues) -> None:
  from gpz_jax import models
  from gpz_jax.commands.benchmarks import targets

  for name, value, known in (
    ('suite', values.suite, (*SUITES, 'all', ESTIMATORS)),
    ('peer', values.peer, PEERS),
    ('clock', values.clock, CLOCKS),
  ):
    check_known(name, value, known)
  trained, attacked = set(targets.MODELS), set(models.paper_models())
  known = {'target': trained, 'sweep': attacked}.get(values.suite, trained & attacked)
  for model in values.models:
    check_known('model', model, sorted(known))
  for size in values.sizes:
    check_known('size', size, SIZES)
  for name, path in (('json', values.json), ('choices', values.choices)):
    if path and not os.path.isdir(pathlib.Path(path).absolute().parent):
      raise InputError(f'--{name}={path} is in no folder; create that first')


def _make_options(values: flags.FlagValues) -> 'Options':
  """Makes the options of the suites, and starts the peer if there is one."""
  import jax

  from gpz_jax.commands.benchmarks.options import Options
  from gpz_jax.training.engine import Engine

  lanes = _positive(values.lanes)
  engines = tuple(
    Engine(strategy, conv, precision).resolve()
    for strategy, conv, precision in itertools.product(
      values.strategy, values.conv, values.precision
    )
  )
  peer = None
  if values.peer != 'none':
    peer = Peer(values.peer == 'torch_compile', values.clock)
  return Options(
    engines,
    lanes,
    values.batch or (32 if jax.default_backend() == 'cpu' else 128),
    values.steps,
    values.repeats,
    peer,
    tuple(values.models),
    _widths(values.widths),
    values.case,
    values.candidates,
    tuple(map(int, values.sizes)),
    values.clock,
  )


def _estimators(values: flags.FlagValues) -> int:
  """Measures the errors of the theory's estimators where the truth is known."""
  from gpz_jax.commands.benchmarks import estimators

  found = estimators.estimators(seeds=values.seeds, examples=values.examples)
  print(estimators.format_estimators(found))
  if values.json:
    listed = [dataclasses.asdict(record) for record in found]
    atomic.write_json(pathlib.Path(values.json), listed)
  return 1 if any(record.wrong_side for record in found) else 0


def _write(values: flags.FlagValues, found: 'list[Record]') -> None:
  """Writes what was measured, even if the measurement did not end."""
  import jax

  from gpz_jax.commands.benchmarks import records

  if values.json and found:
    listed = [record.to_json() for record in found]
    atomic.write_json(pathlib.Path(values.json), listed)
  if values.choices and (fastest := records.find_fastest(found)):
    atomic.write_json(pathlib.Path(values.choices), {jax.default_backend(): fastest})


def _positive(entries: list[str]) -> tuple[int, ...]:
  are_digits = entries and all(e.isdecimal() and len(e) < 9 for e in entries)
  if not are_digits or not all(0 < int(entry) <= MOST for entry in entries):
    raise InputError(
      f'--lanes={",".join(entries)} is not allowed; give numbers such as 1,3'
    )
  return tuple(map(int, entries))


def _widths(entries: list[str]) -> tuple[float, ...]:
  try:
    widths = tuple(map(float, entries))
  except ValueError:
    widths = ()
  if not widths or not all(0 < width <= 4 for width in widths):
    raise InputError(
      f'--widths={",".join(entries)} is not allowed; give multiples, such as 0.25,0.5'
    )
  return widths


def start() -> None:
  """What gpz-bench runs."""
  command.run('bench', main, define_flags)


if __name__ == '__main__':
  start()
