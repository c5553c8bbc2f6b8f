"""The real sweep, killed, terminated, locked out, out of disk, poisoned."""

import functools
import json
import pathlib
import random
import shutil
import signal
import time

import pytest
from faults import harness

from gpz_jax import results
from gpz_jax.study.workdir import Workdir
from gpz_jax.sweep import verify
from gpz_jax.types import InputError

# With a training, and a search, that are no decoder's.
ATTACKS = f'{harness.TINY["attack"]},query_free:steps=100:images=2:at=sum'


@pytest.fixture(autouse=True)
def environment(monkeypatch):
  """That of the processes, for what runs in this one."""
  for name, value in harness.ENVIRONMENT.items():
    monkeypatch.setenv(name, value)


@pytest.fixture(scope='module')
def finished(tmp_path_factory) -> tuple[pathlib.Path, float]:
  """The workdir of an undisturbed run, and its seconds, most of them compiling."""
  workdir = tmp_path_factory.mktemp('finished') / 'run'
  began = time.monotonic()
  run = harness.sweep(workdir)
  assert run.finish() == 0, run.error
  return workdir, time.monotonic() - began


@pytest.mark.ci
def test_whatever_happens_the_rows_are_those_of_an_undisturbed_run(finished, tmp_path):
  """Killed and terminated in turn, at random moments."""
  undisturbed, seconds = finished
  workdir, rng, hurts = tmp_path / 'run', random.Random(0), 0
  for number in 3 * (signal.SIGKILL, signal.SIGTERM):
    status = harness.hurt(workdir, number, rng, 0.05 * seconds)
    hurts += status in (-9, 75)
    if status == 0:
      break
  assert hurts >= 3
  run = harness.sweep(workdir)
  assert run.finish() == 0, run.error
  found = harness.metrics(workdir)
  assert harness.differences(found, harness.metrics(undisturbed)) == []
  assert not list(workdir.rglob('*.partial'))
  assert not (workdir / 'running').exists()


@pytest.fixture
def last_attack_missing(finished, tmp_path) -> pathlib.Path:
  """A sweep that lacks the rows of its last attack, and nothing else."""
  workdir = tmp_path / 'run'
  shutil.copytree(finished[0], workdir)
  lines = (workdir / 'results.jsonl').read_text().splitlines(keepends=True)
  assert len(lines) == 4
  (workdir / 'results.jsonl').write_text(''.join(lines[:2]))
  (workdir / 'results.parquet').unlink()
  return workdir


@pytest.mark.ci
def test_refused_while_one_runs_then_killed_then_out_of_disk(
  finished, last_attack_missing
):
  workdir = last_attack_missing
  first = harness.sweep(workdir)
  assert first.wait_for(harness.STARTED)
  before = (workdir / 'config.json').stat().st_mtime_ns
  second = harness.sweep(workdir, strategy='vmap')
  assert second.finish() == 73, second.error
  (line,) = harness.errors(second)
  assert line.startswith(f'sweep: --workdir={workdir} is being written by process')
  assert (workdir / 'config.json').stat().st_mtime_ns == before
  first.send(signal.SIGKILL)
  assert first.finish() in (-9, 0)
  third = harness.sweep(workdir, functools.partial(harness.limit_files, 16_384))
  assert third.finish() == 74, third.error
  (line,) = harness.errors(third)
  assert line.startswith('sweep: the disk is full')
  assert len(results.read_rows(workdir / 'results.jsonl')) == 2
  fourth = harness.sweep(workdir)
  assert fourth.finish() == 0, fourth.error
  found = harness.metrics(workdir)
  assert harness.differences(found, harness.metrics(finished[0])) == []


def test_a_poisoned_lane_diverges_alone(finished, last_attack_missing):
  run = harness.sweep(last_attack_missing, harness.poison_second_lane)
  assert run.finish() == 3, run.error
  ours, theirs = harness.metrics(last_attack_missing), harness.metrics(finished[0])
  (lost,) = [i for i, row in enumerate(ours) if row['status'] == 'diverged']
  # What was drawn is what is left, and was evaluated at the end of the first epoch.
  assert (ours[lost]['steps'], ours[lost]['best_epoch']) == (0, 1)
  assert theirs[lost]['steps'] == 8 * 3  # epochs, batches of 18 images
  del ours[lost], theirs[lost]
  assert harness.differences(ours, theirs) == []


def test_a_finished_sweep_is_verified_bit_for_bit(finished):
  before = {path: path.stat().st_mtime_ns for path in finished[0].rglob('*')}
  run = harness.verify(finished[0], '--sample=4')
  assert run.finish() == 0, run.output + run.error
  assert run.output == (
    '3 checkpoints and 4 rows checked, 4 of 4 rows with a decoder computed again, bit'
    ' for bit: all is well\n'
  )
  assert {path: path.stat().st_mtime_ns for path in finished[0].rglob('*')} == before


