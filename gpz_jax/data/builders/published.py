"""Files as their authors publish them: names, sizes and checksums."""

import dataclasses
import hashlib
import pathlib
from collections.abc import Sequence

import tensorflow_datasets as tfds

from gpz_jax import types


@dataclasses.dataclass(frozen=True)
class File:
  """A file that a dataset is prepared from."""

  name: str
  size: str  # for people
  num_bytes: int | None = None  # None where only an approximate size is published
  checksum: str | None = None  # '<algorithm>:<hex digest>'


def stock_files(name: str) -> tuple[File, ...]:
  """The files of one of TFDS's own datasets, as TFDS registers them."""
  registered = (tfds.builder_cls(name).url_infos or {}).values()
  return tuple(
    File(
      str(info.filename),
      f'{info.size:,} bytes',
      int(info.size),
      f'sha256:{info.checksum}',
    )
    for info in sorted(registered, key=lambda info: str(info.filename))
  )


def listed(files: Sequence[File]) -> str:
  """The files with their sizes, in one line."""
  return ', '.join(f'{file.name} ({file.size})' for file in files)


def check(files: Sequence[File], folder: pathlib.Path) -> None:
  """Checks that a folder holds the files, each as published.

  Raises:
    InputError: files are missing (all are named), or one has another size or content.
  """
  absent = [file for file in files if not (folder / file.name).is_file()]
  if absent:
    raise types.InputError(
      f'{folder} lacks {listed(absent)}; put the published '
      f'file{"s" if len(absent) > 1 else ""} there, as downloaded'
    )
  for file in files:
    difference = _difference(file, folder / file.name)
    if difference:
      raise types.InputError(
        f'{folder / file.name} is not the published file: {difference}; fetch it again'
      )


def _difference(file: File, path: pathlib.Path) -> str:
  found = path.stat().st_size
  if file.num_bytes is not None and found != file.num_bytes:
    return f'{found:,} bytes in place of {file.num_bytes:,}'
  if file.checksum is None:
    return ''
  algorithm, digest = file.checksum.split(':')
  with path.open('rb') as content:
    if hashlib.file_digest(content, algorithm).hexdigest() == digest:
      return ''
  return f'its {algorithm} is not {digest}'
