"""A folder of oblong grey images, without subsets: from the command to the pictures."""

import forked
import numpy as np
import pytest
from PIL import Image

from gpz_jax import results

pytestmark = pytest.mark.ci
HEIGHT, WIDTH = 48, 32


def draw(k: int, rng: np.random.Generator) -> np.ndarray:
  """A light bar on dark noise: at the top, in the middle or at the bottom."""
  pixels = rng.integers(0, 60, (HEIGHT, WIDTH))
  pixels[16 * k + 2 : 16 * k + 14, 4:-4] = 220
  return pixels.astype(np.uint8)


@pytest.fixture(scope='module')
def photos(tmp_path_factory):
  """Three classes of 28 images each, twice as large as they will be read."""
  root = tmp_path_factory.mktemp('data') / 'photos'
  rng = np.random.default_rng(0)
  for k, name in enumerate(('top', 'middle', 'bottom')):
    (root / name).mkdir(parents=True)
    for i in range(28):
      picture = Image.fromarray(draw(k, rng))
      picture.resize((2 * WIDTH, 2 * HEIGHT)).save(root / name / f'{i}.png')
  return root


@pytest.fixture(scope='module')
def finished(photos, tmp_path_factory):
  workdir = tmp_path_factory.mktemp('run') / 'grey'
  values = {
    'dataset': photos,
    'test_share': 0.25,
    'image_size': f'{HEIGHT}x{WIDTH}',
    'model': 'cnn',
    'model_options': 'width=0.0625',
    'alphas': '0',
    'splits': 'conv_2,conv_4,fc_1',
    'attack': 'inversion,rmle:steps=2:images=2:at=conv_2',
    'target_epochs': 2,
    'target_batch_size': 8,
    'decoder_epochs': 4,
    'decoder_batch_size': 4,
    'workdir': workdir,
  }
  flags = [f'--{name}={value}' for name, value in values.items()]
  cache = tmp_path_factory.mktemp('cache')
  done = forked.run('sweep', *flags, environment={'XDG_CACHE_HOME': str(cache)})
  assert done.returncode == 0, done.stderr
  return workdir, done.stdout


def test_it_says_what_was_read(finished, photos):
  out = finished[1]
  assert f'test images are 21 of the 84 in {photos}: --test_share=0.25 of each' in out
  assert '3 classes (bottom, middle, top); 48 train, 2 val, 21 test and 13 aux' in out
  assert 'grey images of 48x32' in out


def test_there_is_a_row_for_each_split(finished):
  rows = results.read_parquet(finished[0] / 'results.parquet')
  # by hand: 48 x 32 pooled two and four times, the fifth pool is none of CNN's
  shapes = {row['split']: row['activation_shape'] for row in rows}
  assert shapes['conv_2'].startswith('12x8x')
  assert shapes['conv_4'].startswith('3x2x')
  assert {row['attack'].split(':')[0] for row in rows} == {'inversion', 'rmle'}
  assert all(row['test_mse_paper'] == row['test_mse'] for row in rows)  # one channel
  assert all(np.isfinite(row['test_ssim']) for row in rows)


def test_the_pictures_are_oblong(finished):
  samples = sorted((finished[0] / 'samples').rglob('*.np[yz]'))
  assert samples
  for path in samples:
    loaded = np.load(path)
    arrays = [loaded] if path.suffix == '.npy' else [loaded[key] for key in loaded]
    images = [array for array in arrays if array.ndim == 4]
    assert all(array.shape[1:] == (HEIGHT, WIDTH, 1) for array in images), path
  with Image.open(finished[0] / 'report' / 'reconstructions.png') as sheet:
    assert sheet.width > sheet.height / 4
