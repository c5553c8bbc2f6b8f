"""Arrays of Slurm on made-up units: what is submitted, and what Slurm answers."""

import pytest
from made_up_units import finish, make_units

from gpz_jax.launching import slurm, states
from gpz_jax.launching.states import Queued
from gpz_jax.launching.units import Store
from gpz_jax.types import InputError


def names(units):
  return [unit.name for unit in units]


def test_cohorts_follow_their_own_targets_and_the_merge_follows_all():
  units = make_units(3, 2)
  arrays = slurm.plan_arrays(units, names(units), {})
  assert arrays == [
    slurm.Array('targets', ('t0', 't1', 't2')),
    slurm.Array('cohort', ('c0x0', 'c0x1', 'c0x2'), (('aftercorr', 0),)),
    slurm.Array('cohort', ('c1x0', 'c1x1', 'c1x2'), (('aftercorr', 0),)),
    slurm.Array('merge', ('m',), (('afterany', 0), ('afterany', 1), ('afterany', 2))),
  ]


def test_what_has_its_targets_waits_for_nothing_and_numbers_stay_those_of_targets():
  units = make_units(3, 1)
  arrays = slurm.plan_arrays(units, ['t0', 't2', 'c0x1', 'c0x2'], {})
  assert arrays == [
    slurm.Array('targets', ('t0', 't2')),
    slurm.Array('cohort', ('c0x1',)),
    slurm.Array('cohort', ('', 'c0x2'), (('aftercorr', 0),)),
  ]
  assert [array.tasks for array in arrays] == ['0-1', '0', '1']


def test_targets_that_are_queued_are_waited_for_by_their_task():
  units = make_units(2, 1)
  queued = {'t1': Queued('23_1', 'RUNNING')}
  (array,) = slurm.plan_arrays(units, ['c0x1'], queued)
  assert array == slurm.Array('cohort', ('c0x1',), (('afterok', '23_1'),))


def test_an_array_has_no_more_tasks_than_slurm_allows():
  units = make_units(5, 1)
  arrays = slurm.plan_arrays(units, names(units), {}, most=2)
  targets = [array for array in arrays if array.kind == 'targets']
  assert [array.tasks for array in targets] == ['0-1', '0-1', '0']
  cohorts = [array for array in arrays if array.kind == 'cohort']
  assert [array.after for array in cohorts] == [(('aftercorr', i),) for i in range(3)]


def test_the_command_names_dependency_list_and_script(tmp_path):
  array = slurm.Array('cohort', ('a', '', 'b'), (('aftercorr', 0),))
  store = Store(tmp_path)
  listed = store.submitted / '1.txt'
  script = ['unit.sh', 'python', '5']
  command = slurm.make_command(array, {0: '23'}, store, listed, script, ['--time=1'])
  assert command == [
    *('sbatch', '--parsable', '--job-name=gpz-cohort', '--array=0,2', '--requeue'),
    *('--open-mode=append', '--signal=B:USR1@120', '--kill-on-invalid-dep=no'),
    f'--output={tmp_path}/submitted/%A_%a.log',
    *('--dependency=aftercorr:23', '--time=1', 'unit.sh', str(tmp_path), str(listed)),
    *('python', '5'),
  ]


def test_jobs_are_noted_and_the_queue_is_read_in_columns(tmp_path):
  store, told = Store(tmp_path), []

  def run(command):
    told.append(command)
    return f'{40 + len(told)};cluster\n'

  units = make_units(2, 1)
  arrays = slurm.plan_arrays(units, names(units), {})
  jobs = slurm.submit(arrays, store, ['unit.sh'], [], run)
  assert jobs == ['41', '42', '43']
  assert '--dependency=aftercorr:41' in told[1]
  assert '--dependency=afterany:41:42' in told[2]

  def line(*cells):
    widths = slurm.COLUMNS.values()
    return ''.join(c.ljust(w) for c, w in zip(cells, widths, strict=True)) + '\n'

  answer = (
    line('41', '1', 'RUNNING', 'node2', '3:10', '2', 'None')
    + line('42', '0', 'PENDING', '', '4:00', '0', 'DependencyNeverSatisfied')
    + line('99', '0', 'RUNNING', 'node1', '1:00', '0', 'None')  # of somebody else
    + line('7', 'N/A', 'RUNNING', 'node1', '1:00', '0', 'None')
  )
  found = slurm.ask(store, lambda command: answer)
  assert found == {
    't1': Queued('41_1', 'RUNNING', 'node2', '3:10', 2, 'None'),
    'c0x0': Queued('42_0', 'never', '', '', 0, 'DependencyNeverSatisfied'),
  }


def test_states_come_from_files_and_from_the_queue(tmp_path):
  store, units = Store(tmp_path), make_units(4, 1)
  finish(store, units[0])
  finish(store, units[4])
  (store.folder('t1')).mkdir(parents=True)
  (store.folder('t1') / 'status').write_text('2\n')
  (store.folder('t1') / 'retries').write_text('3\n')
  queued = {'t2': Queued('23_2', 'RUNNING', 'node1', '9:59', 1)}
  found = states.list_states(store, units, queued)
  assert [(s.unit.name, s.state, s.rows, s.restarts) for s in found] == [
    ('t0', 'done', 0, 0),
    ('t1', 'failed (2)', 0, 3),
    ('t2', 'running', 0, 1),
    ('t3', 'to do', 0, 0),
    ('c0x0', 'done', 2, 0),
    ('c0x1', 'waiting', 0, 0),
    ('c0x2', 'waiting', 0, 0),
    ('c0x3', 'waiting', 0, 0),
    ('m', 'waiting', 0, 0),
  ]
  table = states.format_table(found)
  assert '9:59' in table
  assert table.splitlines()[-1] == (
    '4 waiting, 2 done, 1 failed (2), 1 running, 1 to do'
  )


def test_what_slurm_says_is_handed_on_in_one_line():
  with pytest.raises(InputError, match='cannot be run'):
    slurm.run_command(['no-such-sbatch'])
  with pytest.raises(InputError, match='sh says: a b; change --sbatch'):
    slurm.run_command(['sh', '-c', 'printf "a\nb" >&2; exit 3'])
