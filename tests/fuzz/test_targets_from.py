"""A damaged sweep to take targets from: none are taken, or the whole ones."""

import dataclasses
import shutil

import damage
import numpy as np
import pytest
import tiny

from gpz_jax import checkpoints
from gpz_jax.study import borrowing
from gpz_jax.study.workdir import Workdir

KINDS = ('truncated', 'flipped', 'empty', 'noise', 'nested', 'list')


@pytest.fixture(scope='module')
def finished(tmp_path_factory):
  """A workdir with what passes for targets."""
  workdir = tmp_path_factory.mktemp('finished') / 'run'
  config = tiny.sweep_config(workdir)
  workdir.mkdir(parents=True, exist_ok=True)
  Workdir(workdir).write_identity(config)
  ids = [lane.lane_id for lane in config.list_lanes()]
  meta = {'lanes': ids, 'environment': {}, 'changed': ''}
  checkpoints.save(workdir / 'targets', {'a': np.arange(6.0)}, meta)
  return workdir


@pytest.fixture
def source(finished, tmp_path):
  return shutil.copytree(finished, tmp_path / 'source')


@pytest.fixture
def config(source, tmp_path):
  return tiny.sweep_config(tmp_path / 'run', targets_from=str(source))


def test_damaged_files(source, config, tmp_path, refused):
  own = dataclasses.replace(config, workdir=str(source))
  files = [path for path in source.rglob('*') if path.is_file()]
  noticed = 0
  for path in files:
    whole = path.read_bytes()
    for how, content in damage.damaged(whole or b'\0', range(1)):
      if how.split()[0] not in KINDS:
        continue
      path.write_bytes(content)
      message = refused(borrowing.locate, config)
      assert not message or '--targets_from' in message, (path, how)
      noticed += bool(message)
      borrowing.has_targets(own)
      found = checkpoints.restore(source / 'targets', {'a': np.zeros(6)}, say=str)
      if found is not None:
        np.testing.assert_array_equal(found[0]['a'], np.arange(6.0))
    path.write_bytes(whole)
  assert noticed > 10
  assert not (tmp_path / 'run').exists()


def test_an_intact_one_is_found(source, config):
  np.testing.assert_array_equal(borrowing.locate(config), [0])


@pytest.mark.parametrize('name', ['.', 'nowhere', 'x' * 300, '/dev/null'])
def test_folders_that_are_no_sweep(config, name, refused):
  strange = dataclasses.replace(config, targets_from=name)
  message = refused(borrowing.locate, strange)
  assert message.startswith('--targets_from=')
  assert 'give the workdir of one' in message


def test_a_folder_that_cannot_be_named(config, refused):
  message = refused(dataclasses.replace, config, targets_from='a\0b')
  assert message.startswith('--targets_from=a\\x00b is not allowed')


def test_targets_that_say_nothing_of_their_lanes(source, config, refused):
  shutil.rmtree(source / 'targets')
  checkpoints.save(source / 'targets', {'a': np.zeros(2)}, {})
  message = refused(borrowing.locate, config)
  assert 'lacks the targets of 1 of 1' in message
  own = dataclasses.replace(config, workdir=str(source), targets_from=None)
  assert not borrowing.has_targets(own)
