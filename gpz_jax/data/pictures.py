"""Picture files as people have them: found in a folder, turned upright, on white."""

import collections
import functools
import pathlib
from typing import NamedTuple

import PIL.Image

from gpz_jax import interruption
from gpz_jax.data import images

# Readers that are not for pixels, or that leave them to another program.
_NO_RASTER = ('BUFR', 'EPS', 'GRIB', 'HDF5', 'MPEG', 'PDF', 'WMF')
_ORIENTATION = 0x0112  # the EXIF tag
_TURNS = {
  2: PIL.Image.Transpose.FLIP_LEFT_RIGHT,
  3: PIL.Image.Transpose.ROTATE_180,
  4: PIL.Image.Transpose.FLIP_TOP_BOTTOM,
  5: PIL.Image.Transpose.TRANSPOSE,
  6: PIL.Image.Transpose.ROTATE_270,
  7: PIL.Image.Transpose.TRANSVERSE,
  8: PIL.Image.Transpose.ROTATE_90,
}


class Found(NamedTuple):
  """The pictures of a folder, and how many other files there are."""

  files: list[pathlib.Path]  # sorted
  left_out: collections.Counter[str]  # by ending, '' for none


def formats(file: pathlib.Path) -> tuple[str, ...]:
  """Pillow's names of the formats a file may have by its ending; () for no picture."""
  if file.suffix.lower() in images.SUFFIXES:
    return images.FORMATS
  name = _by_suffix().get(file.suffix.lower())
  return (name, *images.FORMATS) if name else ()


def find(root: pathlib.Path) -> Found:
  """The pictures in root/<label>/, however deep below it.

  Names that begin with a dot are ignored. A link to a folder is followed unless it
  leads to a folder that it lies in.

  Raises:
    InputError: Something named like a picture is a folder, a pipe or a broken link.
    OSError: A folder cannot be read.
  """
  found = Found([], collections.Counter())
  if root.is_dir():
    _walk(root, root, set(root.resolve().parents), found)
  return Found(sorted(found.files), found.left_out)


def upright_on_white(picture: PIL.Image.Image) -> PIL.Image.Image:
  """Turns a picture as its EXIF orientation says, and flattens it onto white."""
  picture.load()
  turn = _TURNS.get(_orientation(picture))
  if turn is not None:
    picture = picture.transpose(turn)
  if picture.has_transparency_data:
    clear = picture.convert('RGBA')
    white = PIL.Image.new('RGBA', clear.size, 'white')
    picture = PIL.Image.alpha_composite(white, clear).convert('RGB')
  return picture


def _walk(
  root: pathlib.Path, folder: pathlib.Path, seen: set[pathlib.Path], found: Found
) -> None:
  interruption.check()
  place = folder.resolve()
  if place in seen:
    return
  seen.add(place)
  for file in sorted(folder.iterdir()):
    if file.name.startswith('.'):
      continue
    is_picture = folder != root and bool(formats(file))
    if is_picture and (not file.is_dir() or file.suffix.lower() in images.SUFFIXES):
      images.require_file(file)
      found.files.append(file)
    elif _is_folder(file):
      # Each label looks at a linked folder for itself.
      _walk(root, file, set(seen) if folder == root else seen, found)
    else:
      found.left_out[file.suffix.lower()] += 1


def _is_folder(file: pathlib.Path) -> bool:
  try:
    return file.is_dir()
  except OSError:  # a name that no system has
    return False


def _orientation(picture: PIL.Image.Image) -> int:
  """The EXIF orientation, 1 where there is none or it is damaged."""
  try:
    return int(picture.getexif().get(_ORIENTATION, 1))
  except images.DAMAGE:
    return 1


@functools.cache
def _by_suffix() -> dict[str, str]:
  """Pillow's raster format of each ending."""
  PIL.Image.init()
  named = {
    suffix: 'JPEG' if name == 'MPO' else name  # the JPEG reader opens MPO
    for suffix, name in PIL.Image.registered_extensions().items()
  }
  return {
    suffix: name
    for suffix, name in named.items()
    if name in PIL.Image.OPEN and name not in _NO_RASTER
  }


def left_out_text(left_out: collections.Counter[str]) -> str:
  """The files left out, such as `2 .txt, 1 .mp4`."""
  return ', '.join(
    f'{count} {ascii(suffix)[1:-1][:20]}' if suffix else f'{count} without an ending'
    for suffix, count in left_out.most_common(5)
  )
