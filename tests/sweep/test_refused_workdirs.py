"""A workdir that a sweep is refused in stays as it was."""

import fcntl
import json

import jax
import pytest
from refused import begin, make_config, refuse, tree

from gpz_jax.sweep import runner


def other(workdir):
  values = json.loads((workdir / 'config.json').read_text())
  (workdir / 'config.json').write_text(json.dumps(values | {'alphas': [0.2]}))


HARMS = {
  'another sweep': (other, 'holds another sweep: alphas'),
  'config': (lambda w: (w / 'config.json').write_text('{'), 'cannot read'),
  'no config': (lambda w: (w / 'config.json').unlink(), 'but no config.json'),
  'newer': (
    lambda w: (w / 'config.json').write_text('{"new": 1}'),
    'which this version of gpz_jax does not know',
  ),
  'rows': (lambda w: (w / 'results.jsonl').write_text('x\n'), 'is damaged'),
  'lines': (
    lambda w: (w / 'results.jsonl').unlink(),
    'results.jsonl is gone, and results.parquet holds rows',
  ),
  'ladder': (lambda w: (w / 'ladder.json').write_text('[]'), 'ladder.json'),
}


@pytest.mark.parametrize('harm', HARMS)
def test_a_workdir_that_cannot_be_continued_stays_as_it_is(harm, places, tmp_path):
  config = make_config(places, tmp_path / 'run')
  begin(config)
  HARMS[harm][0](tmp_path / 'run')
  before = tree(tmp_path)
  assert HARMS[harm][1] in refuse(config)
  assert tree(tmp_path) == before


def test_a_workdir_that_is_a_file_or_locked_stays_as_it_is(places, tmp_path):
  (tmp_path / 'file').write_text('a file')
  assert 'is not a folder' in refuse(make_config(places, tmp_path / 'file'))
  config = make_config(places, tmp_path / 'run')
  begin(config)
  before = tree(tmp_path)
  with (tmp_path / 'run' / 'lock').open('w') as lock:
    fcntl.flock(lock, fcntl.LOCK_EX)
    assert 'is being written by' in refuse(config)
  assert tree(tmp_path) == before


def test_targets_that_are_damaged_leave_the_workdir_as_it_was(
  places, tmp_path, monkeypatch
):
  """What is only known when the targets are read is refused after files are written."""
  monkeypatch.setattr('gpz_jax.study.targets.restore', lambda *arguments: None)
  monkeypatch.setattr(
    'gpz_jax.study.borrowing.checkpoints.read_meta',
    lambda folder: {'lanes': lanes} if 'same' in str(folder) else None,
  )
  config = make_config(places, tmp_path / 'run', targets_from='{same}')
  lanes = [lane.lane_id for lane in config.list_lanes()]
  assert 'its targets are damaged' in refuse(config)
  assert tree(tmp_path) == {}
  begin(make_config(places, tmp_path / 'run', note='as it was'))
  before = tree(tmp_path)
  assert 'its targets are damaged' in refuse(config)
  assert tree(tmp_path) == before


@pytest.mark.parametrize('folder', ['trace', '.', 'jax/cache'])
def test_what_jax_keeps_in_a_new_workdir_does_not_stand_in_its_way(
  folder, places, tmp_path
):
  path = tmp_path / 'run'
  kept = {'compile_cache': path / folder}
  with runner.opened(make_config(places, path, **kept), quiet=True) as session:
    assert session.workdir.config.is_file()
    assert jax.config.values['jax_compilation_cache_dir'] == str(path / folder)
  refuse(make_config(places, tmp_path / 'absent', splits='stam', **kept))
  assert [name.name for name in tmp_path.iterdir()] == ['run']
