"""Folders of images: root/{train,validation,test}/<label>/, or root/<label>/.

tfds.ImageFolder has no data source without TensorFlow, so the layout is read here.
Subsets may have the other names in `layout`, folders may be nested below a label, and a
table may give the labels, see `labels`. Images are turned as their EXIF orientation
says. Transparent ones are put on white.
"""

import collections
import pathlib
from collections.abc import Iterator

from gpz_jax import types
from gpz_jax.data import images, pictures, subsets
from gpz_jax.data.sources import base, labels, layout
from gpz_jax.data.sources.layout import Example, Layout

_READING = 'upright, on white'  # in the key of the cache: pixels depend on it


def open_source(
  root: pathlib.Path, *, test_share: float | None = None, is_aux: bool = False
) -> base.Source:
  """The dataset in a folder; grey (1 channel) where every image is grey.

  Labels are numbered in the order of their names, over all subsets.

  Args:
    root: The folder.
    test_share: Share of each class that is test, where the folder has no test images.
    is_aux: Whether neither test images nor labels are needed. The images may then lie
      in one folder.

  Raises:
    InputError: the layout is another one, the folder cannot be read, or an image is
      broken.
  """
  try:
    return _open(root, test_share, is_aux)
  except OSError as error:
    raise types.InputError(
      f'cannot read folder {root}: {error.strerror or error}; name another dataset'
    ) from error


def _open(root: pathlib.Path, test_share: float | None, is_aux: bool) -> base.Source:
  places = layout.find(root)
  layout.check_test(places, test_share, is_aux=is_aux)
  tables = labels.read(dict.fromkeys((root, *places.parts.values())))
  examples, notes = layout.list_examples(places, tables, is_aux=is_aux)
  everything = [each for part in examples.values() for each in part]
  in_order = labels.class_names if tables.of else sorted
  class_names = tuple(in_order({each.label for each in everything}))
  if len(class_names) < 2 and not is_aux:
    raise types.InputError(
      f'folder {root} has the one label {"".join(class_names)!r}; at least 2 are needed'
    )
  grey = all(
    images.is_grey(each.file, pictures.formats(each.file)) for each in everything
  )
  facts = [_facts(root, each, tables) for each in everything]
  notes += layout.describe(places, is_test_held=test_share is not None)
  if test_share is not None:
    examples, note = _hold_out(places, examples, test_share)
    notes.append(note)
  elif 'test' not in examples and 'val' in examples:
    examples['test'] = examples.pop('val')
  return base.Source(
    name=f'folder:{root}',
    key=f'folder-{base.signature([_READING, root.resolve(), *facts])}',
    class_names=class_names,
    channels=1 if grey else 3,
    counts={subset: len(listed) for subset, listed in examples.items()},
    read=lambda subset: _read(examples[subset], class_names),
    division='' if test_share is None else f'-held{test_share!r}',
    notes=(*tables.notes, *notes),
  )


def _facts(root: pathlib.Path, example: Example, tables: labels.Labels) -> tuple:
  """What the cached pixels and labels of an example depend on."""
  facts = example.file.stat()
  known = (example.file.relative_to(root), facts.st_size, facts.st_mtime_ns)
  label = tables.of.get(example.file)
  return known if label is None else (*known, label)


def _hold_out(
  places: Layout, examples: dict[str, list[Example]], test_share: float
) -> tuple[dict[str, list[Example]], str]:
  """The subsets with a part of train as test, and a sentence that says which."""
  train = examples['train']
  names = [each.file.relative_to(places.root).as_posix() for each in train]
  is_test = subsets.hold_out(names, [each.label for each in train], test_share)
  test = [each for each, held in zip(train, is_test, strict=True) if held]
  rest = [each for each, held in zip(train, is_test, strict=True) if not held]
  counts = collections.Counter(each.label for each in test).values()
  least, most = min(counts), max(counts)
  several = f'{least} to {most}' if least < most else least
  return {**examples, 'train': rest, 'test': test}, (
    f'test images are {len(test):,} of the {len(train):,} in'
    f' {places.parts.get("train", places.root)}: --test_share={test_share:g} of each'
    f' class ({several}), chosen by their names'
  )


def _read(
  examples: list[Example], class_names: tuple[str, ...]
) -> Iterator[images.Encoded]:
  numbers = {name: number for number, name in enumerate(class_names)}
  for file, label in examples:
    try:
      data = file.read_bytes()
    except OSError as error:
      raise types.InputError(
        f'cannot read {file}: {error.strerror or error}; replace or remove it'
      ) from error
    yield images.Encoded(
      str(file),
      data,
      numbers[label],
      formats=pictures.formats(file),
      prepare=pictures.upright_on_white,
    )
