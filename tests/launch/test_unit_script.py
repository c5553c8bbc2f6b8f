"""launch/unit.sh with stand-ins for python and Slurm: signals, retries, statuses."""

import os
import pathlib
import signal
import subprocess
import time

import pytest

from gpz_jax.launching import outcomes

SCRIPT = pathlib.Path(__file__).parents[2] / 'launch' / 'unit.sh'


@pytest.fixture
def place(tmp_path):
  """A folder with a stand-in for scontrol, which notes what it is asked."""
  queue = tmp_path / 'scontrol'
  queue.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\n')
  queue.chmod(0o755)
  return tmp_path


def start(place, program, unit='abc', **environment):
  python = place / 'python'
  python.write_text(f'#!/bin/bash\n{program}\n')
  python.chmod(0o755)
  known = {
    'PATH': f'{place}:/usr/bin:/bin',
    'SLURM_JOB_ID': '25',
    'SLURM_ARRAY_JOB_ID': '23',
    'SLURM_ARRAY_TASK_ID': '1',
  }
  return subprocess.Popen(
    ['bash', SCRIPT, str(place / 'big'), unit, str(python)],
    env=known | environment,
    stdout=subprocess.PIPE,
    text=True,
  )


def asked(place) -> str:
  path = place / 'asked'
  return path.read_text().strip() if path.exists() else ''


@pytest.mark.parametrize('status', [0, 1, 2, 73, 74, 75, 130, 134, 137, 143])
@pytest.mark.parametrize('retries', [0, 5])
def test_a_status_is_treated_as_every_launcher_treats_it(place, status, retries):
  folder = place / 'big' / 'units' / 'abc'
  folder.mkdir(parents=True)
  (folder / 'retries').write_text(f'{retries}\n')
  task = start(place, f'exit {status}')
  task.communicate(timeout=30)
  assert task.returncode == status
  outcome = outcomes.decide(status, retries)
  is_again = outcome in ('again', 'later')
  assert asked(place) == ('requeue 23_1' if is_again else '')
  assert outcomes.read_retries(folder) == retries + (outcome == 'later')
  assert (folder / 'status').read_text() == f'{status}\n'


def test_a_task_takes_its_own_line_of_the_list(place):
  listed = place / 'list.txt'
  listed.write_text('first\nsecond\nthird\n')
  out, _ = start(place, 'echo "$@"', str(listed)).communicate(timeout=30)
  big = place / 'big'
  assert out.splitlines()[0] == (
    f'-m gpz_jax.commands.unit --workdir={big} --unit=second'
  )
  assert (big / 'units' / 'second' / 'status').read_text() == '0\n'


def test_without_a_unit_it_says_what_to_give(place):
  done = subprocess.run(['bash', SCRIPT], capture_output=True, text=True, check=False)
  assert done.returncode == 2
  assert 'UNIT' in done.stderr


SAVING = """
trap 'echo USR1' USR1
trap 'echo TERM' TERM
echo started
while ! [[ -e {place}/end ]]; do sleep 0.05; done
exit 75
"""


@pytest.mark.parametrize(
  ('sent', 'passed_on', 'queued'),
  [
    ([signal.SIGUSR1], ['USR1'], 'requeue 23_1'),
    # Slurm sends it to python too, and queues a preempted task itself.
    ([signal.SIGTERM], [], ''),
    ([signal.SIGUSR1, signal.SIGTERM], ['USR1'], 'requeue 23_1'),
  ],
)
def test_only_usr1_is_handed_on_and_has_the_task_queued_again(
  place, sent, passed_on, queued
):
  task = start(place, SAVING.format(place=place))
  assert task.stdout is not None
  assert task.stdout.readline() == 'started\n'
  for number in sent:
    time.sleep(0.3)  # until the script waits
    os.kill(task.pid, number)
  time.sleep(0.3)
  (place / 'end').touch()
  out, _ = task.communicate(timeout=30)
  assert out.splitlines()[:-1] == passed_on
  assert task.returncode == 75
  assert asked(place) == queued
