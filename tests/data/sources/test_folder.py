import numpy as np
import pytest

from gpz_jax import data, types
from gpz_jax.data.sources import folder


def test_layout(grey_folder):
  source = folder.open_source(grey_folder)
  assert source.counts == {'train': 60, 'test': 10}
  assert source.class_names == ('even', 'odd')
  assert source.channels == 1
  examples = list(source.read('test'))
  assert [example.label for example in examples] == [0] * 5 + [1] * 5


def test_one_colour_image_makes_it_rgb(grey_folder, write_image):
  write_image(grey_folder / 'test/odd/x.jpg', np.zeros((8, 8, 3), np.uint8))
  assert folder.open_source(grey_folder).channels == 3


@pytest.mark.parametrize('subset', ['train', 'test'])
def test_missing_subset_is_named(subset, tmp_path, write_image):
  there = {'train': 'test', 'test': 'train'}[subset]
  write_image(tmp_path / there / 'a' / '0.png', np.zeros((8, 8), np.uint8))
  with pytest.raises(types.InputError, match=f'no images in {tmp_path}/{subset}'):
    folder.open_source(tmp_path)


def test_one_label_is_too_few(tmp_path, write_image):
  for subset in ('train', 'test'):
    write_image(tmp_path / subset / 'a' / '0.png', np.zeros((8, 8), np.uint8))
  with pytest.raises(types.InputError, match="the one label 'a'"):
    folder.open_source(tmp_path)


@pytest.mark.parametrize('damage', [lambda data: b'text', lambda data: data[:-30]])
def test_broken_file_is_named(damage, grey_folder, tmp_path):
  file = grey_folder / 'train' / 'odd' / '011.png'
  file.write_bytes(damage(file.read_bytes()))
  with pytest.raises(types.InputError, match=r'train/odd/011.png is not a readable'):
    data.load(f'folder:{grey_folder}', cache_dir=tmp_path / 'cache')
