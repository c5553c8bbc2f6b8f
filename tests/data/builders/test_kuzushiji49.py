import pickle

import numpy as np
import published_files
import pytest

from gpz_jax import data, types
from gpz_jax.data.builders import kuzushiji49, published, writing
from gpz_jax.data.builders.kuzushiji49 import kuzushiji49_dataset_builder as builder


@pytest.fixture
def files(tmp_path, monkeypatch):
  """A folder with made-up files that pass for the published ones."""
  folder = tmp_path / 'manual'
  folder.mkdir()
  published_files.write_kuzushiji49(folder)
  unchecked = tuple(published.File(file.name, file.size) for file in builder.FILES)
  monkeypatch.setattr(builder, 'FILES', unchecked)
  return folder


def prepare(files, data_dir, config='merged'):
  return writing.write(
    f'kuzushiji49/{config}',
    lambda folder: kuzushiji49.Builder(
      data_dir=folder, config=config, file_format='array_record'
    ),
    data_dir,
    files,
  )


def test_merged_is_divided_as_in_the_paper(files, tmp_path):
  folder = prepare(files, tmp_path / 'tfds')
  assert folder == tmp_path / 'tfds' / 'kuzushiji49' / 'merged' / '1.0.0'
  task = data.load(
    'kuzushiji49', data_dir=tmp_path / 'tfds', cache_dir=tmp_path, image_size=64
  )
  sizes = [len(part) for part in (task.train, task.val, task.test, task.aux)]
  assert sizes == [66, 4, 15, 15]  # 70 / 15 / 15 of 100, 5% of the 70 held out
  assert task.num_classes == 49
  assert task.image_shape == (64, 64, 1)


def test_official_keeps_the_published_subsets_and_pixels(files, tmp_path):
  prepare(files, tmp_path / 'tfds', 'official')
  task = data.load(
    'kuzushiji49/official', data_dir=tmp_path / 'tfds', cache_dir=tmp_path
  )
  assert len(task.test) == 30
  expected = published_files.characters(30, seed=30)  # in the order of the labels
  np.testing.assert_array_equal(task.test.image[..., 0], expected[task.test.label])


def test_class_names_are_distinct():
  assert len(set(builder.CLASS_NAMES)) == 49


def test_missing_files_are_named(files, tmp_path):
  (files / 'k49-train-imgs.npz').unlink()
  (files / 'k49-test-labels.npz').unlink()
  with pytest.raises(
    types.InputError,
    match=r'lacks k49-train-imgs.npz \(63 MB\), k49-test-labels.npz \(50 KB\)',
  ):
    prepare(files, tmp_path / 'tfds')


def test_made_up_files_fail_the_checksum(tmp_path):
  published_files.write_kuzushiji49(tmp_path)
  with pytest.raises(types.InputError, match=r'imgs.npz is not .* its md5 is not 7ac0'):
    prepare(tmp_path, tmp_path / 'tfds')


def truncate(path):
  path.write_bytes(path.read_bytes()[:-200])


def replace_pickle(path):
  path.write_bytes(pickle.dumps([1, 2, 3]))


def replace_objects(path):
  np.savez(path, np.array([{}, {}], object))


def rename_key(path):
  np.savez(path, other=np.zeros((70, 28, 28), np.uint8))


def replace_floats(path):
  np.savez(path, np.zeros((70, 28, 28)))


def replace_npy(path):
  with path.open('wb') as file:
    np.save(file, np.zeros((70, 28, 28), np.uint8))


@pytest.mark.parametrize(
  ('damage', 'message'),
  [
    (truncate, 'not a readable .npz file'),
    (replace_pickle, 'pickled objects, which are never loaded'),
    (replace_objects, 'pickled objects, which are never loaded'),
    (rename_key, 'with an array arr_0'),
    (replace_floats, r'holds float64 \(70, 28, 28\), not uint8'),
    (replace_npy, 'a single array'),
  ],
)
def test_damage_is_one_line_and_leaves_nothing(damage, message, files, tmp_path):
  damage(files / 'k49-train-imgs.npz')
  with pytest.raises(
    types.InputError, match=f'k49-train-imgs.npz .*{message}'
  ) as error:
    prepare(files, tmp_path / 'tfds')
  assert '\n' not in str(error.value)
  assert not list((tmp_path / 'tfds').iterdir())


@pytest.mark.parametrize(
  ('label', 'message'),
  [
    (np.zeros(69, np.uint8), r'uint8 \(69,\), not one integer for each of 70'),
    (np.zeros(70), 'float64'),
    (np.full(70, 49, np.uint8), 'labels 49 to 49, not 0 to 48'),
  ],
)
def test_other_labels_are_refused(label, message, files):
  np.savez(files / 'k49-train-labels.npz', label)
  with pytest.raises(types.InputError, match=message):
    builder.read_subset(files, 'train')
