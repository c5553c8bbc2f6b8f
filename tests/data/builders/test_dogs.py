"""Stanford Dogs from its three archives; its official subsets are read as one."""

import numpy as np
import published_files
import pytest

from gpz_jax import data, types
from gpz_jax.commands import prepare_data
from gpz_jax.data.builders import published


@pytest.fixture
def root(tmp_path, monkeypatch):
  monkeypatch.setattr(published, 'check', lambda files, folder: None)
  folder = tmp_path / 'manual'
  folder.mkdir()
  published_files.write_stanford_dogs(folder)
  return folder


def prepare(root):
  return prepare_data.prepare('stanford_dogs', root.parent / 'tfds', str(root))


def test_official_subsets_are_pooled_and_divided_nine_to_one(root, shapes_dir):
  folder = prepare(root)
  assert folder.name == '0.2.0'
  assert 'stanford_dogs: train 240, 30x40x3' in prepare_data.summary(
    'stanford_dogs', folder
  )
  (root.parent / 'tfds' / 'shapes').symlink_to(shapes_dir / 'shapes')
  task = data.load(
    'stanford_dogs',
    data_dir=root.parent / 'tfds',
    cache_dir=root.parent,
    image_size=16,
    aux_dataset='shapes/4_default',
  )
  assert task.class_names == tuple(name.lower() for name in published_files.DOGS)
  parts = (task.train, task.val, task.test)
  # By hand: a tenth of 240 is test, and a twentieth of the other 216 is val.
  assert [len(part) for part in parts] == [205, 11, 24]
  colours = np.concatenate([part.image.mean(axis=(1, 2)) for part in parts])
  labels = np.concatenate([part.label for part in parts])
  np.testing.assert_allclose(colours[:, 0], 2 * labels, atol=3)
  is_test = colours[:, 1] > 100  # of the official subsets
  assert np.bincount(labels).tolist() == [2] * 120
  assert np.bincount(labels[is_test]).tolist() == [1] * 120
  said = 'stanford_dogs: its official subsets train and test are read as one'
  assert said in task.notes


def test_no_pixel_is_cut_off_for_the_targets(root):
  """The paper crops dogs for the evaluator alone; here nobody's are cropped."""
  prepare(root)
  task = data.load(
    'stanford_dogs',
    data_dir=root.parent / 'tfds',
    cache_dir=root.parent,
    aux_share=0.2,
    val_share=0.0,
  )
  assert task.image_shape == (30, 40, 3)


def lose_images(root):
  whole = (root / 'images.tar').read_bytes()
  published_files.write_stanford_dogs(root, num_test=2)
  (root / 'images.tar').write_bytes(whole)


def lose_notes(root):
  whole = (root / 'annotation.tar').read_bytes()
  published_files.write_stanford_dogs(root, num_test=2)
  (root / 'annotation.tar').write_bytes(whole)


def lose_breeds(root):
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(published_files, 'DOGS', published_files.DOGS[:7])
    published_files.write_stanford_dogs(root)


def cut(name):
  def damage(root):
    data = (root / name).read_bytes()
    (root / name).write_bytes(data[:700])

  return damage


@pytest.mark.parametrize(
  ('damage', 'message'),
  [
    (lose_images, r'images.tar has 120 of the 240 images of a list'),
    (lose_notes, 'archives of Stanford Dogs in .* do not fit together'),
    (lose_breeds, 'lists.tar names 7 breeds where 120 should be'),
    (cut('lists.tar'), 'lists.tar is not a whole tar archive'),
    (cut('images.tar'), 'images.tar is not a whole tar archive'),
    (cut('annotation.tar'), 'annotation.tar is not a whole tar archive'),
  ],
)
def test_damage_is_one_line_and_leaves_nothing(damage, message, root):
  damage(root)
  with pytest.raises(types.InputError, match=message) as error:
    prepare(root)
  assert '\n' not in str(error.value)
  assert not list((root.parent / 'tfds').iterdir())
