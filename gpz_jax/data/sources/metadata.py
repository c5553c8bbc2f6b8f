"""A TFDS folder is looked over before TFDS reads it: its metadata can name code.

TFDS imports the module of every feature class that features.json names. Only classes
of TFDS itself that hold plain data pass here, so that nothing is imported for a folder.
"""

import json
import os
import pathlib
from collections.abc import Iterable
from typing import Any

import tensorflow_datasets as tfds

from gpz_jax import types

MAX_CLASSES = 1_000_000
_FEATURES = tfds.features
_ALLOWED = {
  f'{kind.__module__}.{kind.__qualname__}'
  for kind in (
    *(_FEATURES.FeaturesDict, _FEATURES.Image, _FEATURES.ClassLabel, _FEATURES.Text),
    *(_FEATURES.Tensor, _FEATURES.Scalar, _FEATURES.Sequence, _FEATURES.BBoxFeature),
  )
}
# As the present form, its other spelling, and the legacy form call them.
_CLASS_KEYS = ('pythonClassName', 'python_class_name', 'type', 'proto_cls')
_COUNT_KEYS = ('numClasses', 'num_classes')
_JSON_KEY = 'json'  # holds more of the same in a string


def check(folder: pathlib.Path) -> None:
  """Refuses a TFDS folder that names code, claims too much, or would never be read.

  Args:
    folder: The version folder.

  Raises:
    InputError: features.json is no JSON, names a class that is not read, or claims
      more than 1,000,000 classes; something in the folder is a pipe or a device.
  """
  try:
    check_files(folder.iterdir())
    path = folder / 'features.json'
    text = path.read_text(encoding='utf-8') if path.exists() else '{}'
    _parse(text, path)
  except types.InputError:  # a ValueError, too
    raise
  except (OSError, ValueError, RecursionError) as error:
    raise types.InputError(
      f'{folder} is not a readable TFDS folder ({type(error).__name__}); prepare it '
      'again'
    ) from error


def check_files(paths: Iterable[str | os.PathLike]) -> None:
  """Refuses paths that are there but are neither a file nor a folder.

  Raises:
    InputError: One is a pipe, a socket or a device, whose reading might never end.
  """
  for path in paths:
    if os.path.exists(path) and not (os.path.isfile(path) or os.path.isdir(path)):
      raise types.InputError(f'{path} is no file; remove it and prepare the data again')


def _parse(text: str, path: pathlib.Path) -> None:
  """Parses JSON and checks each pair of it, those that a later one hides as well."""

  def look(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    for key, value in pairs:
      if key in _CLASS_KEYS and isinstance(value, str) and value not in _ALLOWED:
        raise types.InputError(
          f'{path} names the feature class {value[:200]!r}, which is not read because '
          'it could run code; prepare the data again with a feature of TFDS'
        )
      if key in _COUNT_KEYS and not isinstance(value, dict):
        _check_count(value, path)
      if key == _JSON_KEY and isinstance(value, str):
        _parse(value, path)
    return dict(pairs)

  json.loads(text, object_pairs_hook=look)


def _check_count(value: Any, path: pathlib.Path) -> None:
  if not float(value) <= MAX_CLASSES:
    raise types.InputError(
      f'{path} claims {str(value)[:40]} classes, more than {MAX_CLASSES:,}; prepare '
      'the data again'
    )
