import pathlib
import time

import pytest

from gpz_jax import types
from gpz_jax.data import sources
from gpz_jax.data.sources import folder, names


def find(name, folder):
  return sources.find(name, folder)


def test_missing_data_says_at_once_where_and_what_to_run(tmp_path):
  start = time.monotonic()
  with pytest.raises(types.InputError) as error:
    find('cifar10', tmp_path)
  assert time.monotonic() - start < 2
  assert str(error.value) == (
    f"no prepared data for 'cifar10' in {tmp_path}; run: python -m "
    f'gpz_jax prepare_data --dataset=cifar10 --data_dir={tmp_path}'
  )


@pytest.mark.parametrize(
  ('name', 'message'),
  [
    ('cifr10', "unknown dataset 'cifr10'; did you mean 'cifar10'"),
    ('shape', "unknown dataset 'shape'; did you mean 'shapes'"),
    ('qqqqqq', "unknown dataset 'qqqqqq'; Known: shapes, cifar10"),
    ('shapes/51_low', "'shapes' has no config '51_low'; did you mean shapes/"),
    ('../cifar10', "'../cifar10' is not a dataset name"),
    ('', "'' is not a dataset name"),
    ('kuzushiji49/new', 'no config .new.; known: merged, official'),
    ('kuzushiji49', 'kuzushiji49/merged .*--manual_dir=DIR'),
    ('facescrub', 'prepare_data --dataset=facescrub .*--manual_dir=DIR'),
    ('facescrub/new', "'facescrub' has no config 'new'; known: 224, and none for"),
    ('emnist/letters', r"no prepared data for 'emnist/letters' .*--dataset=emnist/let"),
  ],
)
def test_bad_name(name, message, tmp_path):
  with pytest.raises(types.InputError, match=message):
    find(name, tmp_path)


def test_missing_config_names_those_that_are_there(tmp_path):
  folder = tmp_path / 'emnist' / 'letters' / '3.1.0'
  folder.mkdir(parents=True)
  (folder / 'dataset_info.json').write_text('{}')
  with pytest.raises(types.InputError, match=r'needs a config; .*: emnist/letters'):
    find('emnist', tmp_path)


def test_shapes_has_a_default_config():
  assert names.canonical_name('shapes') == 'shapes/10_default'


@pytest.mark.parametrize(
  'name',
  ['./grey', '{root}', '~/grey', 'grey', 'grey/', '../{here}/grey', 'folder:grey'],
)
def test_the_path_of_a_folder_is_one(name, grey_folder, tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  monkeypatch.setenv('HOME', str(tmp_path))
  name = name.format(root=grey_folder, here=tmp_path.name)
  source = find(name, tmp_path / 'tfds')
  assert source.counts == {'train': 60, 'test': 10}
  assert source.key == folder.open_source(grey_folder).key


def test_a_known_name_is_no_folder(grey_folder, tmp_path, monkeypatch):
  grey_folder.rename(tmp_path / 'cifar10')
  monkeypatch.chdir(tmp_path)
  with pytest.raises(types.InputError, match=r'; or give --dataset=./cifar10 for the'):
    find('cifar10', tmp_path / 'tfds')
  assert find('./cifar10', tmp_path / 'tfds').channels == 1


def test_prepared_shapes_are_found(shapes_dir):
  source = sources.find('shapes/4_default', shapes_dir)
  assert source.counts == {'train': 60, 'test': 20}


def test_default_dir(monkeypatch):
  monkeypatch.setenv('TFDS_DATA_DIR', '/some/where')
  assert sources.default_dir() == pathlib.Path('/some/where')
  monkeypatch.delenv('TFDS_DATA_DIR')
  assert sources.default_dir() == pathlib.Path.home() / 'tensorflow_datasets'


def test_shapes_need_no_folder_and_others_hear_of_them(tmp_path):
  unreadable = tmp_path / ('x' * 300)  # no system has such a name, whoever asks
  assert sources.find('shapes', unreadable).counts['train']
  with pytest.raises(types.InputError, match='take --dataset=shapes, which needs none'):
    sources.find('mnist', unreadable)