def test_verify_says_where_a_number_was_changed(finished, tmp_path):
  workdir = tmp_path / 'run'
  shutil.copytree(finished[0], workdir)
  rows = results.read_rows(workdir / 'results.jsonl')
  true = rows[1]['test_mse']
  false = rows[1]['test_mse'] = true * (1 + 1e-6)
  name = 'row stem alpha 0.3 seed 0 inversion:at=stem'
  (workdir / 'results.jsonl').unlink()
  results.append_rows(workdir / 'results.jsonl', rows)
  verdict = verify.verify(workdir, sample=0)
  assert verdict.problems == [
    f'{name}: test_mse is {true!r} in results.parquet and {false!r} in results.jsonl'
  ]
  results.write_parquet(workdir / 'results.parquet', rows)
  told = []
  verdict = verify.verify(workdir, sample=100, tell=told.append)
  expected = [f'{name}: test_mse is {false!r}, but its decoder gives {true!r}']
  assert verdict.problems == told == expected
  assert verdict.sentence().endswith('one thing is wrong')


def test_verify_finds_a_flipped_byte_and_a_lost_decoder(finished, tmp_path):
  workdir = tmp_path / 'run'
  shutil.copytree(finished[0], workdir)
  decoders = sorted((workdir / 'decoders').iterdir())[0]
  path = max(decoders.rglob('d/*'), key=lambda path: path.stat().st_size)
  data = bytearray(path.read_bytes())
  data[len(data) // 2] ^= 1
  path.write_bytes(data)
  run = harness.verify(workdir, '--sample=0')
  assert run.finish() == 1, run.error
  problem, *rest = run.output.splitlines()
  assert problem.startswith(f'checkpoint {decoders.name}, step 0 is damaged: ')
  assert 'one thing is wrong' not in problem
  assert rest[-1].endswith('2 things are wrong')  # and none is intact
  shutil.rmtree(decoders)
  problems = verify.verify(workdir).problems
  assert len(problems) == 2
  assert all('has no checkpoint in decoders/' in problem for problem in problems)


@pytest.mark.parametrize(
  ('field', 'value', 'message'),
  [
    ('alphas', [0.0, 0.2], 'inversion:at=stem is no lane of config.json'),
    ('attack', ['rmle'], "attack 'inversion:at=sum' is not in config.json"),
    ('decoder_epochs', 9, 'config.json and run.flags are of different sweeps'),
  ],
)
def test_verify_finds_a_foreign_config(finished, tmp_path, field, value, message):
  workdir = tmp_path / 'run'
  shutil.copytree(finished[0], workdir)
  values = json.loads((workdir / 'config.json').read_text())
  (workdir / 'config.json').write_text(json.dumps(values | {field: value}))
  problems = verify.verify(workdir, sample=0).problems
  assert 'config.json and run.flags are of different sweeps' in problems
  assert any(message in problem for problem in problems)


def test_what_cannot_be_verified_is_bad_input(finished, tmp_path):
  run = harness.verify(tmp_path / 'absent')
  assert run.finish() == 2
  assert 'is not a folder' in run.error
  with pytest.raises(InputError, match='holds no config'):
    verify.verify(tmp_path)
  workdir = tmp_path / 'run'
  shutil.copytree(finished[0], workdir)
  with Workdir(workdir).locked(print), pytest.raises(InputError, match='is being'):
    verify.verify(workdir)
  (workdir / 'config.json').write_text('{"alphas": 3}')
  with pytest.raises(InputError, match='is of another version'):
    verify.verify(workdir)


@pytest.mark.slow
def test_other_conditions_are_said_and_stand_in_the_rows(finished, last_attack_missing):
  run = harness.sweep(last_attack_missing, strategy='vmap')
  assert run.finish() == 0, run.error
  said = 'the targets were trained under other conditions (strategy map, now vmap)'
  assert f'warning: {said}' in run.output
  rows = harness.metrics(last_attack_missing)
  changed = {(row['attack'], row['strategy']): row['changed'] for row in rows}
  assert changed == {
    ('inversion:at=stem', 'map'): '',
    ('inversion:at=sum', 'vmap'): 'strategy map, now vmap',
  }
  run = harness.verify(last_attack_missing, '--sample=4')
  assert run.finish() == 0, run.output
  # Computed by vmap, as the config now says, and targets were trained otherwise.
  assert '4 of them within 0.001' in run.output
  assert 'note: 2 of 4 rows were finished under other conditions' in run.output


@pytest.mark.slow
@pytest.mark.parametrize('number', [signal.SIGKILL, signal.SIGTERM])
def test_twenty_five_interruptions(tmp_path, number):
  """With every kind of attack, at moments drawn over the length of a whole run."""
  start = functools.partial(harness.sweep, attack=ATTACKS)
  for name in ('undisturbed', 'again'):  # the second with everything compiled
    began = time.monotonic()
    run = start(tmp_path / name)
    assert run.finish() == 0, run.error
  longest = time.monotonic() - began
  wanted = harness.metrics(tmp_path / 'undisturbed')
  assert len(wanted) == 6
  assert harness.differences(harness.metrics(tmp_path / 'again'), wanted) == []
  rng, hurts, sweeps = random.Random(int(number)), 0, 0
  while hurts < 25:
    workdir = tmp_path / str(sweeps)
    status = None
    while status != 0:
      status = harness.hurt(workdir, number, rng, longest, attack=ATTACKS)
      hurts += status in (-9, 75)
    assert harness.differences(harness.metrics(workdir), wanted) == []
    sweeps += 1
  print(f'{hurts} times {signal.Signals(number).name} in {sweeps} sweeps')
