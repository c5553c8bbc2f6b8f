import numpy as np
import pytest

from gpz_jax import types
from gpz_jax.data import cache


def make_subset() -> types.Dataset:
  image = np.arange(2 * 8 * 8, dtype=np.uint8).reshape(2, 8, 8, 1)
  return types.Dataset(image, np.array([0, 1], np.int32))


def never():
  raise AssertionError('built again')


def test_second_load_reads_what_the_first_built(tmp_path):
  path = tmp_path / 'new' / 'subset.npz'
  cache.load_or_build(path, make_subset)
  again = cache.load_or_build(path, never)
  np.testing.assert_array_equal(again.image, make_subset().image)
  np.testing.assert_array_equal(again.label, make_subset().label)
  assert [file.name for file in path.parent.iterdir()] == ['subset.npz']


def flip_a_pixel(data: bytes) -> bytes:
  at = data.index(make_subset().image.tobytes()) + 50
  return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


@pytest.mark.parametrize(
  'damage', [lambda data: data[:100], lambda data: b'', lambda data: b'x', flip_a_pixel]
)
def test_damaged_file_is_rebuilt(tmp_path, damage):
  path = tmp_path / 'subset.npz'
  cache.load_or_build(path, make_subset)
  path.write_bytes(damage(path.read_bytes()))
  built = []
  subset = cache.load_or_build(path, lambda: built.append(1) or make_subset())
  assert built
  np.testing.assert_array_equal(subset.image, make_subset().image)
  cache.load_or_build(path, never)


def test_interrupted_write_leaves_nothing(tmp_path, monkeypatch):
  def interrupt(file, **arrays):
    file.write(b'half')
    raise KeyboardInterrupt

  monkeypatch.setattr(np, 'savez', interrupt)
  with pytest.raises(KeyboardInterrupt):
    cache.load_or_build(tmp_path / 'subset.npz', make_subset)
  assert not list(tmp_path.iterdir())


def test_unwritable_folder_is_named(tmp_path):
  (tmp_path / 'file').write_text('')
  path = tmp_path / 'file' / 'subset.npz'
  with pytest.raises(types.InputError, match=r'cannot write .*subset.npz.*cache_dir'):
    cache.load_or_build(path, make_subset)


def test_default_dir_follows_xdg(monkeypatch, tmp_path):
  monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
  assert cache.default_dir() == tmp_path / 'gpz_jax' / 'data'
