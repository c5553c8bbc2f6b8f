"""The command launch.submit on made-up units, where nothing has to be planned."""

import os
import pathlib
import subprocess
import sys

import pytest
import yaml
from made_up_units import finish, make_units

from gpz_jax.launching.units import Store

ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture
def store(tmp_path):
  """Two seeds with a cohort each; the first targets are there."""
  store, units = Store(tmp_path / 'big'), make_units(2, 1)
  store.write(units)
  finish(store, units[0])
  return store


def submit(store, *flags, route=''):
  path = os.pathsep.join([str(ROOT), *sys.path])
  environment = os.environ | {'PYTHONPATH': path, 'JAX_PLATFORMS': 'cpu'}
  if route:
    environment['PATH'] = f'{route}:/usr/bin:/bin'
  command = [sys.executable, '-m', 'launch.submit', f'--workdir={store.path}', *flags]
  return subprocess.run(
    command, env=environment, capture_output=True, text=True, check=False
  )


def test_a_dry_run_prints_what_is_missing_and_writes_nothing(store):
  before = sorted(store.path.rglob('*'))
  done = submit(store, '--resume', '--cluster=local:2', '--dry_run')
  assert done.returncode == 0, done.stderr
  names = [line.rpartition('=')[2] for line in done.stdout.splitlines()]
  assert names == ['t1', 'c0x0', 'c0x1', 'm']
  done = submit(store, '--resume', '--cluster=slurm', '--dry_run', '--sbatch=--mem=1G')
  assert done.returncode == 0, done.stderr
  first, ready, later, merge = done.stdout.splitlines()
  assert first.startswith('sbatch --parsable --job-name=gpz-targets --array=0 ')
  assert ready.startswith('sbatch --parsable --job-name=gpz-cohort --array=0 ')
  assert '--dependency' not in ready
  assert '--dependency=aftercorr:JOB0 --mem=1G' in later
  assert '--dependency=afterany:JOB0:JOB1:JOB2 ' in merge
  assert sorted(store.path.rglob('*')) == before


def test_slurm_is_asked_once_and_told_what_is_missing(store, tmp_path):
  route = tmp_path / 'bin'
  route.mkdir()
  for name in ('sbatch', 'squeue', 'scancel'):
    script = route / name
    text = 'echo 7' if name == 'sbatch' else ''
    script.write_text(f'#!/bin/sh\necho {name} >> {route}/log\n{text}\n')
    script.chmod(0o755)
  for asked in (0, 1):  # before the first job there is nothing to ask for
    done = submit(store, '--resume', '--cluster=slurm', route=str(route))
    assert done.returncode == 0, done.stderr
    log = (route / 'log').read_text().split()
    (route / 'log').unlink()
    assert (log.count('sbatch'), log.count('squeue')) == (4, asked)
    assert 'scancel' not in log


def test_manifests_are_written_and_named(store, tmp_path):
  flags = ('--cluster=kubernetes', '--image=i', f'--volume=claim:{tmp_path}')
  done = submit(store, '--resume', *flags)
  assert done.returncode == 0, done.stderr
  paths = [pathlib.Path(line) for line in done.stdout.splitlines()]
  assert [path.name for path in paths] == [
    *('targets.txt', 'targets.yaml', 'cohort.txt', 'cohort.yaml'),
    *('merge.txt', 'merge.yaml', 'jobset.yaml'),
  ]
  jobset = yaml.safe_load(paths[-1].read_text())
  assert [job['name'] for job in jobset['spec']['replicatedJobs']] == [
    *('targets', 'cohort', 'merge')
  ]


@pytest.mark.parametrize(
  ('flags', 'message'),
  [
    (['--resume', '--cluster=local:0'], '--cluster=local:0 is not allowed'),
    (['--resume', '--cluster=pbs'], 'give one of local:N, slurm, kubernetes'),
    (['--resume', '--cluster=kubernetes'], '--image is missing'),
  ],
)
def test_bad_flags_are_refused_in_one_line(store, flags, message):
  done = submit(store, *flags)
  assert done.returncode == 2
  assert message in done.stderr
  assert len(done.stderr.splitlines()) == 1


def test_a_folder_without_units_is_refused(tmp_path):
  done = submit(Store(tmp_path), '--status')
  assert done.returncode == 2
  assert 'holds no units.jsonl' in done.stderr
