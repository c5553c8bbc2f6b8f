"""The pictures of a study, read for its page: which may be shown, and their pixels."""

import pathlib
from collections.abc import Iterable

import numpy as np

from gpz_jax.study import pictures
from gpz_jax.types import InputError


def examine(
  folder: pathlib.Path, paths: Iterable[pathlib.Path], way_out: str
) -> tuple[set[pathlib.Path], str]:
  """The pictures that must not be shown, and what to say of them and of the others.

  Args:
    folder: The folder of the pictures and of their checksums.
    paths: The pictures that there should be.
    way_out: What can be done about those that are damaged or gone.
  """
  paths = list(paths)
  try:
    checksums = pictures.read_checksums(folder)
  except InputError as error:
    return set(paths), f'No picture is shown: {error}.'
  states = {path: pictures.find_state(path, checksums) for path in paths}
  damaged = {path for path, state in states.items() if state == 'damaged'}
  gone = sum(state == 'gone' for state in states.values()) if checksums else 0
  if damaged or gone:
    return damaged, (
      f'{len(damaged)} pictures are damaged and {gone} are gone. They are left out;'
      f' {way_out}.'
    )
  unknown = sum(state == 'not checksummed' for state in states.values())
  return damaged, f'{unknown} pictures are not checksummed.' if unknown else ''


def read_images(
  path: pathlib.Path, left_out: set[pathlib.Path], axes: str = 'n'
) -> np.ndarray | None:
  """The images in a file, [*axes, H, W, C] uint8; None where none may be shown.

  Args:
    path: The file.
    left_out: The files that must not be shown.
    axes: What the axes before those of an image are called, such as 'T, n'.

  Raises:
    InputError: The file cannot be read or holds something else.
  """
  if path in left_out or not path.exists():
    return None
  try:
    with path.open('rb') as file:
      images = np.lib.format.read_array(file, allow_pickle=False)
  except (OSError, ValueError, EOFError, MemoryError, OverflowError) as error:
    raise InputError(
      f'cannot read images {str(path)!r} ({error}); remove the file'
    ) from error
  rank = 4 + axes.count(',')
  is_strip = images.ndim == rank and images.shape[-1] in (1, 3) and images.size > 0
  if images.dtype != np.uint8 or not is_strip:
    raise InputError(
      f'{str(path)!r} must hold uint8 images [{axes}, H, W, 1 or 3], got'
      f' {images.dtype} {images.shape}; remove the file'
    )
  return images
