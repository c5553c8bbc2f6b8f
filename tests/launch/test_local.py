"""A pool of processes on this machine: real units, two kills, a resume and a merge."""

import contextlib
import fcntl
import json
import os
import pathlib
import shutil

import pools
import pytest
from faults import harness

from gpz_jax import results, sweep
from gpz_jax.commands.sweep import parse_config
from gpz_jax.launching import local, outcomes, states
from gpz_jax.launching.merge import merge
from gpz_jax.launching.units import Store
from gpz_jax.sweep.verify import verify
from gpz_jax.types import BusyError, InputError

FLAGS = [
  '--image_size=16',
  '--model=tiny:Halving',
  '--splits=first,second',  # two shapes of activation
  '--alphas=0',
  '--seeds=0,1',
  '--train_limit=16',
  '--val_limit=8',
  '--test_limit=8',
  '--aux_limit=20',
  '--target_epochs=1',
  '--target_batch_size=8',
  '--decoder_epochs=1',
  '--decoder_batch_size=8',
  '--strategy=map',
]


@pytest.fixture(scope='module')
def both(tmp_path_factory):
  """The sweep in one process, and in units that are hurt."""
  return pools.do_both('sweep', tmp_path_factory.mktemp('both'), FLAGS)


@pytest.fixture(scope='module')
def whole(both):
  return both / 'whole'


@pytest.fixture(scope='module')
def merged(both):
  return both / 'big'


@pytest.mark.ci
def test_the_rows_are_those_of_one_process_bit_for_bit(whole, merged):
  rows = harness.metrics(merged)
  assert len(rows) == 4
  assert harness.differences(rows, harness.metrics(whole)) == []


@pytest.mark.ci
def test_the_merged_workdir_verifies(merged):
  verdict = verify(merged, sample=4)
  assert verdict.problems == []
  assert verdict.rescored.done == 4
  assert verdict.num_checkpoints == 5  # the targets, and a decoder for each row


@pytest.mark.ci
def test_the_page_shows_what_one_process_shows(whole, merged):
  def strip(folder):
    return sorted(path.name for path in (folder / 'samples').iterdir())

  assert strip(merged) == strip(whole)
  page = (merged / 'report' / 'index.html').read_text()
  assert 'is not finished' not in page


@pytest.mark.ci
def test_the_killed_unit_was_counted_and_all_is_listed_as_done(merged):
  store = Store(merged)
  units = store.read()
  found = states.list_states(store, units)
  assert [state.state for state in found] == ['done'] * 7
  assert sum(outcomes.read_retries(store.folder(u.name)) for u in units) >= 1
  assert [unit.kind for unit in units] == [*['targets'] * 2, *['cohort'] * 4, 'merge']


@pytest.mark.ci
def test_a_sweep_of_the_merged_workdir_has_nothing_to_do(merged, capsys):
  before = (merged / 'results.jsonl').read_bytes()
  sweep.run(parse_config([f'--flagfile={merged}/run.flags']))
  assert '4 rows are there already' in capsys.readouterr().out
  assert (merged / 'results.jsonl').read_bytes() == before


def copy_units(merged, path) -> Store:
  """The units of a merged workdir, before it was merged."""
  store = Store(path)
  shutil.copytree(merged / 'units', store.units)
  shutil.copyfile(merged / 'units.jsonl', store.list)
  return store


@contextlib.contextmanager
def held(lock: pathlib.Path):
  """Another process writes that folder, as far as anyone can see."""
  with lock.open('w') as file:
    file.write('process 7 on node1\n')
    file.flush()
    fcntl.flock(file, fcntl.LOCK_EX)
    yield


@pytest.mark.ci
def test_a_unit_may_still_run_but_one_merge_at_a_time(merged, tmp_path):
  store = copy_units(merged, tmp_path / 'running')
  units = store.read()
  config = parse_config([*units[-1].flags, f'--workdir={store.path}'])
  last = units[-2]
  with held(store.workdir(last.name) / 'lock'):
    found = merge(config, units, quiet=True)
  assert found.is_whole
  assert found.gaps == [
    f'unit {last.name} ({last.title}) is still running: 1 rows so far'
  ]
  with (
    held(store.path / 'lock'),
    pytest.raises(BusyError, match='is being written by process 7 on node1'),
  ):
    merge(config, units, quiet=True)


@pytest.mark.ci
def test_a_part_is_merged_and_says_what_is_missing(merged, tmp_path):
  store = copy_units(merged, tmp_path / 'part')
  units = store.read()
  absent, torn, hurt, sound = (u for u in units if u.kind == 'cohort')
  shutil.rmtree(store.folder(absent.name))
  (store.workdir(torn.name) / 'results.jsonl').write_text('no row\n')
  (array,) = store.workdir(hurt.name).glob('decoders/*/0/state/d/*')
  array.write_bytes(b'')
  flags = [*units[-1].flags, f'--workdir={store.path}']
  found = merge(parse_config(flags), units, quiet=True)
  assert (len(found.rows), found.total) == (1, 4)
  text = '\n'.join(found.gaps)
  for unit, words in (
    (absent, 'has not begun'),
    (torn, 'is damaged'),
    (hurt, 'is damaged: the decoders of 1 rows are damaged or gone'),
  ):
    assert f'unit {unit.name} ({unit.title}) {words}' in text
  assert sound.name not in text
  page = (store.path / 'report' / 'index.html').read_text()
  assert 'This page shows 1 of 4 lanes' in page
  assert results.read_object(store.merged)['of'] == 4
  assert not (store.path / 'results.parquet').exists()

  config = store.workdir(sound.name) / 'config.json'
  values = json.loads(config.read_text())
  config.write_text(json.dumps(values | {'decoder_epochs': 2}))
  with pytest.raises(InputError, match='decoder_epochs is 2 there and 1 in the whole'):
    merge(parse_config(flags), units, quiet=True)


def test_the_cores_are_shared_and_a_gpu_goes_to_one_process(monkeypatch):
  monkeypatch.setattr(local, 'list_gpus', list)
  monkeypatch.setattr(os, 'sched_getaffinity', lambda pid: set(range(8)))
  cores = [sorted(slot.cores or ()) for slot in local.make_slots(3)]
  assert cores == [[0, 1], [2, 3], [4, 5]]
  monkeypatch.setattr(local, 'list_gpus', lambda: ['0', '1'])
  assert [slot.gpu for slot in local.make_slots(2)] == ['0', '1']
  with pytest.raises(InputError, match='this machine has 2; give local:2'):
    local.make_slots(3)
