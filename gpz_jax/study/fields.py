"""Values of the fields of a config: of the declared type, in plain Python.

A programmatic caller may hand over anything, and what a config holds must survive the
way through run.flags, a line a field and commas between entries.
"""

import numbers
import os
import types
import unicodedata
from typing import Any, Literal, get_args, get_origin

import numpy as np

from gpz_jax.types import InputError

MOST_TEXT = 4096  # characters; what a path may have
_SHOWN = 200  # characters of a refused value
# Control characters, halves of surrogate pairs (bytes that are no UTF-8), line ends
_UNWRITABLE = ('Cc', 'Cs', 'Zl', 'Zp')
_INT64 = range(-(2**63), 2**63)


def scalar_kind(hint: Any) -> Any:
  """int | None -> int, Literal['a', 'b'] -> str; a tuple's type stays."""
  if get_origin(hint) is Literal:
    return str
  if get_origin(hint) is types.UnionType:
    return next(kind for kind in get_args(hint) if kind is not types.NoneType)
  return hint


def convert(name: str, value: Any, hint: Any) -> Any:
  """The value as the plain Python one of the declared type.

  Integers pass for floats, NumPy's numbers for Python's, lists for tuples, paths for
  text; an empty text where None is allowed is None, so that a flag can take back what
  a flagfile set.

  Args:
    name: of the field.
    value: anything.
    hint: the field's declared type.

  Raises:
    InputError: it is of another type, or is text that cannot be written on one line.
  """
  kind = scalar_kind(hint)
  is_optional = types.NoneType in get_args(hint)
  if is_optional and (value is None or (kind is str and value == '')):
    return None
  if get_origin(kind) is not tuple:
    return _SCALARS[kind](name, value)
  if not isinstance(value, tuple | list):
    refuse(name, value, 'a tuple of values')
  entry = get_args(kind)[0]
  return tuple((_entry if entry is str else _SCALARS[entry])(name, v) for v in value)


def refuse(name: str, value: Any, allowed: str) -> None:
  """Raises the error about a field.

  Raises:
    InputError: always.
  """
  raise InputError(f'--{name}={_shown(value)} is not allowed; give {allowed}')


def _shown(value: Any) -> str:
  """The value, short; that of a foreign type by its type, for its text may fail."""
  if isinstance(value, tuple):
    text = f'({", ".join(map(_shown, value[:_SHOWN]))})'
  elif isinstance(value, int) and value not in _INT64:  # may have more digits than
    return 'a number of more than 64 bits'  # Python agrees to print
  elif isinstance(value, str | int | float | None):
    text = str(value)
  else:
    text = f'a {type(value).__name__}'
  return text if len(text) <= _SHOWN else f'{text[:_SHOWN]}...'


def _bool(name: str, value: Any) -> bool:
  if not isinstance(value, bool | np.bool_):
    refuse(name, value, 'True or False')
  return bool(value)


def _int(name: str, value: Any) -> int:
  is_number = isinstance(value, numbers.Integral) and not isinstance(value, bool)
  if not is_number or int(value) not in _INT64:
    refuse(name, value, 'a whole number')
  return int(value)


def _float(name: str, value: Any) -> float:
  is_number = isinstance(value, numbers.Real) and not isinstance(value, bool)
  if not is_number or (isinstance(value, int) and value not in _INT64):
    refuse(name, value, 'a number')
  return float(value) + 0.0  # of the two zeros the positive one: equal lanes, one id


def _str(name: str, value: Any) -> str:
  if not isinstance(value, str | os.PathLike):
    refuse(name, value, 'text')
  text = os.fspath(value)
  if not isinstance(text, str):
    refuse(name, value, 'text')
  if any(unicodedata.category(c) in _UNWRITABLE for c in text):
    refuse(name, text, 'one line of text in UTF-8')
  if len(text) > MOST_TEXT:
    refuse(name, text, f'at most {MOST_TEXT} characters')
  if text != text.rstrip():
    refuse(name, repr(text), 'text without a space at its end')
  return text


def _entry(name: str, value: Any) -> str:
  text = _str(name, value)
  if not text or ',' in text or text != text.strip():
    refuse(name, repr(text), 'entries without commas, none of them empty')
  return text


_SCALARS = {bool: _bool, int: _int, float: _float, str: _str}
