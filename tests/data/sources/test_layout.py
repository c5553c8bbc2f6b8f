"""Folders of images as people have them: names of subsets, and flat ones."""

import numpy as np
import pytest

from gpz_jax import data, types
from gpz_jax.data import sources
from gpz_jax.data.sources import folder

PARTS = ('train', 'val', 'test', 'aux')


@pytest.fixture
def fill(tmp_path, write_image):
  """A function that writes grey images, each of a level that no other has."""
  levels = iter(range(256))

  def fill(where, count, labels=('a', 'b'), shape=(6, 8)):
    for label in labels:
      for _ in range(count):
        level = next(levels)
        pixels = np.full(shape, level, np.uint8)
        write_image(tmp_path / where / label / f'{level:03}.png', pixels)

  return fill


def load(root, **options) -> types.Task:
  return data.load(str(root), cache_dir=root.parent / 'cache', **options)


def levels(subset: types.Dataset) -> list[int]:
  return sorted(subset.image[:, 0, 0, 0].tolist())


def sizes(task: types.Task) -> list[int]:
  return [len(getattr(task, part)) for part in PARTS]


@pytest.mark.parametrize('name', ['validation', 'valid', 'dev', 'val', 'Validation'])
@pytest.mark.parametrize(('train', 'test'), [('train', 'test'), ('TRAINING', 'eval')])
def test_subsets_have_the_names_of_imagefolder(name, train, test, fill, tmp_path):
  for where, count in ((train, 10), (name, 2), (test, 3)):
    fill(where, count)
  task = load(tmp_path)
  assert sizes(task) == [16, 4, 6, 4]  # a fifth of 20 is aux, the rest is the owner's
  assert levels(task.val) == [20, 21, 22, 23]
  assert levels(task.test) == list(range(24, 30))
  assert task.notes == (
    f'{tmp_path}: train images from {train}/, test images from {test}/, val images from'
    f' {name}/',
    'data: 2 classes (a, b); 16 train, 4 val, 6 test and 4 aux grey images of 6x8',
  )


def test_validation_is_the_test_where_there_is_no_other(fill, tmp_path):
  fill('train', 10)
  fill('val', 3)
  task = load(tmp_path)
  assert sizes(task) == [15, 1, 6, 4]
  assert levels(task.test) == list(range(20, 26))
  assert 'test images come from val/: there is no folder test' in task.notes
  held = load(tmp_path, test_share=0.2)
  assert sizes(held) == [13, 6, 4, 3]
  assert levels(held.val) == list(range(20, 26))


def test_the_first_name_is_taken_and_other_folders_are_named(fill, tmp_path):
  for name in ('train', 'training', 'test', 'extra'):
    fill(name, 3)
  task = load(tmp_path)
  assert levels(task.test) == list(range(12, 18))
  assert f'{tmp_path}: not read: extra/, training/' in task.notes


def test_classes_without_images_are_named(fill, tmp_path):
  fill('train', 5, ('a', 'b', 'c'))
  fill('test', 2, ('a', 'b'))
  notes = ' '.join(load(tmp_path).notes)
  assert "there are no test images of 1 of 3 classes, the first of them 'c'" in notes


def test_flat_folders_are_divided_class_by_class(fill, tmp_path):
  root = tmp_path / 'flat'
  fill('flat', 20, ('a',))
  fill('flat', 10, ('b',))
  task = load(root, test_share=0.2)
  assert sizes(task) == [18, 1, 6, 5]
  assert np.bincount(task.test.label).tolist() == [4, 2]
  together = [level for part in PARTS for level in levels(getattr(task, part))]
  assert sorted(together) == list(range(30))
  assert task.notes == (
    f'test images are 6 of the 30 in {root}: --test_share=0.2 of each class (2 to 4),'
    ' chosen by their names',
    'data: 2 classes (a, b); 18 train, 1 val, 6 test and 5 aux grey images of 6x8',
    "there are no val images of 1 of 2 classes, the first of them 'b'",
  )


def test_test_images_depend_on_names_alone(fill, tmp_path, write_image):
  fill('flat', 20)
  root = tmp_path / 'flat'
  test = levels(load(root, test_share=0.25).test)
  assert levels(load(root, test_share=0.25, data_seed=7).test) == test
  assert levels(load(root, test_share=0.25, image_size=4).test) == test
  root.rename(tmp_path / 'moved')
  moved = tmp_path / 'moved'
  assert levels(load(moved, test_share=0.25).test) == test
  write_image(moved / 'a' / 'new.png', np.full((6, 8), 99, np.uint8))
  assert len(set(test) - set(levels(load(moved, test_share=0.25).test))) <= 1
  assert levels(load(moved, test_share=0.5).test) != test  # another file in the cache


def test_train_alone_is_divided_too(fill, tmp_path):
  fill('train', 10)
  assert len(load(tmp_path, test_share=0.3).test) == 6


@pytest.mark.parametrize(
  ('share', 'message'),
  [
    (0.05, r"class 'b' has 5 images, .*=0.05 leaves it no test image; give .* 0.1"),
    (0.95, "class 'b' has 5 images, .* nothing but test images; give .* and 0.9"),
    (None, r'no folder train or test \(its folders: a, b\); .* set --test_share=0.2'),
  ],
)
def test_a_share_that_leaves_a_class_nothing_is_refused(share, message, fill, tmp_path):
  fill('flat', 20, ('a',))
  fill('flat', 5, ('b',))
  with pytest.raises(types.InputError, match=message):
    load(tmp_path / 'flat', test_share=share)


def test_one_image_cannot_be_divided(fill, tmp_path):
  fill('flat', 5, ('a',))
  fill('flat', 1, ('b',))
  with pytest.raises(types.InputError, match=r"'b' has 1 image, .* add images, or"):
    load(tmp_path / 'flat', test_share=0.5)


def test_a_share_beside_test_images_is_refused(fill, tmp_path, shapes_dir):
  fill('train', 5)
  fill('test', 5)
  with pytest.raises(types.InputError, match=r'test images of its own in .*test; lea'):
    load(tmp_path, test_share=0.2)
  with pytest.raises(types.InputError, match='shapes/4_default has a test subset'):
    sources.find('shapes/4_default', shapes_dir, test_share=0.2)


def test_aux_needs_no_test_images(fill, tmp_path):
  fill('own/train', 5)
  fill('own/test', 2)
  fill('flat', 6, ('x', 'y'))
  task = load(tmp_path / 'own', aux_dataset=str(tmp_path / 'flat'))
  assert levels(task.aux) == list(range(14, 26))
  with pytest.raises(types.InputError, match='is the dataset itself'):
    load(tmp_path / 'flat', aux_dataset=f'folder:{tmp_path}/flat', test_share=0.5)


def test_a_folder_of_other_things_is_given_up(tmp_path):
  for name in ('a', 'b'):
    (tmp_path / name).mkdir()
    for i in range(501):
      (tmp_path / name / f'{i}.txt').touch()
  with pytest.raises(types.InputError, match='more than 1000 other files'):
    folder.open_source(tmp_path, test_share=0.2)


def test_no_folder_and_an_empty_one(tmp_path):
  with pytest.raises(types.InputError, match=f'{tmp_path}/no is no folder'):
    folder.open_source(tmp_path / 'no')
  with pytest.raises(types.InputError, match=r'its folders: none'):
    folder.open_source(tmp_path)
  with pytest.raises(types.InputError, match='no images in'):
    folder.open_source(tmp_path, test_share=0.2)
