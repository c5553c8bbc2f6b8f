"""Damaged caches are made anew; damaged published files are refused."""

import gzip
import io
import struct
import warnings
import zipfile

import damage
import jax
import jax.numpy as jnp
import numpy as np
import published_files
import pytest
from jax.experimental.compilation_cache import compilation_cache

from gpz_jax.data import cache
from gpz_jax.data.builders import idx, stock
from gpz_jax.data.builders.facescrub import boxes
from gpz_jax.data.builders.kuzushiji49 import kuzushiji49_dataset_builder as kuzushiji49
from gpz_jax.models.choices import Site
from gpz_jax.training import tune
from gpz_jax.training.engine import Engine
from gpz_jax.types import Dataset

HARMLESS = (
  'flipped',
  'number',
  'crlf',
  'latin',
  'nul',
  'twice',
  'bom',
  'archive',
)  # may be
SITE = Site('dense', (3, 3), (4, 4), 2, 2)


def archive(**members: bytes) -> bytes:
  """An .npz file of raw members."""
  file = io.BytesIO()
  with zipfile.ZipFile(file, 'w') as made:
    for name, content in members.items():
      made.writestr(f'{name}.npy', content)
  return file.getvalue()


def objects() -> bytes:
  """A .npy file of pickled objects."""
  file = io.BytesIO()
  np.save(file, np.array([{}], object), allow_pickle=True)
  return file.getvalue()


def huge() -> bytes:
  """The header of an array of exabytes."""
  file = io.BytesIO()
  header = {'shape': (10**9, 10**9, 3, 3), 'fortran_order': False, 'descr': '|u1'}
  np.lib.format.write_array_header_1_0(file, header)
  return file.getvalue()


def test_damaged_decoded_images_are_decoded_again(tmp_path):
  path = tmp_path / 'images.npz'
  subset = Dataset(np.ones((4, 8, 8, 3), np.uint8), np.arange(4, dtype=np.int32))
  cache.load_or_build(path, lambda: subset)
  whole = path.read_bytes()
  crafted = [('objects', archive(image=objects(), label=objects()))]
  crafted += [('huge', archive(image=huge(), label=huge()))]
  crafted += [('text', archive(image=b'x', label=b'x'))]
  for how, content in [*damage.damaged(whole, range(8)), *crafted]:
    path.write_bytes(content)
    found = cache.load_or_build(path, lambda: subset)
    np.testing.assert_array_equal(found.image, subset.image, how)
    np.testing.assert_array_equal(found.label, subset.label, how)


def test_damaged_measurements_are_taken_again(tmp_path, monkeypatch):
  monkeypatch.setattr(tune, '_measure', lambda *arguments: {'gemm': 1.0, 'lax': 2.0})
  path = tmp_path / 'tuned.json'
  engine = Engine().resolve()

  def tuned():
    return tune.tune([SITE], engine, lanes=1, batch=2, cache=path)

  assert tuned() == ((SITE.text, 'gemm'),)
  whole = path.read_bytes()
  for how, content in damage.damaged(whole, range(5)):
    path.write_bytes(content)
    assert tuned() == ((SITE.text, 'gemm'),), how


@pytest.mark.ci
def test_a_damaged_compile_cache_is_compiled_anew(tmp_path, monkeypatch):
  before = jax.config.values['jax_compilation_cache_dir']
  try:
    jax.config.update('jax_compilation_cache_dir', str(tmp_path))
    compilation_cache.reset_cache()

    def run():
      jax.clear_caches()
      return jax.jit(lambda x: jnp.sin(x) * 3)(jnp.arange(4.0))

    expected = run()
    files = [path for path in tmp_path.iterdir() if not path.name.endswith('-atime')]
    assert files
    whole = {path: path.read_bytes() for path in files}
    for kind in ('truncated', 'empty', 'noise', 'flipped'):
      for path, content in whole.items():
        path.write_bytes(dict(damage.damaged(content, range(1)))[f'{kind} 0'])
      with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # JAX says what it could not read
        np.testing.assert_array_equal(run(), expected, kind)
  finally:
    jax.config.update('jax_compilation_cache_dir', before)
    compilation_cache.reset_cache()


def test_damaged_npz_of_kuzushiji49(tmp_path, refused):
  published_files.write_kuzushiji49(tmp_path, 7, 5)
  for kind in ('imgs', 'labels'):
    path = tmp_path / f'k49-train-{kind}.npz'
    whole = path.read_bytes()
    crafted = [('objects', archive(arr_0=objects())), ('huge', archive(arr_0=huge()))]
    crafted += [('text', archive(arr_0=b'x')), ('other', archive(x=b''))]
    for how, content in [*damage.damaged(whole, range(8)), *crafted]:
      path.write_bytes(content)
      message = refused(kuzushiji49.read_subset, tmp_path, 'train')
      assert not message or path.name in message or 'labels' in message, how
      assert message or how.startswith(HARMLESS)
    path.write_bytes(whole)


@pytest.mark.parametrize(
  'plain',
  [
    bytes([0, 0, 8, 3]) + struct.pack('>3I', 2**32 - 1, 2**32 - 1, 2**32 - 1),
    bytes([0, 0, 8, 255]),
    bytes([0, 0, 9, 1]) + struct.pack('>I', 0),
    bytes([0, 0, 8]),
    b'',
  ],
  ids=range(5),
)
def test_idx_files_that_lie(plain, refused):
  message = refused(idx.parse, gzip.compress(plain), 'images.gz')
  assert message.startswith('images.gz ')
  assert 'fetch it again' in message


def test_damaged_idx_files(refused):
  whole = published_files.idx(published_files.characters(3))
  noticed = 0
  for how, content in damage.damaged(whole, range(12)):
    message = refused(idx.parse, content, 'images.gz')
    assert not message or message.startswith('images.gz '), how
    noticed += bool(message)
  assert noticed > 90


def test_damaged_archives(tmp_path, refused, monkeypatch):
  """Behind the checksums, which would refuse every one of these."""
  monkeypatch.setattr(stock.published, 'check', lambda files, folder: None)
  published_files.write_emnist_letters(tmp_path, 26)
  published_files.write_cifar10(tmp_path, 1)
  readers = {
    'gzip.zip': lambda: stock._read_emnist(None, 'letters', tmp_path),
    'cifar-10-binary.tar.gz': lambda: stock._read_cifar10(_Builder(), '', tmp_path),
  }
  for name, reader in readers.items():
    path = tmp_path / name
    whole = path.read_bytes()
    for how, content in damage.damaged(whole, range(4)):
      path.write_bytes(content)
      message = refused(lambda reader=reader: [list(e) for e in reader().values()])
      assert not message or name in message, (how, message)


class _Builder:
  """What `_read_cifar10` sets the names of labels on."""

  class info:  # noqa: N801 as TFDS has it
    features = {'label': type('Label', (), {})()}  # noqa: RUF012


def test_damaged_lists_of_faces(tmp_path, refused):
  path = tmp_path / boxes.OWN_LIST
  whole = b'a/1.jpg,1,2,30,40\nb/2.jpg,5,6,70,80\n'
  for how, content in damage.damaged(whole, range(10)):
    path.write_bytes(content)
    message = refused(boxes.read, tmp_path)
    assert not message or boxes.OWN_LIST in message, how
