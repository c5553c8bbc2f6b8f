"""Plain image folders in TFDS's layout: root/{train,test}/<label>/*.png|jpg|jpeg.

tfds.ImageFolder has no data source without TensorFlow, so the layout is read here.
"""

import pathlib
from collections.abc import Iterator

from gpz_jax import types
from gpz_jax.data import images
from gpz_jax.data.sources import base

SUBSETS = ('train', 'test')


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
  files = {subset: _image_files(root, subset) for subset in SUBSETS}
  everything = files['train'] + files['test']
  class_names = tuple(sorted({file.parent.name for file in everything}))
  if len(class_names) < 2:
    raise types.InputError(
      f'folder {root} has the one label {"".join(class_names)!r}; at least 2 are needed'
    )
  grey = all(images.is_grey(file) for file in everything)
  facts = [(file.relative_to(root), *_identity(file)) for file in everything]
  return base.Source(
    name=f'folder:{root}',
    key=f'folder-{base.signature([root.resolve(), *facts])}',
    class_names=class_names,
    channels=1 if grey else 3,
    counts={subset: len(files[subset]) for subset in SUBSETS},
    read=lambda subset: _read(files[subset], class_names),
  )


def _image_files(root: pathlib.Path, subset: str) -> list[pathlib.Path]:
  folder = root / subset
  files = images.find(folder)
  if not files:
    raise types.InputError(
      f'no images in {folder}; a folder dataset holds '
      f'{root}/{{train,test}}/<label>/*.png, *.jpg or *.jpeg'
    )
  return files


def _identity(file: pathlib.Path) -> tuple[int, int]:
  facts = file.stat()
  return facts.st_size, facts.st_mtime_ns


def _read(
  files: list[pathlib.Path], class_names: tuple[str, ...]
) -> Iterator[images.Encoded]:
  for file in files:
    label = class_names.index(file.parent.name)
    try:
      data = file.read_bytes()
    except OSError as error:
      raise types.InputError(
        f'cannot read {file}: {error.strerror or error}; replace or remove it'
      ) from error
    yield images.Encoded(str(file), data, label)
