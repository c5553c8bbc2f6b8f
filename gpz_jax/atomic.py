"""Writing files so that a reader finds a complete one or none."""

import contextlib
import json
import os
import pathlib
import tempfile
from collections.abc import Iterator
from typing import Any

import numpy as np


@contextlib.contextmanager
def replacing(path: pathlib.Path, *, shared: bool = False) -> Iterator[pathlib.Path]:
  """Yields a temporary path beside `path`, which replaces it if nothing fails.

  Args:
    path: The file wanted; its folder must exist.
    shared: Whether several processes may write it at a time; the last one wins. If not,
      the temporary name is fixed, so that what a killed process left is overwritten.
  """
  partial = path.with_name(f'{path.name}.partial')
  if shared:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f'{path.name}.')
    os.close(handle)
    partial = pathlib.Path(name)
  try:
    yield partial
    os.replace(partial, path)
  except BaseException:
    partial.unlink(missing_ok=True)
    raise


def write_text(path: pathlib.Path, text: str, *, shared: bool = False) -> None:
  """Writes text in UTF-8."""
  with replacing(path, shared=shared) as partial:
    partial.write_text(text, encoding='utf-8')


def write_json(path: pathlib.Path, value: Any, *, shared: bool = False) -> None:
  """Writes JSON, indented."""
  write_text(path, json.dumps(value, indent=1) + '\n', shared=shared)


def write_array(path: pathlib.Path, array: np.ndarray) -> None:
  """Writes a .npy file."""
  with replacing(path) as partial, partial.open('wb') as file:
    np.save(file, array, allow_pickle=False)
