"""Arrays that are only looked at, each with a checksum in a file beside them.

No number hangs on them, but a page with the wrong picture is a wrong page. The checksum
is that of the whole file, so that a truncated, changed or exchanged file is noticed.
"""

import hashlib
import pathlib
from typing import Literal

import numpy as np

from gpz_jax import atomic, results
from gpz_jax.types import InputError

CHECKSUMS = 'checksums.json'
State = Literal['intact', 'damaged', 'gone', 'not checksummed']


def write(path: pathlib.Path, array: np.ndarray) -> None:
  """Writes a .npy file, and its checksum into the list of its folder.

  A list that cannot be read is begun anew.
  """
  atomic.write_array(path, array)
  try:
    known = read_checksums(path.parent)
  except InputError:
    known = {}
  atomic.write_json(path.parent / CHECKSUMS, known | {path.name: _digest(path)})


def read_checksums(folder: pathlib.Path) -> dict[str, str]:
  """The checksum of each file; empty where an earlier version wrote none.

  Raises:
    InputError: The list is damaged.
  """
  return results.read_object(folder / CHECKSUMS)


def find_state(path: pathlib.Path, checksums: dict[str, str]) -> State:
  """Whether a file is what was written.

  Args:
    path: The file.
    checksums: Those of its folder.
  """
  try:
    if not path.is_file():  # a pipe would be read for ever
      return 'gone'
    if path.name not in checksums:
      return 'not checksummed'
    return 'intact' if _digest(path) == checksums[path.name] else 'damaged'
  except (OSError, MemoryError):
    return 'damaged'


def _digest(path: pathlib.Path) -> str:
  return hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()
