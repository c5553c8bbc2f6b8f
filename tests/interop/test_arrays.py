"""Named arrays from npz and HDF5; files that could run code or are damaged."""

import pickle

import numpy as np
import pytest

from gpz_jax.interop.arrays import load_arrays
from gpz_jax.types import InputError

ARRAYS = {'a': np.arange(6.0).reshape(2, 3), 'group/b': np.ones((), np.float16)}


class Marks:
  """Unpickled, it would make a file."""

  def __init__(self, path):
    self.path = path

  def __reduce__(self):
    return (open, (str(self.path), 'w'))


def refuse(path):
  with pytest.raises(InputError) as caught:
    load_arrays(path)
  assert '\n' not in str(caught.value)
  assert str(path) in str(caught.value)
  return str(caught.value)


def test_npz(tmp_path):
  np.savez(tmp_path / 'x.npz', **ARRAYS)
  found = load_arrays(tmp_path / 'x.npz')
  assert set(found) == {'a', 'group/b'}
  assert {array.dtype for array in found.values()} == {np.dtype('float32')}
  np.testing.assert_array_equal(found['a'], ARRAYS['a'])


def test_hdf5_names_have_their_groups(tmp_path):
  h5py = pytest.importorskip('h5py', reason='h5py is an optional extra')
  with h5py.File(tmp_path / 'x.bin', 'w') as file:
    for name, array in ARRAYS.items():
      file.create_dataset(name, data=array)
  found = load_arrays(tmp_path / 'x.bin')
  assert found['group/b'] == 1
  assert found['group/b'].shape == ()
  np.testing.assert_array_equal(found['a'], ARRAYS['a'])


def test_hdf5_of_other_files_is_not_read(tmp_path):
  h5py = pytest.importorskip('h5py', reason='h5py is an optional extra')
  with h5py.File(tmp_path / 'other.h5', 'w') as file:
    file.create_dataset('secret', data=np.zeros(3))
  with h5py.File(tmp_path / 'linked.h5', 'w') as file:
    file.create_dataset('a', data=np.zeros(3))
    file['b'] = h5py.ExternalLink('other.h5', 'secret')
  assert set(load_arrays(tmp_path / 'linked.h5')) == {'a'}
  with h5py.File(tmp_path / 'virtual.h5', 'w') as file:
    layout = h5py.VirtualLayout((3,), float)
    layout[:] = h5py.VirtualSource('other.h5', 'secret', (3,))
    file.create_virtual_dataset('c', layout)
  assert "'c' lies in another file" in refuse(tmp_path / 'virtual.h5')


def test_hdf5_with_words_or_of_absurd_size_is_refused(tmp_path):
  h5py = pytest.importorskip('h5py', reason='h5py is an optional extra')
  with h5py.File(tmp_path / 'x.h5', 'w') as file:
    file.create_dataset('words', data='text')
  assert "'words' is no array of numbers" in refuse(tmp_path / 'x.h5')
  with h5py.File(tmp_path / 'y.h5', 'w') as file:  # which takes no room on disk
    file.create_dataset('a', (10**6, 10**6), 'f4', chunks=(100, 100))
  assert 'at most 2 GiB' in refuse(tmp_path / 'y.h5')


@pytest.mark.parametrize('name', ['ffhq.pkl', 'ffhq.PICKLE', 'ffhq.pth', 'ffhq'])
def test_a_pickle_is_never_loaded(name, tmp_path):
  mark, path = tmp_path / 'mark', tmp_path / name
  path.write_bytes(pickle.dumps({'G_ema': Marks(mark)}))
  message = refuse(path)
  assert not mark.exists()
  if '.p' in name.lower() and not name.endswith('pth'):
    assert 'docs/extending.md#generator-weights' in message


def test_objects_in_npz_are_never_loaded(tmp_path):
  mark = tmp_path / 'mark'
  np.savez(tmp_path / 'x.npz', a=np.array([Marks(mark)], dtype=object))
  refuse(tmp_path / 'x.npz')
  assert not mark.exists()


def test_files_that_are_no_arrays(tmp_path):
  assert 'no such file' in refuse(tmp_path / 'none.npz')
  for name in ('x.npz', 'x.h5', 'x.txt'):
    (tmp_path / name).write_text('hello')
    refuse(tmp_path / name)


@pytest.mark.parametrize('ending', ['npz', 'h5'])
def test_damaged_files_are_one_line_or_harmless(ending, tmp_path):
  path, rng = tmp_path / f'x.{ending}', np.random.default_rng(0)
  if ending == 'npz':
    np.savez(path, **ARRAYS)
  else:
    h5py = pytest.importorskip('h5py', reason='h5py is an optional extra')
    with h5py.File(path, 'w') as file:
      file.create_dataset('a', data=ARRAYS['a'])
  whole, messages = path.read_bytes(), []
  for i in range(60):
    damaged = bytearray(whole)
    if i % 3:
      for place in rng.integers(0, len(whole), 8):
        damaged[place] = rng.integers(0, 256)
    else:
      del damaged[int(rng.integers(0, len(whole))) :]
    path.write_bytes(damaged)
    try:
      load_arrays(path)
    except InputError as error:
      messages.append(str(error))
  assert len(messages) > 10
  assert not any('\n' in message for message in messages)
