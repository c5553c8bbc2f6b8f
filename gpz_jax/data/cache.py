"""Decoded images on disk: a file is complete or absent, and is checked when read."""

import logging
import pathlib
import struct
import zipfile
import zlib
from collections.abc import Callable

import numpy as np

from gpz_jax import atomic, filenames, types

_DAMAGE = (
  *(OSError, EOFError, KeyError, ValueError, MemoryError, RuntimeError, AttributeError),
  *(OverflowError, struct.error, zipfile.BadZipFile, zlib.error),
)


def default_dir() -> pathlib.Path:
  """$XDG_CACHE_HOME/gpz_jax/data, or ~/.cache/gpz_jax/data."""
  return filenames.user_cache() / 'data'


def load_or_build(
  path: pathlib.Path, build: Callable[[], types.Dataset]
) -> types.Dataset:
  """The subset stored at `path`; it is built and stored if absent or damaged.

  The file is an uncompressed .npz of two .npy arrays: one file so that images and
  labels cannot get out of step, zip for its checksum over each array.

  Args:
    path: The .npz file.
    build: Makes the subset.

  Raises:
    InputError: the folder cannot be written to.
  """
  if path.exists():
    try:
      return _read(path)
    except _DAMAGE as error:
      logging.getLogger(__name__).warning('rebuilding damaged %s: %s', path, error)
  subset = build()
  try:
    _write(path, subset)
  except OSError as error:
    raise types.InputError(
      f'cannot write decoded images to {path}: {error.strerror or error}; choose '
      'another folder with cache_dir or $XDG_CACHE_HOME'
    ) from error
  return subset


def _read(path: pathlib.Path) -> types.Dataset:
  # Opened here, because np.load leaves its own handle open if the file is damaged.
  with path.open('rb') as file, np.load(file, allow_pickle=False) as arrays:
    return types.Dataset(arrays['image'], arrays['label'])


def _write(path: pathlib.Path, subset: types.Dataset) -> None:
  path.parent.mkdir(parents=True, exist_ok=True)
  with atomic.replacing(path, shared=True) as partial, partial.open('wb') as file:
    np.savez(file, image=subset.image, label=subset.label)
