"""Slurm itself, three nodes on this machine: what it does to units, and what is left.

The units are stand-ins that count; the script, the arrays and Slurm are real. Slurm is
slow to notice things, so all stories are begun at once and each test waits for its own.
A unit is preempted on node1 and one loses node2; all others are on node3.
"""

import fcntl
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
from made_up_units import make_units
from real_slurm import HERE, PATIENCE, ROOT, Cluster, one

from gpz_jax.launching import outcomes, slurm, states
from gpz_jax.launching.units import Store

FLAGS = [
  *('--image_size=16', '--model=tiny:Halving', '--splits=first,second', '--alphas=0'),
  *('--seeds=0,1', '--train_limit=16', '--val_limit=8'),
  *('--test_limit=8', '--aux_limit=20', '--target_epochs=1', '--decoder_epochs=1'),
  *('--target_batch_size=8', '--decoder_batch_size=8'),
]
needs_slurm = [
  pytest.mark.skipif(
    not shutil.which('slurmctld'), reason='slurmctld is not installed'
  ),
  pytest.mark.skipif(os.getuid() != 0, reason='slurmd runs as root only'),
]
pytestmark = [*needs_slurm, pytest.mark.xdist_group('slurm'), pytest.mark.ci]


Story = Callable[[pathlib.Path], None]  # of a folder of its own
STORIES: dict[str, Story] = {}


def told(story: Story):
  """Makes a test of a story, which runs beside the others."""
  STORIES[story.__name__] = story

  def test(begun: dict[str, Future[None]]):
    begun[story.__name__].result()

  test.__doc__ = story.__doc__
  return test


@pytest.fixture(scope='module')
def begun(request, tmp_path_factory):
  """The stories whose tests are to be run, all begun."""
  wanted = {item.name for item in request.session.items}
  chosen = {name: story for name, story in STORIES.items() if name in wanted}
  with ThreadPoolExecutor(len(chosen)) as pool:
    yield {
      name: pool.submit(story, tmp_path_factory.mktemp('story'))
      for name, story in chosen.items()
    }


@pytest.fixture(scope='module', autouse=True)
def cluster(tmp_path_factory):
  """Three nodes."""
  state = tmp_path_factory.mktemp('slurm')
  before = os.environ.get('SLURM_CONF')
  os.environ['SLURM_CONF'] = str(state / 'slurm.conf')
  started = subprocess.run(
    [HERE / 'start.sh', state], capture_output=True, text=True, check=False
  )
  if started.returncode:
    pytest.skip(f'Slurm does not start here: {started.stderr[-300:]}')
  yield state
  subprocess.run([HERE / 'stop.sh', state], check=False)
  if before is None:
    del os.environ['SLURM_CONF']
  else:
    os.environ['SLURM_CONF'] = before


@told
def test_every_unit_is_done_after_those_it_needs(tmp_path):
  there = Cluster(tmp_path, make_units(2, 2), 60)
  there.submit()
  there.wait_until_runs('t0')
  asked = there.ask()
  assert asked.keys() == {unit.name for unit in there.units}
  there.wait_until_done('m')
  found = states.list_states(there.store, there.units[:-1])
  assert {state.state for state in found} == {'done'}


@told
def test_a_preempted_unit_goes_on_where_it_saved(tmp_path):
  there, name = one(tmp_path, 120)
  there.submit('--partition=low', where='--nodelist=node1')
  there.wait_until_runs(name)
  other = ['sbatch', '--parsable', '--partition=high', '--nodelist=node1']
  slurm.run_command([*other, '--exclusive', '--output=/dev/null', '--wrap=sleep 2'])
  there.wait_until_done(name)
  first, second = there.history(name)
  assert first[0] == 0
  assert second[0] > 0


@pytest.mark.slow  # it waits for Slurm's least limit
@told
def test_a_unit_out_of_time_saves_and_is_queued_again(tmp_path):
  there, name = one(tmp_path, 700)
  # A minute is the least limit. The notice may come earlier than it is asked for.
  there.submit('--time=1', '--signal=B:USR1@45')
  there.wait_until_done(name)
  starts = [start for start, *_ in there.history(name)]
  assert len(starts) >= 2
  assert starts == sorted(starts)
  assert starts[-1] > 0
  assert outcomes.read_retries(there.store.folder(name)) == 0


@told
def test_cancelled_units_have_saved_and_only_those_that_were_named(tmp_path):
  there = Cluster(tmp_path, make_units(3, 0)[:3], 100)
  (job,) = there.submit()
  for name in ('t0', 't1', 't2'):
    there.wait_until_runs(name)
  slurm.run_command(['scancel', f'{job}_0', f'{job}_2'])
  there.wait_until_done('t1')
  counts = {name: there.store.workdir(name) / 'count' for name in ('t0', 't2')}
  there.wait(lambda: all(path.exists() for path in counts.values()))
  assert all(0 < int(path.read_text()) < 100 for path in counts.values())
  there.wait(lambda: not there.ask())
  there.submit(names=list(counts))
  for name in counts:
    there.wait_until_done(name)
    assert there.history(name)[1][0] > 0


