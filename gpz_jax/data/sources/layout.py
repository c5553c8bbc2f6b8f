"""What is in a folder of images: its subsets, by the names that people use, or classes.

A folder with one of the names below has subsets. Any other is flat: its folders are
classes.
"""

import collections
import functools
import logging
import pathlib
from typing import NamedTuple

from gpz_jax import types
from gpz_jax.data import pictures
from gpz_jax.data.sources.labels import Labels

# The names that Hugging Face's imagefolder knows; the first that is there is taken.
ALIASES = {
  'train': ('train', 'training'),
  'test': ('test', 'testing', 'eval', 'evaluation'),
  'val': ('validation', 'valid', 'dev', 'val'),
}
# More other files than images in a flat folder: it is no folder of images.
_PATIENCE = 1000


class Layout(NamedTuple):
  """The folders in a folder of images."""

  root: pathlib.Path
  parts: dict[str, pathlib.Path]  # in the order of ALIASES; empty where it is flat
  others: tuple[str, ...]  # names of those that are no subset


class Example(NamedTuple):
  """An image in a folder."""

  file: pathlib.Path
  label: str


def find(root: pathlib.Path) -> Layout:
  """The subsets in a folder, whose names may be in upper or lower case.

  Raises:
    OSError: The folder cannot be read.
  """
  if not root.is_dir():
    return Layout(root, {}, ())
  folders = sorted(
    path for path in root.iterdir() if path.is_dir() and not path.name.startswith('.')
  )
  known = {path.name.lower(): path for path in folders}  # of Train and train the last
  parts = {}
  for part, names in ALIASES.items():
    if there := [known[name] for name in names if name in known]:
      parts[part] = there[0]
  taken = set(parts.values())
  return Layout(root, parts, tuple(p.name for p in folders if p not in taken))


def check_test(
  places: Layout, test_share: float | None, *, is_aux: bool = False
) -> None:
  """Refuses a folder that has no train images, or none to test on.

  Raises:
    InputError: There is no such folder and no share to take test images from, or both.
  """
  root, parts = places.root, places.parts
  if not root.is_dir():
    raise _no_images(root / 'train', f'; {root} is no folder')
  if parts and 'train' not in parts:
    raise _no_images(root / 'train')
  if 'test' in parts and test_share is not None:
    raise types.InputError(
      f'--test_share={test_share:g} is not allowed, because the dataset has test images'
      f' of its own in {parts["test"]}; leave it out'
    )
  if parts.keys() & {'test', 'val'} or test_share is not None or is_aux:
    return
  if parts:
    raise _no_images(root / 'test', '; set --test_share=0.2, or another share of train')
  classes = ', '.join(places.others[:5]) + ', ...' * (len(places.others) > 5)
  raise types.InputError(
    f'dataset folder {root} has no folder train or test'
    f' (its folders: {classes or "none"}); if they are classes, set --test_share=0.2 or'
    ' another share of each class that is kept for testing'
  )


def list_examples(
  places: Layout, tables: Labels, *, is_aux: bool = False
) -> tuple[dict[str, list[Example]], list[str]]:
  """The images of each subset with their labels, and sentences on what was found.

  A flat folder is all `train`.

  Args:
    places: The folders.
    tables: The labels that tables give; of other images a label is a folder's name.
    is_aux: Whether images need no labels: then those of a folder that holds no folder
      are labelled by its own name.

  Raises:
    InputError: A subset has no images, or a table names one that is not there.
    OSError: A folder cannot be read.
  """
  examples, notes = {}, []
  left_out: collections.Counter[str] = collections.Counter()
  for part, folder in (places.parts or {'train': places.root}).items():
    is_listed = any(file.is_relative_to(folder) for file in tables.of)
    patience = None if places.parts else _PATIENCE
    inner = find(folder)
    is_alone = is_aux and not (is_listed or inner.parts or inner.others)
    found = pictures.find(folder, at_top=is_listed or is_alone, patience=patience)
    left_out += found.left_out
    left_out.subtract(t.suffix for t in tables.files if t.parent == folder)
    files = _listed(folder, found.files, tables) if is_listed else found.files
    if not files:
      raise _no_images(folder)
    if rest := len(found.files) - len(files):
      notes.append(f'{rest:,} images in {folder} are left out: no table names them')
    examples[part] = [
      Example(file, tables.of.get(file) or _folder_name(folder, file, is_alone))
      for file in files
    ]
  if left_out := +left_out:
    _say_left_out(
      f'folder:{places.root} leaves out {left_out.total()} files that are no images in'
      f' the folder of a label: {pictures.left_out_text(left_out)}'
    )
  return examples, notes


def _folder_name(folder: pathlib.Path, file: pathlib.Path, is_alone: bool) -> str:
  """The label of an image that no table gives one."""
  return folder.resolve().name if is_alone else file.relative_to(folder).parts[0]


def describe(places: Layout, *, is_test_held: bool) -> list[str]:
  """Sentences on which folder is which subset, and which folders are not read."""
  if not places.parts:
    return []
  names = {part: folder.name for part, folder in places.parts.items()}
  notes = []
  if 'test' not in names and 'val' in names and not is_test_held:
    names['test'] = names.pop('val')
    notes.append(f'test images come from {names["test"]}/: there is no folder test')
  listed = ', '.join(f'{part} images from {name}/' for part, name in names.items())
  notes.insert(0, f'{places.root}: {listed}')
  if places.others:
    others = ', '.join(f'{name}/' for name in places.others[:5])
    more = ', ...' if len(places.others) > 5 else ''
    notes.append(f'{places.root}: not read: {others}{more}')
  return notes


def _listed(
  folder: pathlib.Path, files: list[pathlib.Path], tables: Labels
) -> list[pathlib.Path]:
  """The images of a folder that tables name."""
  there = set(files)
  for file in tables.of:
    if file.is_relative_to(folder) and file not in there:
      raise types.InputError(
        f'a dataset table names {file}, but there is no such image; correct the table'
      )
  return [file for file in files if file in tables.of]


@functools.cache  # said once, however often the folder is opened
def _say_left_out(message: str) -> None:
  logging.getLogger(__name__).warning(message)


def _no_images(folder: pathlib.Path, more: str = '') -> types.InputError:
  return types.InputError(
    f'no images in {folder}; a folder dataset holds'
    f' {{train,validation,test}}/<label>/*.png, *.jpg or another raster format{more}'
  )
