import json
import os
import pathlib
import shutil

import pytest

from gpz_jax import data, types
from gpz_jax.data import images
from gpz_jax.data.builders.shapes import prepare as shapes_prepare
from gpz_jax.data.builders.shapes import shapes_dataset_builder
from gpz_jax.data.sources import prepared


@pytest.fixture
def folder(shapes_dir, tmp_path):
  """A copy of the small shapes/4_default that a test may damage."""
  version = prepared.version_folder(shapes_dir, 'shapes/4_default')
  assert version is not None
  return shutil.copytree(version, tmp_path / 'copy' / version.name)


def edit(file, change):
  content = json.loads(file.read_text())
  change(content)
  file.write_text(json.dumps(content))


def test_reads_encoded_images(folder):
  source = prepared.open_source('shapes/4_default', folder)
  assert source.counts == {'train': 60, 'test': 20}
  assert source.class_names == ('disc', 'triangle', 'plus', 'ring')
  subset = images.decode(source.read('test'), 20, channels=3, size=None)
  assert subset.image.shape == (20, 64, 64, 3)
  assert sorted(subset.label.tolist()) == sorted([0, 1, 2, 3] * 5)


@pytest.mark.parametrize(
  ('name', 'version', 'shape'),
  [('cifar10', '3.0.2', (32, 32, 3)), ('mnist', '3.0.1', (28, 28, 1))],
)
def test_reads_real_data(name, version, shape, real_data_dir):
  folder = prepared.version_folder(pathlib.Path(real_data_dir), name)
  assert folder is not None
  assert folder.name == version
  source = prepared.open_source(name, folder)
  assert source.counts['test'] == 10_000
  assert len(source.class_names) == 10
  first = [example for example, _ in zip(source.read('test'), range(3), strict=False)]
  subset = images.decode(first, 3, channels=source.channels, size=None)
  assert subset.image.shape == (3, *shape)


def test_newest_version_wins(tmp_path):
  for version in ('1.9.0', '1.10.0', '1.2.0.incomplete', 'x.y.z'):
    (tmp_path / 'a' / version).mkdir(parents=True)
    (tmp_path / 'a' / version / 'dataset_info.json').write_text('{}')
  (tmp_path / 'a' / '2.0.0').mkdir()  # without an info file it is not complete
  folder = prepared.version_folder(tmp_path, 'a')
  assert folder is not None
  assert folder.name == '1.10.0'
  assert prepared.version_folder(tmp_path, 'b') is None


def test_truncated_records_are_reported(folder):
  file = next(folder.glob('shapes-test*'))
  file.write_bytes(file.read_bytes()[:1000])
  source = prepared.open_source('shapes/4_default', folder)
  with pytest.raises(types.InputError, match="cannot read the test subset of 'shapes"):
    list(source.read('test'))


def test_damaged_info_is_reported(folder):
  (folder / 'dataset_info.json').write_text('{"name": ')
  with pytest.raises(types.InputError, match='not a readable TFDS folder'):
    prepared.open_source('shapes/4_default', folder)


def test_tfrecord_is_refused(folder):
  def to_tfrecord(info):
    info['fileFormat'] = 'tfrecord'
    for split in info['splits']:
      split['filepathTemplate'] = '{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}'

  edit(folder / 'dataset_info.json', to_tfrecord)
  with pytest.raises(
    types.InputError, match=r'tfrecord.*prepare_data --dataset=shapes'
  ):
    prepared.open_source('shapes/4_default', folder)


def test_dataset_without_labels_is_refused(folder):
  def drop_label(features):
    del features['featuresDict']['features']['label']

  edit(folder / 'features.json', drop_label)
  with pytest.raises(types.InputError, match='has no label of type ClassLabel'):
    prepared.open_source('shapes/4_default', folder)


def test_images_of_floats_are_refused(folder):
  """TFDS keeps a float as the four bytes of a pixel, which would be read as noise."""

  def make_floats(features):
    image = features['featuresDict']['features']['image']['image']
    image |= {'dtype': 'float32', 'shape': {'dimensions': ['64', '64', '1']}}

  edit(folder / 'features.json', make_floats)
  with pytest.raises(types.InputError, match='has images of float32; prepare it again'):
    prepared.open_source('shapes/4_default', folder)


def prepare(builder, data_dir, monkeypatch, *, turned: bool) -> None:
  """Makes a shapes/4_default of a few examples, whose labels may each be the next."""
  make = builder.make_examples

  def relabel(*args):
    image, label = make(*args)
    return image, (label + 1) % 4

  with monkeypatch.context() as patch:
    patch.setattr(builder, 'NUM_EXAMPLES', {'train': 12, 'test': 8})
    if turned:
      patch.setattr(builder, 'make_examples', relabel)
    shapes_prepare.ensure_prepared('4_default', data_dir)


def test_the_cache_knows_data_prepared_again_and_data_of_another_folder(
  tmp_path, monkeypatch
):
  def labels(data_dir):
    task = data.load(
      'shapes/4_default', data_dir=data_dir, cache_dir=tmp_path / 'cache', image_size=4
    )
    return task.test.label.tolist()

  first, second = tmp_path / 'first', tmp_path / 'second'
  prepare(shapes_dataset_builder, first, monkeypatch, turned=False)
  before = labels(first)
  prepare(shapes_dataset_builder, second, monkeypatch, turned=True)
  infos = [next(d.glob('shapes/*/*/dataset_info.json')) for d in (first, second)]
  assert infos[0].read_text() == infos[1].read_text()  # it does not tell them apart
  corrected = [(label + 1) % 4 for label in before]
  assert labels(second) == corrected
  shutil.rmtree(first)
  prepare(shapes_dataset_builder, first, monkeypatch, turned=True)
  assert labels(first) == corrected


def test_the_key_names_the_folder_and_each_file_that_is_read(folder):
  key = prepared.open_source('shapes/4_default', folder).key
  assert prepared.open_source('shapes/4_default', folder).key == key
  copy = shutil.copytree(folder, folder.parent / 'again' / folder.name)  # keeps times
  assert prepared.open_source('shapes/4_default', copy).key != key
  shard = next(folder.glob('shapes-test*'))
  facts = shard.stat()
  os.utime(shard, ns=(facts.st_atime_ns, facts.st_mtime_ns + 1))
  assert prepared.open_source('shapes/4_default', folder).key != key
