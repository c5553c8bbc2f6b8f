"""Times the lane engine: single convolutions, decoder steps, whole sweeps.

  python -m experiments.bench --suite=step --peer=torch --json=bench.json

Prints a table and writes the records as JSON. Ours and the peer, plain PyTorch in a
process of its own, run in turn; compilation is reported apart. Seconds are of one step
of all lanes (suite sweep: of the published sweep at one alpha). The suite estimators
times nothing: it holds the theory's estimators against known truths. Exit status:
0 done, 1 a bound is on the wrong side, 2 bad input.
"""

import dataclasses
import functools
import itertools
import os
import pathlib
import sys
from collections.abc import Callable, Iterator

import jax
from absl import flags

from experiments import command
from experiments.benchmarks import convs, estimators, records, steps, sweeps
from experiments.benchmarks.options import Options
from experiments.benchmarks.peer import Peer
from gpz_jax import atomic, models
from gpz_jax.training.engine import Engine
from gpz_jax.types import InputError, check_known

SUITES: dict[str, Callable[[Options], Iterator[records.Record]]] = {
  'conv': convs.measure,
  'step': steps.measure,
  'sweep': sweeps.measure,
}
# Not among `all`: it measures right and wrong, not speed.
ESTIMATORS = 'estimators'
MOST = 2**16  # lanes, examples of a batch, steps, repeats
PEERS = ('none', 'torch', 'torch_compile')


def define_flags(values: flags.FlagValues = flags.FLAGS) -> None:
  """The flags of this command."""
  on_cpu = jax.default_backend() == 'cpu'
  names = ', '.join((*SUITES, 'all', ESTIMATORS))
  lists = functools.partial(flags.DEFINE_list, flag_values=values)
  texts = functools.partial(flags.DEFINE_string, flag_values=values)
  counts = functools.partial(
    flags.DEFINE_integer, lower_bound=1, upper_bound=MOST, flag_values=values
  )
  texts('suite', 'step', f'What to time: {names}.')
  texts('peer', 'none', f'What to compare with: {", ".join(PEERS)}.')
  texts('json', None, 'File for the records.')
  texts('choices', None, 'File for the fastest way of each convolution (suite conv).')
  texts('case', '', 'Only cases whose name contains this, as 8x8x512.')
  lists('lanes', ['1', '3'], 'How many lanes at a time.')
  lists('strategy', ['auto'], 'How lanes run.')
  lists('conv', ['auto'], 'How convolutions are computed; auto in the suite conv: all.')
  lists('precision', ['auto'], 'Number formats of the passes.')
  lists('models', ['vgg19', 'ir152'], 'Targets of the suite sweep.')
  counts('batch', 32 if on_cpu else 128, 'Batch.')
  counts('steps', 4, 'Steps of one timed run.')
  counts('repeats', 5, 'Timed runs.')
  counts('seeds', 20, 'Samples of each case, 2 at least (suite estimators).')
  counts('examples', 2000, 'Pairs of a sample (suite estimators).')


def main(argv: list[str]) -> int:
  """Times what the flags name."""
  del argv
  return run(flags.FLAGS)


def run(values: flags.FlagValues) -> int:
  """Checks the values of the flags and times what they name."""
  _check(values)
  if values.suite == ESTIMATORS:
    return _estimators(values)
  chosen = tuple(SUITES) if values.suite == 'all' else (values.suite,)
  lanes = _positive(values.lanes)
  engines = tuple(
    Engine(strategy, conv, precision).resolve()
    for strategy, conv, precision in itertools.product(
      values.strategy, values.conv, values.precision
    )
  )
  peer = None if values.peer == 'none' else Peer(values.peer == 'torch_compile')
  options = Options(
    engines,
    lanes,
    values.batch,
    values.steps,
    values.repeats,
    peer,
    tuple(values.models),
    values.case,
  )
  found: list[records.Record] = []
  try:
    for suite in chosen:
      for record in SUITES[suite](options):
        found.append(record)
        print(records.format_table([record]).splitlines()[1], flush=True)
  except KeyboardInterrupt:
    kept = f'; what was measured is in {values.json}' if values.json and found else ''
    print(f'bench: interrupted{kept}', file=sys.stderr)
    return 130
  finally:
    _write(values, found)
    if peer is not None:
      peer.close()
  if not found:
    raise InputError(f'--case={values.case} is in the name of no case; leave it out')
  print(f'\n{records.format_table(found)}')
  return 0


def _check(values: flags.FlagValues) -> None:
  for name, value, known in (
    ('suite', values.suite, (*SUITES, 'all', ESTIMATORS)),
    ('peer', values.peer, PEERS),
  ):
    check_known(name, value, known)
  for model in values.models:
    check_known('model', model, models.paper_models())
  for name, path in (('json', values.json), ('choices', values.choices)):
    if path and not os.path.isdir(pathlib.Path(path).absolute().parent):
      raise InputError(f'--{name}={path} is in no folder; make it first')


def _estimators(values: flags.FlagValues) -> int:
  """The estimators of the theory where the truth is known: no times, but errors."""
  found = estimators.estimators(seeds=values.seeds, examples=values.examples)
  print(estimators.format_estimators(found))
  if values.json:
    listed = [dataclasses.asdict(record) for record in found]
    atomic.write_json(pathlib.Path(values.json), listed)
  return 1 if any(record.wrong_side for record in found) else 0


def _write(values: flags.FlagValues, found: list[records.Record]) -> None:
  """What was measured, also where not all of it could be."""
  if values.json and found:
    listed = [record.to_json() for record in found]
    atomic.write_json(pathlib.Path(values.json), listed)
  if values.choices and (fastest := records.find_fastest(found)):
    atomic.write_json(pathlib.Path(values.choices), {jax.default_backend(): fastest})


def _positive(entries: list[str]) -> tuple[int, ...]:
  are_digits = entries and all(e.isdecimal() and len(e) < 9 for e in entries)
  if not are_digits or not all(0 < int(entry) <= MOST for entry in entries):
    raise InputError(f'--lanes={",".join(entries)} is not allowed; give such as 1,3')
  return tuple(map(int, entries))


if __name__ == '__main__':
  define_flags()
  command.run('bench', main)
