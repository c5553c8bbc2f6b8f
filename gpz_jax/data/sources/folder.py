"""Folders of images: root/{train,test}/<label>/, with nested folders below a label.

tfds.ImageFolder has no data source without TensorFlow, so the layout is read here.
Images are turned as their EXIF orientation says. Transparent ones are put on white.
"""

import functools
import logging
import pathlib
from collections.abc import Iterator

from gpz_jax import types
from gpz_jax.data import images, pictures
from gpz_jax.data.sources import base

SUBSETS = ('train', 'test')
_READING = 'upright, on white'  # in the key of the cache: pixels depend on it


def open_source(root: pathlib.Path) -> base.Source:
  """The dataset in a folder; grey (1 channel) where every image is grey.

  Labels are numbered in the order of their names, over both subsets.

  Raises:
    InputError: the layout is another one, the folder cannot be read, or an image is
      broken.
  """
  try:
    return _open(root)
  except OSError as error:
    raise types.InputError(
      f'cannot read folder {root}: {error.strerror or error}; name another'
    ) from error


def _open(root: pathlib.Path) -> base.Source:
  found = {subset: pictures.find(root / subset) for subset in SUBSETS}
  left_out = found['train'].left_out + found['test'].left_out
  if left_out:
    _say_left_out(
      f'folder:{root} leaves out {left_out.total()} files that are no images in the '
      f'folder of a label: {pictures.left_out_text(left_out)}'
    )
  files = {subset: _image_files(root, subset, found[subset]) for subset in SUBSETS}
  everything = files['train'] + files['test']
  class_names = tuple(sorted({_label(root, file) for file in everything}))
  if len(class_names) < 2:
    raise types.InputError(
      f'folder {root} has the one label {"".join(class_names)!r}; at least 2 are needed'
    )
  grey = all(images.is_grey(file, pictures.formats(file)) for file in everything)
  facts = [(file.relative_to(root), *_identity(file)) for file in everything]
  return base.Source(
    name=f'folder:{root}',
    key=f'folder-{base.signature([_READING, root.resolve(), *facts])}',
    class_names=class_names,
    channels=1 if grey else 3,
    counts={subset: len(files[subset]) for subset in SUBSETS},
    read=lambda subset: _read(root, files[subset], class_names),
  )


def _image_files(
  root: pathlib.Path, subset: str, found: pictures.Found
) -> list[pathlib.Path]:
  if not found.files:
    raise types.InputError(
      f'no images in {root / subset}; a folder dataset holds '
      f'{root}/{{train,test}}/<label>/*.png, *.jpg or another raster format'
    )
  return found.files


@functools.cache  # said once, however often the folder is opened
def _say_left_out(message: str) -> None:
  logging.getLogger(__name__).warning(message)


def _label(root: pathlib.Path, file: pathlib.Path) -> str:
  return file.relative_to(root).parts[1]


def _identity(file: pathlib.Path) -> tuple[int, int]:
  facts = file.stat()
  return facts.st_size, facts.st_mtime_ns


def _read(
  root: pathlib.Path, files: list[pathlib.Path], class_names: tuple[str, ...]
) -> Iterator[images.Encoded]:
  for file in files:
    label = class_names.index(_label(root, file))
    try:
      data = file.read_bytes()
    except OSError as error:
      raise types.InputError(
        f'cannot read {file}: {error.strerror or error}; replace or remove it'
      ) from error
    yield images.Encoded(
      str(file),
      data,
      label,
      formats=pictures.formats(file),
      prepare=pictures.upright_on_white,
    )
