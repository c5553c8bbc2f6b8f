"""The script of a benchmark visit, with a stand-in for python that prints its flags."""

import pathlib
import subprocess

import pytest

SCRIPT = pathlib.Path(__file__).parents[1] / 'launch' / 'gpu_bench.sh'


@pytest.fixture
def environment(tmp_path):
  stand_in = tmp_path / 'python'
  stand_in.write_text('#!/bin/sh\necho "$@"\n')
  stand_in.chmod(0o755)
  return {'PATH': f'{tmp_path}:/usr/bin:/bin'}


def bench(environment, *arguments):
  return subprocess.run(
    ['bash', SCRIPT, *arguments],
    env=environment,
    capture_output=True,
    text=True,
    check=False,
  )


def test_a_visit_runs_every_stage_and_says_how_it_ended(environment, tmp_path):
  out = tmp_path / 'out'
  done = bench(environment, f'--out={out}', '--data_dir=/data')
  assert done.returncode == 0
  stages = [line.split(':')[0] for line in (out / 'status.txt').read_text().split('\n')]
  assert stages[:-1] == [
    *('machine', 'tests', 'conv', 'step', 'sweep', 'sweep_compiled'),
    *('real_float32', 'real_bfloat16'),
  ]
  assert f'--choices={out}/choices.json' in (out / 'conv.txt').read_text()
  assert '--peer=torch' in (out / 'sweep.txt').read_text()
  assert f'--targets_from={out}/real_float32' in (out / 'real_bfloat16.txt').read_text()


def test_a_stage_out_of_time_is_ended_and_the_next_one_runs(environment, tmp_path):
  slow = tmp_path / 'python'
  slow.write_text('#!/bin/sh\n[ "$2" = pytest ] && sleep 60\necho "$@"\n')
  done = bench(environment | {'SHARE': '0.01'}, f'--out={tmp_path}')
  assert 'tests: exit 124' in done.stdout
  assert 'conv: exit 0' in done.stdout


@pytest.mark.parametrize(
  ('arguments', 'message'),
  [([], '--out is missing'), (['--out=x', '--fast'], '--fast is not known')],
)
def test_bad_arguments_are_refused(environment, arguments, message):
  done = bench(environment, *arguments)
  assert done.returncode == 2
  assert message in done.stderr
