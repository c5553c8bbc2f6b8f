"""Picture files as people have them: found in a folder, turned upright, on white."""

import collections
import dataclasses
import functools
import pathlib
from typing import NamedTuple

import PIL.Image

from gpz_jax import interruption, types
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


def find(
  root: pathlib.Path, *, at_top: bool = False, patience: int | None = None
) -> Found:
  """The pictures in root/<label>/, however deep below it.

  Names that begin with a dot are ignored. A link to a folder is followed unless it
  leads to a folder that it lies in.

  Args:
    root: Folder to look in.
    at_top: Whether pictures in `root` itself count too.
    patience: How many more other files than pictures there may be; None for any number.

  Raises:
    InputError: Something named like a picture is a folder, a pipe or a broken link, or
      there are too many other files.
    OSError: A folder cannot be read.
  """
  walk = _Walk(root, at_top, patience, Found([], collections.Counter()))
  if root.is_dir():
    walk.enter(root, set(root.resolve().parents))
  return Found(sorted(walk.found.files), walk.found.left_out)


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


@dataclasses.dataclass(frozen=True)
class _Walk:
  """A look for pictures; its attributes are those of `find`, and what was found."""

  root: pathlib.Path
  at_top: bool
  patience: int | None
  found: Found

  def enter(self, folder: pathlib.Path, seen: set[pathlib.Path]) -> None:
    """Adds what is in a folder and below, unless it is one of `seen`."""
    interruption.check()
    place = folder.resolve()
    if place in seen:
      return
    seen.add(place)
    for file in sorted(folder.iterdir()):
      if file.name.startswith('.'):
        continue
      may_count = self.at_top or folder != self.root
      is_picture = may_count and bool(formats(file))
      if is_picture and (not file.is_dir() or file.suffix.lower() in images.SUFFIXES):
        images.require_file(file)
        self.found.files.append(file)
      elif _is_folder(file):
        # Each label looks at a linked folder for itself.
        self.enter(file, set(seen) if folder == self.root else seen)
      else:
        self.found.left_out[file.suffix.lower()] += 1
        self._check_patience()

  def _check_patience(self) -> None:
    files, left_out = self.found
    if self.patience is not None and left_out.total() > self.patience + len(files):
      raise types.InputError(
        f'dataset folder {self.root} holds {len(files)} images and more than'
        f' {self.patience} other files in the first of its folders; give a folder with'
        ' one folder of images for each class'
      )


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
