"""The cluster scripts, with stand-ins for python that print what they were told."""

import pathlib
import signal
import subprocess
import time

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


def interrupted(environment, tmp_path, on_signal, *signals):
  """What a task prints, line by line, and its status, whose sweep does `on_signal`."""
  (tmp_path / 'python').write_text(f"""#!/bin/bash
trap '{on_signal}' USR1
echo started
while :; do sleep 0.05; done
""")
  queue = tmp_path / 'scontrol'
  queue.write_text('#!/bin/sh\necho "$@"\n')
  queue.chmod(0o755)
  task = subprocess.Popen(
    ['bash', SCRIPT],
    env=environment | {'SLURM_ARRAY_TASK_ID': '2', 'SLURM_ARRAY_JOB_ID': '7'},
    stdout=subprocess.PIPE,
    text=True,
  )
  assert task.stdout is not None
  assert task.stdout.readline() == 'started\n'
  for each in signals:
    time.sleep(0.2)  # until the script waits
    task.send_signal(each)
  out, _ = task.communicate(timeout=30)
  return out.splitlines(), task.returncode


@pytest.mark.parametrize(
  ('sent', 'status', 'again'),
  [
    (signal.SIGUSR1, 75, ['requeue 7_2']),
    (signal.SIGUSR1, 3, []),
    (signal.SIGTERM, 75, []),
  ],
)
def test_a_signal_reaches_the_sweep_and_what_ran_out_of_time_is_queued_again(
  environment, tmp_path, sent, status, again
):
  found = interrupted(environment, tmp_path, f'echo saved; exit {status}', sent)
  assert found == (['saved', *again], status)


def test_a_second_signal_does_not_end_a_sweep_that_saves(environment, tmp_path):
  saving = 'echo signalled; (sleep 1); echo saved; exit 75'
  signals = (signal.SIGUSR1, signal.SIGTERM)
  found = interrupted(environment, tmp_path, saving, *signals)
  assert found == (['signalled', 'saved', 'requeue 7_2'], 75)


def bench(environment, *arguments):
  script = SCRIPT.with_name('gpu_bench.sh')
  return subprocess.run(
    ['bash', script, *arguments],
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
