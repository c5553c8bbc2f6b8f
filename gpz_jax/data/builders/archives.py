"""Files in archives, read one after another; a damaged archive is one line."""

import pathlib
import tarfile
import zipfile
import zlib
from collections.abc import Iterator

from gpz_jax import types


def open_zip(path: pathlib.Path) -> zipfile.ZipFile:
  """A zip archive.

  Raises:
    InputError: It is damaged.
  """
  try:
    return zipfile.ZipFile(path)
  except (OSError, zipfile.BadZipFile) as error:
    raise types.InputError(
      f'{path} is not a whole zip archive; fetch it again'
    ) from error


def read_member(archive: zipfile.ZipFile, path: pathlib.Path, member: str) -> bytes:
  """A file of a zip archive.

  Raises:
    InputError: It is not there, or damaged.
  """
  try:
    return archive.read(member)
  except (OSError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
    raise types.InputError(
      f'{path} has no whole file {member}; fetch it again'
    ) from error


def read_tar(path: pathlib.Path) -> Iterator[tuple[str, bytes]]:
  """The files of a tar archive with their names, in its order.

  Raises:
    InputError: It is damaged.
  """
  try:
    with tarfile.open(path) as archive:
      for member in archive:
        if member.isfile():
          yield member.name, archive.extractfile(member).read()  # pyright: ignore[reportOptionalMemberAccess] - it is a file
  except (OSError, EOFError, tarfile.TarError, zlib.error) as error:
    kind = ''.join(path.suffixes[-2:]).removeprefix('.')
    raise types.InputError(
      f'{path} is not a whole {kind} archive; fetch it again'
    ) from error
