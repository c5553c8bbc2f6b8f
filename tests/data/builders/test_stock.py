"""TFDS's own datasets from made-up files in the published forms."""

import zipfile

import numpy as np
import published_files
import pytest

from gpz_jax import data, types
from gpz_jax.data import overlaps
from gpz_jax.data.builders import published, stock


@pytest.fixture
def files(tmp_path, monkeypatch):
  """An empty folder in which made-up files pass for the published ones."""
  monkeypatch.setattr(published, 'check', lambda files, folder: None)
  folder = tmp_path / 'manual'
  folder.mkdir()
  return folder


@pytest.fixture
def data_dir(tmp_path):
  return tmp_path / 'tfds'


def load(name, data_dir, tmp_path, **options):
  return data.load(
    name, data_dir=data_dir, cache_dir=tmp_path / 'cache', val_share=0.0, **options
  )


@pytest.mark.parametrize('name', ['mnist', 'kmnist'])
def test_mnist_and_kmnist(name, files, data_dir, tmp_path):
  published_files.write_mnist(files)
  folder = stock.prepare(name, data_dir, files)
  assert folder == data_dir / name / '3.0.1'
  task = load(name, data_dir, tmp_path)
  assert len(task.train) + len(task.aux) == 6
  expected = published_files.characters(4, seed=4)
  np.testing.assert_array_equal(task.test.image[..., 0], expected[task.test.label])
  larger = load(name, data_dir, tmp_path, image_size=64)
  assert larger.image_shape == (64, 64, 1)


def test_emnist_letters_is_upright_with_26_classes(
  files, data_dir, tmp_path, monkeypatch
):
  # The made-up letters are the same in both subsets.
  monkeypatch.setattr(overlaps, 'describe', lambda task: iter(()))
  published_files.write_emnist_letters(files)
  stock.prepare('emnist/letters', data_dir, files)
  task = load('emnist/letters', data_dir, tmp_path)
  assert ''.join(task.class_names) == 'abcdefghijklmnopqrstuvwxyz'
  assert np.bincount(task.test.label).tolist() == [2] * 26
  upright = published_files.characters(52)  # their labels: a to z, twice
  pairs = zip(task.test.image, task.test.label, strict=True)
  found = {image.tobytes(): label for image, label in pairs}
  assert found == {image.tobytes(): i % 26 for i, image in enumerate(upright)}


def test_cifar10(files, data_dir, tmp_path):
  published_files.write_cifar10(files)
  stock.prepare('cifar10', data_dir, files)
  task = load('cifar10', data_dir, tmp_path, image_size=64)
  assert task.image_shape == (64, 64, 3)
  assert task.class_names == published_files.CIFAR_NAMES
  assert (len(task.train) + len(task.aux), len(task.test)) == (15, 3)
  native = load('cifar10', data_dir, tmp_path).test
  # By hand: each record is a label, then the red, the green and the blue plane.
  records = published_files.cifar_records('test_batch.bin', 3)
  for image, label in zip(native.image, native.label, strict=True):
    np.testing.assert_array_equal(image[..., 0].ravel(), records[label, 1:1025])
    np.testing.assert_array_equal(image[..., 2].ravel(), records[label, 2049:])


def test_celeb_a_is_cropped_and_can_be_kept_apart(files, data_dir, tmp_path):
  published_files.write_celeb_a(files, identities=[5, 5, 5, 6, 6, 6, 7, 7, 7])
  published_files.write_mnist(files)
  stock.prepare('celeb_a', data_dir, files)
  stock.prepare('mnist', data_dir, files)
  own = load('celeb_a', data_dir, tmp_path)
  assert own.image_shape == (108, 108, 3)
  assert own.test.image[:, 2:-2, 2:-2].min() > 240  # JPEG rings at the edges
  (tmp_path / 'list.txt').write_text('6 # in the other dataset too\n')
  task = load(
    'mnist',
    data_dir,
    tmp_path,
    image_size=64,
    aux_dataset='celeb_a',
    aux_exclude=tmp_path / 'list.txt',
  )
  names = [own.class_names[label] for label in task.aux.label]
  assert sorted(names) == ['5', '7']  # the third of each that is train
  assert task.aux.image.shape == (2, 64, 64, 1)


def test_unknown_config_is_refused(files, data_dir):
  with pytest.raises(types.InputError, match=r"'emnist' has no config ''; .*letters"):
    stock.prepare('emnist', data_dir, files)


def test_files_are_checked(tmp_path):
  published_files.write_mnist(tmp_path)
  with pytest.raises(
    types.InputError, match=r't10k-images-idx3-ubyte.gz is not .* of 1,648,877'
  ):
    stock.prepare('mnist', tmp_path / 'tfds', tmp_path)
  with pytest.raises(types.InputError, match=r'lacks cifar.*170,052,171 bytes'):
    stock.prepare('cifar10', tmp_path / 'tfds', tmp_path)


def truncate(path):
  path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def cut_labels(path):
  path.write_bytes(published_files.idx(np.zeros(5, np.uint8)))


def short_cifar(path):
  published_files.write_cifar10(path.parent, cut=7)


def no_letters(path):
  with zipfile.ZipFile(path, 'w') as archive:
    archive.writestr('gzip/other', b'')


def drop_identities(path):
  path.write_text('000001.jpg 5\n')


@pytest.mark.parametrize(
  ('name', 'file', 'damage', 'message'),
  [
    ('mnist', 'train-images-idx3-ubyte.gz', truncate, 'not a whole gzip file'),
    ('mnist', 'train-labels-idx1-ubyte.gz', cut_labels, r'labels \(5,\), not'),
    ('emnist/letters', 'gzip.zip', truncate, 'not a whole zip archive'),
    ('emnist/letters', 'gzip.zip', no_letters, 'no whole file gzip/emnist-letters'),
    ('cifar10', 'cifar-10-binary.tar.gz', truncate, 'not a whole tar.gz archive'),
    ('cifar10', 'cifar-10-binary.tar.gz', short_cifar, 'not whole records of 3073'),
    ('celeb_a', 'img_align_celeba.zip', truncate, 'not a whole zip archive'),
    ('celeb_a', 'identity_CelebA.txt', drop_identities, 'lists in .* do not fit'),
  ],
)
def test_damage_is_one_line_and_leaves_nothing(
  name, file, damage, message, files, data_dir
):
  write = {
    'mnist': published_files.write_mnist,
    'emnist/letters': published_files.write_emnist_letters,
    'cifar10': published_files.write_cifar10,
    'celeb_a': lambda folder: published_files.write_celeb_a(folder, [5, 5, 5, 5]),
  }[name]
  write(files)
  damage(files / file)
  with pytest.raises(types.InputError, match=message) as error:
    stock.prepare(name, data_dir, files)
  assert '\n' not in str(error.value)
  assert not list(data_dir.iterdir())
