"""Damaged TFDS folders: what was prepared, or one line that names the folder."""

import json
import os

import damage
import pytest

from gpz_jax import data
from gpz_jax.data import images
from gpz_jax.data.sources import prepared

NAME = 'shapes/2_low'


def read(folder) -> dict[str, bytes]:
  source = prepared.open_source(NAME, folder)
  return {
    subset: images.decode(
      source.read(subset), count, channels=source.channels, size=(16, 16)
    ).image.tobytes()
    for subset, count in source.counts.items()
  }


def files(folder) -> list[str]:
  return sorted(path.name for path in folder.iterdir())


def test_damaged_files_are_noticed_or_harmless(folder, refused):
  expected, noticed = read(folder), 0
  for name in files(folder):
    path = folder / name
    content = path.read_bytes()
    for how, bad in damage.damaged(content, range(3)):
      path.write_bytes(bad)
      found = {}
      message = refused(lambda found=found: found.update(read(folder)))
      assert not message or str(folder) in message or NAME in message, (how, message)
      if 'array_record' in name and not message:
        assert found == expected, (name, how)
      noticed += bool(message)
    path.write_bytes(content)
  assert noticed > 100


def test_absent_files(folder, refused):
  for name in files(folder):
    path = folder / name
    content = path.read_bytes()
    path.unlink()
    message = refused(read, folder)
    # names of labels alone are not missed: they are numbers then
    assert message or name == 'label.labels.txt', name
    assert not message or NAME in message or str(folder) in message, message
    path.write_bytes(content)


@pytest.mark.parametrize('count', ['13', '11', '99999999999999', '0', '-3'])
def test_counts_that_are_not_those_of_the_records(folder, count, refused):
  path = folder / 'dataset_info.json'
  info = json.loads(path.read_text())
  for split in info['splits']:
    if split['name'] == 'train':
      split['shardLengths'] = [count]
  path.write_text(json.dumps(info))
  message = refused(read, folder)
  assert not message or NAME in message or str(folder) in message
  assert message or count == '11'


@pytest.mark.parametrize(
  'name', ['x' * 300, 'a/..', '../x', 'a/../b', 'a/b/c', 'mnist:3', '', 'shapes/../x']
)
def test_names_that_are_none(name, tmp_path, refused):
  assert 'is not a dataset name' in refused(data.load, name, data_dir=tmp_path)


@pytest.mark.parametrize(
  'data_dir', ['/dev/null', '~no_such_user/x', '/' + 300 * 'x', 'a\0']
)
def test_data_folders_that_are_none(data_dir, refused):
  message = refused(data.load, 'mnist', data_dir=data_dir)
  assert data_dir.strip('\0') in message


@pytest.mark.parametrize('count', ['1000000000', '1e9', 10**9])
def test_too_many_classes(folder, count, refused):
  path = folder / 'features.json'
  features = json.loads(path.read_text())
  label = features['featuresDict']['features']['label']
  label['classLabel']['numClasses'] = count
  path.write_text(json.dumps(features))
  assert 'classes, more than 1,000,000' in refused(read, folder)


def test_pipes_in_place_of_files(folder, refused):
  for name in files(folder):
    path = folder / name
    content = path.read_bytes()
    path.unlink()
    os.mkfifo(path)
    assert f'{path} is no file' in refused(read, folder)
    path.unlink()
    path.write_bytes(content)
