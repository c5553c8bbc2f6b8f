"""The real study of model inversion, killed and terminated anywhere, ends as it would.

These tests take minutes: targets, evaluator, generator and two attacks are compiled,
and the study is run to its end several times.
"""

import functools
import random
import signal
import time

import pytest
from faults import harness

from gpz_jax.results import CLASSES, INVERSIONS

pytestmark = pytest.mark.slow
# Where the targets, the evaluator, the generator and the attacks are at work.
PIECES = 'running'
start = functools.partial(harness.inversion, prepare=harness.make_chunks_small)


@pytest.fixture(scope='module')
def undisturbed(tmp_path_factory):
  """The rows of a run that nobody disturbed, and its seconds, with nothing to compile.

  The first run compiles and the second one must give the same rows.
  """
  folder = tmp_path_factory.mktemp('undisturbed')
  for name in ('first', 'second'):
    began = time.monotonic()
    run = start(folder / name)
    assert run.finish() == 0, run.error
  rows = read_rows(folder / 'second')
  assert [len(each) for each in rows] == [4, 24]  # lanes x attacks, and x classes
  assert differences(read_rows(folder / 'first'), rows) == []
  return rows, time.monotonic() - began


def read_rows(workdir):
  return [harness.metrics(workdir, schema) for schema in (INVERSIONS, CLASSES)]


def differences(ours, theirs):
  return [
    text
    for pair in zip(ours, theirs, strict=True)
    for text in harness.differences(*pair)
  ]


@pytest.mark.parametrize(
  'number', [signal.SIGKILL, signal.SIGTERM], ids=lambda number: number.name
)
def test_ten_interruptions_leave_equal_rows(undisturbed, tmp_path, number):
  """At moments drawn over the length of a whole run."""
  wanted, longest = undisturbed
  rng, hurts, studies = random.Random(int(number)), 0, 0
  while hurts < 10:
    workdir, status = tmp_path / str(studies), None
    while status != 0:
      status = harness.hurt(workdir, number, rng, longest, start)
      hurts += status in (-9, 75)
    assert differences(read_rows(workdir), wanted) == []
    assert not list(workdir.rglob('*.partial'))
    assert not (workdir / PIECES).exists()
    studies += 1
  print(f'{hurts} times {signal.Signals(number).name} in {studies} studies')


def test_the_second_signal_ends_it_at_once_and_loses_nothing(undisturbed, tmp_path):
  """The first one waits for a piece of work to end, which here never does."""
  wanted, _ = undisturbed
  workdir = tmp_path / 'run'
  run = harness.inversion(workdir, harness.hang_in_an_attack)
  assert run.wait_for(harness.HANGING)
  began = time.monotonic()
  run.send(signal.SIGTERM)
  time.sleep(1.5)  # what comes within a second of the first one does not count
  run.send(signal.SIGTERM)
  assert run.finish() == -signal.SIGTERM, run.error
  assert time.monotonic() - began < 20
  run = start(workdir)
  assert run.finish() == 0, run.error
  assert differences(read_rows(workdir), wanted) == []
