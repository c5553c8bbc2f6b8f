"""Labels of images in metadata.csv or metadata.jsonl, as Hugging Face has them.

A table has the column file_name, a path within the folder of the table, and may have
the column label. Its other columns are not read.
"""

import csv
import json
import os
import pathlib
import re
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from gpz_jax import types
from gpz_jax.data.sources import base

NAMES = ('metadata.csv', 'metadata.jsonl')
UNREAD = ('metadata.parquet', 'metadata.json')
_FILE, _LABEL = 'file_name', 'label'
_DAMAGE = (OSError, ValueError, csv.Error, RecursionError)


class Labels(NamedTuple):
  """What tables say of the images in some folders."""

  of: dict[pathlib.Path, str]  # the label of each file that a table names
  files: tuple[pathlib.Path, ...]  # the tables that labels are read from
  notes: tuple[str, ...]  # sentences on what is read of the tables


def read(folders: Iterable[pathlib.Path]) -> Labels:
  """The labels that the tables in some folders give.

  Raises:
    InputError: A table cannot be read, or names a file outside its folder or twice.
  """
  found, files, notes = {}, [], []
  for folder in folders:
    for name in UNREAD:
      if (folder / name).exists():
        notes.append(f'{folder / name} is not read; metadata.csv would be')
    for name in NAMES:
      if (folder / name).exists():
        rows = _read_table(folder / name)
        labels, note = _take_labels(folder / name, rows)
        if twice := sorted(labels.keys() & found.keys()):
          raise _bad(folder / name, f'names {twice[0]}, which is named already')
        found |= labels
        files += [folder / name] if labels else []
        notes.append(note)
  return Labels(found, tuple(files), tuple(notes))


def class_names(labels: Iterable[str]) -> tuple[str, ...]:
  """The classes in order: by number where all are whole numbers, by name otherwise."""
  names = set(labels)
  is_whole = all(re.fullmatch('[0-9]{1,18}', name) for name in names)
  return tuple(
    sorted(names, key=(lambda name: (int(name), name)) if is_whole else None)
  )


def _take_labels(
  file: pathlib.Path, rows: list[dict[str, Any]]
) -> tuple[dict[pathlib.Path, str], str]:
  """The label of each image of a table, and a sentence on what is read of it."""
  columns = list(dict.fromkeys(column for row in rows for column in row))
  others = ', '.join(str(c) for c in columns if c not in (_FILE, _LABEL)) or 'none'
  if not {_FILE, _LABEL} <= set(columns):
    return {}, (
      f'{file} is not read, because labels need the columns {_FILE} and {_LABEL} (it'
      f' has {", ".join(map(str, columns))[:200]}); labels are the names of folders'
    )
  labels = {}
  for row in rows:
    name, label = row.get(_FILE), row.get(_LABEL)
    if not isinstance(name, str) or isinstance(label, bool | float | dict | list):
      raise _bad(file, f'has the {_FILE} {name!r} with the {_LABEL} {label!r}')
    within = pathlib.PurePath(os.path.normpath(name))
    is_outside = within.is_absolute() or '..' in within.parts
    if label in (None, '') or is_outside:
      problem = 'a place outside the folder' if is_outside else f'no {_LABEL}'
      raise _bad(file, f'gives {name!r} {problem}')
    path = file.parent / within
    if path in labels:
      raise _bad(file, f'names {name!r} twice')
    labels[path] = str(label)
  return labels, (
    f'labels come from {file} ({len(labels):,} rows), not from the names of folders;'
    f' its other columns are not read: {others[:200]}'
  )


def _read_table(file: pathlib.Path) -> list[dict[str, Any]]:
  try:
    if not file.is_file():  # a pipe might never end
      raise OSError('it is no file')
    with file.open(encoding='utf-8-sig', newline='') as lines:
      rows = list(csv.DictReader(lines) if file.suffix == '.csv' else _parse(lines))
  except _DAMAGE as error:
    raise _bad(file, f'cannot be read: {base.reason(error)}') from error
  if strange := [row for row in rows if not isinstance(row, dict) or None in row]:
    raise _bad(file, f'has a row of another form: {str(strange[0])[:80]}')
  return rows


def _parse(lines: Iterable[str]) -> Iterator[Any]:
  for line in lines:
    if line.strip():
      yield json.loads(line)


def _bad(file: pathlib.Path, problem: str) -> types.InputError:
  return types.InputError(
    f'dataset table {file} {problem}; correct it, or remove it to take the names of'
    ' folders as labels'
  )
