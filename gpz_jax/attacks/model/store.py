"""A folder that keeps the finished pieces of an attack, each in a file of its own."""

import logging
import pathlib
import zipfile
import zlib
from collections.abc import Callable
from typing import Any, cast

import numpy as np

from gpz_jax import atomic, filenames

_CHECKSUM = 'checksum'
_ARRAY = 'array/'  # what the names of arrays begin with in a file
_warn = logging.getLogger(__name__).warning


class FileStore:
  """Keeps pieces as .npz files with a checksum; it is a `protocol.Store`.

  A file is there whole or not at all. One that is damaged afterwards counts as absent,
  so that its piece is computed again.

  Args:
    folder: Where the files are; it is made at the first piece.
    say: Receives a line about each damaged file.
  """

  def __init__(self, folder: pathlib.Path, say: Callable[[str], None] = _warn):
    self._folder = folder
    self._say = say

  def load(self, name: str) -> dict[str, np.ndarray] | None:
    """The arrays of a piece; None if it is not finished or its file is damaged."""
    path = self._path(name)
    if not path.exists():
      return None
    try:
      with np.load(path, allow_pickle=False) as file:
        expected = int(file[_CHECKSUM])
        names = [key for key in file.files if key != _CHECKSUM]
        arrays = {key.removeprefix(_ARRAY): file[key] for key in names}
    # A flipped byte may break the archive, a header, or the words of an array.
    except (OSError, ValueError, TypeError, KeyError, EOFError, SyntaxError) as error:
      return self._damaged(path, type(error).__name__)
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, MemoryError) as error:
      return self._damaged(path, type(error).__name__)
    if _checksum(arrays) != expected:
      return self._damaged(path, 'its checksum differs')
    return arrays

  def save(self, name: str, arrays: dict[str, np.ndarray]) -> None:
    """Writes the arrays of a piece, over those that were there."""
    arrays = {key: np.asarray(array) for key, array in arrays.items()}
    self._folder.mkdir(parents=True, exist_ok=True)
    named = {f'{_ARRAY}{key}': array for key, array in arrays.items()}
    named[_CHECKSUM] = np.array(_checksum(arrays), np.uint32)
    with atomic.replacing(self._path(name)) as partial, partial.open('wb') as file:
      np.savez(file, **cast(dict[str, Any], named))

  def _path(self, name: str) -> pathlib.Path:
    return self._folder / f'{filenames.safe(name)}.npz'

  def _damaged(self, path: pathlib.Path, why: str) -> None:
    self._say(f'{path.name} is damaged ({why}); its piece is computed again')


def _checksum(arrays: dict[str, np.ndarray]) -> int:
  """One number for the names, dtypes, shapes and bytes of all arrays."""
  found = 0
  for name, array in sorted(arrays.items()):
    found = zlib.crc32(f'{name}|{array.dtype}|{array.shape}|'.encode(), found)
    found = zlib.crc32(np.ascontiguousarray(array).tobytes(), found)
  return found