@told
def test_a_unit_that_meets_another_writer_is_tried_again_later(tmp_path):
  there, name = one(tmp_path, 5)
  work = there.store.workdir(name)
  work.mkdir(parents=True)
  with (work / 'lock').open('w') as lock:
    fcntl.flock(lock, fcntl.LOCK_EX)
    there.submit()
    folder = there.store.folder(name)
    there.wait(lambda: outcomes.read_retries(folder) == 1)
    assert outcomes.read_number(folder / 'status', None) in (None, 73)
  there.wait_until_done(name)
  assert len(there.history(name)) == 1


@told
def test_a_unit_that_is_killed_is_tried_again_and_counted(tmp_path):
  there, name = one(tmp_path, 40)
  there.submit()
  there.wait_until_runs(name)
  os.kill(there.history(name)[0][1], signal.SIGKILL)
  there.wait_until_done(name)
  assert outcomes.read_retries(there.store.folder(name)) == 1


@told
def test_a_node_that_is_lost_gives_its_unit_to_another(tmp_path):
  there, name = one(tmp_path, 100)
  there.submit(where='--exclude=node1')  # node2 is the lighter one, see slurm.conf.in
  there.wait_until_runs(name)
  node = there.ask()[name].node
  assert node == 'node2'
  _, process, script = there.history(name)[0]
  stat = pathlib.Path(f'/proc/{script}/stat').read_text()
  step = int(stat.rpartition(')')[2].split()[1])
  state = pathlib.Path(os.environ['SLURM_CONF']).parent
  daemon = int((state / f'slurmd.{node}.pid').read_text())
  for number in (daemon, step, script, process):
    os.kill(number, signal.SIGKILL)
  try:
    there.wait_until_done(name)
  finally:
    subprocess.run(['slurmd', '-N', node], check=False)
  assert len(there.history(name)) == 2


@told
def test_what_waits_for_a_failed_unit_is_submitted_again_by_resume(tmp_path):
  there = Cluster(tmp_path, make_units(2, 1), 5)
  bad = there.store.folder('t1') / 'bad'
  bad.parent.mkdir(parents=True)
  bad.touch()
  there.submit()
  there.wait_until_done('c0x0')
  there.wait(lambda: there.ask().get('c0x1', ('', ''))[1] == 'never')
  command = [sys.executable, '-m', 'launch.submit', f'--workdir={there.store.path}']
  environment = os.environ | {'PYTHONPATH': os.pathsep.join([str(ROOT), *sys.path])}

  def submit(*flags):
    done = subprocess.run(
      [*command, *flags], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout

  lines = submit('--status').splitlines()
  found = {line.split()[0]: ' '.join(line.split()[2:4]) for line in lines[1:-2]}
  assert found['t0'].startswith('done')
  assert found['t1'].startswith('failed (2)')
  assert found['c0x1'].startswith('never')
  bad.unlink()
  options = ('--sbatch=--nodelist=node3', f'--python={there.python}')
  said = submit('--resume', '--cluster=slurm', *options)
  assert said.startswith('3 units in 3 arrays')  # t1, c0x1 and the merge
  again = submit('--resume', '--cluster=slurm', *options)
  assert again.startswith('nothing is to be submitted')
  there.wait_until_done('m')
  assert submit('--status').splitlines()[-1] == '5 done'


@pytest.mark.slow
def test_a_real_sweep_is_submitted_done_merged_and_sound(tmp_path):
  workdir = tmp_path / 'big'
  command = [sys.executable, '-m', 'launch.submit', f'--workdir={workdir}']
  environment = os.environ | {
    'PYTHONPATH': os.pathsep.join([str(ROOT), *sys.path]),
    'JAX_PLATFORMS': 'cpu',
  }
  sbatch = '--sbatch=--exclusive --nodelist=node1'  # one unit at a time
  done = subprocess.run(
    [*command, *FLAGS, '--cluster=slurm', sbatch],
    env=environment,
    capture_output=True,
    text=True,
    check=False,
  )
  assert done.returncode == 0, done.stderr
  store = Store(workdir)
  units = store.read()
  assert done.stdout.startswith(f'{len(units)} units in 4 arrays')
  deadline = time.monotonic() + 6 * PATIENCE
  while slurm.ask(store, slurm.run_command) and time.monotonic() < deadline:
    time.sleep(1)
  found = states.list_states(store, units)
  assert {state.state for state in found} == {'done'}, states.format_table(found)
  from gpz_jax.sweep.verify import verify  # with JAX, which no other test here needs

  verdict = verify(workdir, sample=2)
  assert verdict.problems == []
  assert verdict.num_rows == 4
