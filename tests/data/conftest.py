"""Small datasets on disk: a folder of images, and `shapes` with few examples."""

import pathlib

import numpy as np
import PIL.Image
import pytest

from gpz_jax.data.builders.shapes import prepare, shapes_dataset_builder


def save(file: pathlib.Path, pixels: np.ndarray) -> None:
  file.parent.mkdir(parents=True, exist_ok=True)
  PIL.Image.fromarray(pixels).save(file)


@pytest.fixture
def write_image():
  """A function that saves pixels to a file, making its folder."""
  return save


@pytest.fixture
def grey_folder(tmp_path) -> pathlib.Path:
  """60 train and 10 test images of 8x8, each of a grey level that no other has."""
  root = tmp_path / 'grey'
  for level in range(70):
    subset = 'train' if level < 60 else 'test'
    label = 'even' if level % 2 == 0 else 'odd'
    pixels = np.full((8, 8), level, np.uint8)
    save(root / subset / label / f'{level:03}.png', pixels)
  return root


@pytest.fixture(scope='session')
def shapes_dir(tmp_path_factory) -> pathlib.Path:
  """A TFDS folder with a shapes/4_default of 60 train and 20 test examples."""
  data_dir = tmp_path_factory.mktemp('tfds')
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(shapes_dataset_builder, 'NUM_EXAMPLES', {'train': 60, 'test': 20})
    prepare.ensure_prepared('4_default', data_dir)
  return data_dir
