"""Named arrays from files of any format that can be read without running code."""

# pyright: reportMissingImports=false
# (h5py is optional: lint must pass without)

import os
import pathlib
import warnings
import zipfile

import numpy as np

from gpz_jax.interop.files import load_state_dict
from gpz_jax.types import InputError, first_line

_HDF5 = b'\x89HDF\r\n\x1a\n'
_PICKLES = ('.pkl', '.pickle')
# The largest array of a published StyleGAN2 has 2.4 million numbers.
_LARGEST = 2**31  # bytes


def load_arrays(path: str | pathlib.Path) -> dict[str, np.ndarray]:
  """Reads arrays by their names; nothing in the file is ever run.

  Args:
    path: File of safetensors, torch.save, NumPy's npz or HDF5, told by its content.

  Returns:
    Name -> array, as it is stored; floats as float32. The groups of HDF5 become parts
    of names: 'group/name'.

  Raises:
    InputError: There is no such file, it is a pickle, its format is another, it is
      damaged, it holds more than arrays, or nothing is installed to read it with.
  """
  path = pathlib.Path(path)
  if not os.path.isfile(path):
    raise InputError(f"weights '{path}': no such file; give the path of one")
  if path.suffix.lower() in _PICKLES:
    raise InputError(
      f"weights '{path}' are a pickle, which runs code when it is read: refused. In an"
      ' environment of its own, save the state_dict() of the net by'
      ' safetensors.torch.save_file (docs/extending.md#generator-weights)'
    )
  try:
    with path.open('rb') as file:
      is_hdf5 = file.read(len(_HDF5)) == _HDF5
  except OSError as error:
    raise _unreadable(path, error) from None
  if is_hdf5:
    arrays = _read_hdf5(path)
  elif _is_npz(path):
    arrays = _read_npz(path)
  else:
    return load_state_dict(path)
  with np.errstate(all='ignore'):  # whoever uses them looks for what is not finite
    return {
      name: array.astype(np.float32) if array.dtype.kind == 'f' else array
      for name, array in arrays.items()
    }


def _is_npz(path: pathlib.Path) -> bool:
  try:
    with zipfile.ZipFile(path) as archive:
      return all(name.endswith('.npy') for name in archive.namelist())
  except Exception:  # no archive, or a damaged one
    return path.suffix == '.npz'


def _read_npz(path: pathlib.Path) -> dict[str, np.ndarray]:
  try:
    # NumPy leaves a damaged file open that it was given by its path.
    with path.open('rb') as file, warnings.catch_warnings():
      warnings.simplefilter('ignore')  # NumPy's words would stand beside our line
      with np.load(file, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}
  except Exception as error:  # a damaged file fails in many ways
    raise _unreadable(path, error) from None


def _read_hdf5(path: pathlib.Path) -> dict[str, np.ndarray]:
  try:
    import h5py
  except ImportError:
    raise InputError(
      f"weights '{path}' need h5py: pip install h5py, or convert to .safetensors"
    ) from None
  arrays = {}

  def take(name, item):
    if not isinstance(item, h5py.Dataset):
      return
    # Such a dataset names other files, which whoever gives the path did not mean.
    if item.is_virtual or item.external:
      raise InputError(f"weights '{path}': '{name[:120]}' lies in another file")
    if item.dtype.kind not in 'fiub' or item.nbytes > _LARGEST:
      raise InputError(
        f"weights '{path}': '{name[:120]}' is no array of numbers of at most 2 GiB"
      )
    arrays[name] = item[()]

  try:
    with h5py.File(path, 'r') as file:
      file.visititems(take)  # follows no link to another file
  except InputError:
    raise
  except Exception as error:  # a damaged file fails in many ways
    raise _unreadable(path, error) from None
  return {name: np.asarray(array) for name, array in arrays.items()}


def _unreadable(path: pathlib.Path, error: Exception) -> InputError:
  return InputError(
    f"weights '{path}' cannot be read ({first_line(error)[:300]}); save them again"
  )
