"""What the flags of refused sweeps name."""

import pathlib

import numpy as np
import pytest
from PIL import Image
from refused import make_config

from gpz_jax.study.workdir import Workdir


def write_images(root: pathlib.Path, count: int, labels='ab', size=16) -> None:
  rng = np.random.default_rng(0)
  for i in range(count):
    for subset in ('train', 'test'):
      folder = root / subset / labels[i % len(labels)]
      folder.mkdir(parents=True, exist_ok=True)
      pixels = rng.integers(0, 255, (size, size, 3), np.uint8)
      Image.fromarray(pixels).save(folder / f'{i}.png')


@pytest.fixture(scope='module')
def places(tmp_path_factory) -> dict[str, pathlib.Path]:
  """What flags name, by the word for it in braces."""
  root = tmp_path_factory.mktemp('places')
  names = ('images', 'one_label', 'few', 'broken', 'sizes', 'empty', 'other', 'same')
  found = {name: root / name for name in names}
  found['empty'].mkdir()
  write_images(found['images'], 40, size=10)
  write_images(found['one_label'], 20, labels='a')
  write_images(found['few'], 2)
  write_images(found['broken'], 20)
  (found['broken'] / 'train' / 'a' / '0.png').write_bytes(b'no image')
  write_images(found['sizes'], 20)
  write_images(found['sizes'], 4, size=20)
  for name, changes in (('other', {'target_epochs': 7}), ('same', {})):
    found[name].mkdir()
    Workdir(found[name]).write_identity(make_config(found, found[name], **changes))
  found['weights'] = root / 'w.safetensors'
  numpy = pytest.importorskip('safetensors.numpy')
  numpy.save_file({'a': np.ones(3, np.float32)}, found['weights'])
  return found
