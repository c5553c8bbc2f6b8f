"""The cluster script, with a stand-in for python that prints what it was told."""

import pathlib
import subprocess

import pytest

SCRIPT = pathlib.Path(__file__).parents[1] / 'launch' / 'slurm_array.sh'


@pytest.fixture
def environment(tmp_path):
  stand_in = tmp_path / 'python'
  stand_in.write_text('#!/bin/sh\necho "$@"\n')
  stand_in.chmod(0o755)
  return {'PATH': f'{tmp_path}:/usr/bin:/bin', 'RUNS': 'out'}


def launch(environment):
  return subprocess.run(
    ['bash', SCRIPT, '--flagfile=a.cfg'],
    env=environment,
    capture_output=True,
    text=True,
    check=False,
  )


def test_a_task_sweeps_its_own_seed_in_its_own_workdir(environment):
  done = launch(environment | {'SLURM_ARRAY_TASK_ID': '2'})
  assert done.stdout.split() == [
    '-m',
    'experiments.sweep',
    '--flagfile=a.cfg',
    '--seeds=2',
    '--workdir=out/seed_2',
  ]


def test_outside_of_an_array_it_says_how_to_submit(environment):
  done = launch(environment)
  assert done.returncode != 0
  assert '--array=FIRST-LAST' in done.stderr
