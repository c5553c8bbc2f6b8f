"""Classes left out of the attacker's data, so that it shares no person with others."""

import os
import pathlib
from collections.abc import Collection, Sequence

import numpy as np

from gpz_jax import types
from gpz_jax.data import sources


def without(
  data: types.Dataset, class_names: Sequence[str], file: str | os.PathLike
) -> types.Dataset:
  """The examples whose class is not listed in a file.

  Args:
    data: A subset.
    class_names: Names of the classes that its labels number.
    file: Text file with the name of a class on each line; empty lines and what follows
      a # do not count, unless a class is called so. The classes of celeb_a are its
      identity numbers.

  Raises:
    InputError: the file cannot be read, names nothing or no such class, or leaves
      nothing.
  """
  number = {name: label for label, name in enumerate(class_names)}
  listed = _read_names(sources.expand('aux_exclude', file), number.keys())
  if unknown := [name for name in listed if name not in number]:
    hint = types.did_you_mean(unknown[0], class_names)
    raise types.InputError(
      f'aux_exclude {file} names {len(unknown)} classes that the aux dataset does not '
      f'have, the first {unknown[0]!r}{hint}'
    )
  kept = ~np.isin(data.label, [number[name] for name in listed])
  if not kept.any():
    raise types.InputError(f'aux_exclude {file} leaves no example; shorten it')
  return data.take(np.flatnonzero(kept))


def _read_names(file: pathlib.Path, known: Collection[str]) -> list[str]:
  try:
    if not file.is_file():  # a pipe might never end
      raise OSError('there is no such file')
    lines = file.read_text(encoding='utf-8-sig').splitlines()
  except (OSError, UnicodeError) as error:
    raise types.InputError(
      f'cannot read aux_exclude {file} ({error}); give a text file in UTF-8'
    ) from error
  names = [name for line in lines if (name := _name(line, known))]
  if not names:
    raise types.InputError(f'aux_exclude {file} names no class')
  return names


def _name(line: str, known: Collection[str]) -> str:
  """The class that a line names: the longest one, since names may hold a # themselves.

  Args:
    line: The name, and perhaps a comment.
    known: The names of the classes.

  Returns:
    A known name where the line has one, and otherwise what stands before the first #.
  """
  while True:
    for name in (line, line.strip()):
      if name in known:
        return name
    rest, mark, _ = line.rpartition('#')
    if not mark:
      return line.strip()
    line = rest
