"""Fields of a config: what each one means, and values of the declared type.

A field says everything about itself where it is declared: its default, its help, the
values it may have, and its scope, which is what a change of it changes. The command
line, the checks, the identity of a workdir and the sharing of targets follow from that.

A programmatic caller may hand over anything, and what a config holds must survive the
way through run.flags: one line for each field, commas between entries.
"""

import dataclasses
import functools
import math
import numbers
import operator
import os
import types
import unicodedata
from collections.abc import Callable, Sequence
from typing import (
  Any,
  Literal,
  NamedTuple,
  NoReturn,
  get_args,
  get_origin,
  get_type_hints,
)

import numpy as np

from gpz_jax.data import sizes
from gpz_jax.types import InputError

# What a change of a field changes.
#   targets  the trained targets, and with them everything else
#   rows     which rows there are, or what is in them, but not the targets
#   speed    where and how fast it is computed, and at most the last bits of a number
#   report   what is measured beside the rows, recommended or shown
# A workdir belongs to one choice of `targets` and `rows`. Targets can be shared by
# studies that agree in `targets`.
Scope = Literal['targets', 'rows', 'speed', 'report']
SCOPES: tuple[Scope, ...] = get_args(Scope)


class Range(NamedTuple):
  """Numbers from `least` on and below `below`; above `least` where it is excluded."""

  least: float
  below: float = math.inf
  excludes_least: bool = False

  def admits(self, value: float) -> bool:
    """Whether a finite number lies in the range."""
    is_low = value <= self.least if self.excludes_least else value < self.least
    return math.isfinite(value) and not is_low and value < self.below

  def __str__(self) -> str:
    if self.excludes_least:
      return f'numbers between {self.least:g} and {self.below:g}'
    end = f' and below {self.below:g}' if self.below < COUNT.below else ''
    return f'at least {self.least:g}{end}'


COUNT = Range(1, 2**31)
AMOUNT = Range(0.0)
SEED = Range(0, 2**31)
SHARE = Range(0.0, 1.0)


class Meaning(NamedTuple):
  """What a field of a config means; it stands in the field's metadata."""

  help: str
  scope: Scope
  choices: Sequence[Any] = ()
  range: Range | None = None
  is_set: bool = False  # at least one entry, none of them twice


def field(
  default: Any,
  help: str,
  scope: Scope,
  *,
  choices: Sequence[Any] = (),
  range: Range | None = None,
  is_set: bool = False,
) -> Any:
  """Declares a field of a config.

  Args:
    default: Value of the field where nothing is given.
    help: Text of the flag, in full sentences.
    scope: What a change of the field changes, see `Scope`.
    choices: All values that are allowed; empty where any text is.
    range: Numbers that are allowed; of a tuple, each entry must be in it.
    is_set: Whether a tuple must have an entry and none of them twice.
  """
  if scope not in SCOPES:
    raise ValueError(f'scope {scope!r} is none of {SCOPES}')
  meaning = Meaning(help, scope, choices, range, is_set)
  return dataclasses.field(default=default, metadata={'meaning': meaning})


def meanings(config_type: type) -> dict[str, Meaning]:
  """What each field of a config means, by name and in order."""
  fields = dataclasses.fields(config_type)
  return {each.name: each.metadata['meaning'] for each in fields}


def in_scope(config_type: type, *scopes: Scope) -> tuple[str, ...]:
  """The names of the fields with one of these scopes, in order."""
  found = meanings(config_type).items()
  return tuple(name for name, meaning in found if meaning.scope in scopes)


def checked(config: Any) -> dict[str, Any]:
  """The values of a config in plain Python, each of its declared type and allowed.

  Args:
    config: Instance of a dataclass whose fields were declared by `field`.

  Raises:
    InputError: A value is of another type or not allowed. The message names the first
      such field, its value and what is allowed.
  """
  hints = get_type_hints(type(config))
  known = meanings(type(config))
  values = {n: convert(n, getattr(config, n), hints[n]) for n in known}
  for name, meaning in known.items():
    _check(name, values[name], meaning)
  return values


def _check(name: str, value: Any, meaning: Meaning) -> None:
  if meaning.choices and value not in meaning.choices:
    refuse(name, value, f'one of {", ".join(map(str, meaning.choices))}')
  if meaning.is_set and (not value or len(set(value)) != len(value)):
    refuse(name, value, 'at least one value, none of them twice')
  if meaning.range is not None:
    for item in value if isinstance(value, tuple) else (value,):
      if not all(map(meaning.range.admits, _numbers(item))):
        refuse(name, item, str(meaning.range))


def _numbers(value: Any) -> tuple[float, ...]:
  """What a range is asked about: a number, both sides of a size, nothing for None."""
  if isinstance(value, str):
    return sizes.parse(value)
  return () if value is None else (value,)


MOST_TEXT = 4096  # characters; what a path may have
_SHOWN = 200  # characters of a refused value
# Control characters, halves of surrogate pairs (bytes that are no UTF-8), line ends
_UNWRITABLE = ('Cc', 'Cs', 'Zl', 'Zp')
_INT64 = range(-(2**63), 2**63)
SIZE = int | str  # type of a field that is the size of images: 32, or '48x32'


def scalar_kind(hint: Any) -> Any:
  """int | None -> int, Literal['a', 'b'] -> str; a tuple's type and SIZE stay."""
  if get_origin(hint) is Literal:
    return str
  if get_origin(hint) is types.UnionType:
    kinds = (kind for kind in get_args(hint) if kind is not types.NoneType)
    return functools.reduce(operator.or_, kinds)
  return hint


def convert(name: str, value: Any, hint: Any) -> Any:
  """The value as the plain Python one of the declared type.

  Integers pass for floats, NumPy's numbers for Python's, lists for tuples, paths for
  text. An empty text is None where None is allowed, so that a flag can take back what a
  flagfile set.

  Args:
    name: Name of the field.
    value: Anything.
    hint: Declared type of the field.

  Raises:
    InputError: The value is of another type, or is text that cannot be written on one
      line.
  """
  kind = scalar_kind(hint)
  is_optional = types.NoneType in get_args(hint)
  if is_optional and (value is None or (kind in (str, SIZE) and value == '')):
    return None
  if get_origin(kind) is not tuple:
    return _SCALARS[kind](name, value)
  if not isinstance(value, tuple | list):
    refuse(name, value, 'a tuple of values')
  entry = get_args(kind)[0]
  return tuple((_entry if entry is str else _SCALARS[entry])(name, v) for v in value)


def refuse(name: str, value: Any, allowed: str) -> NoReturn:
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


def _size(name: str, value: Any) -> int | str:
  try:
    return sizes.spell(*sizes.parse(value))
  except InputError:
    refuse(name, value, 'a side such as 32, or height x width such as 48x32')


_SCALARS: dict[Any, Callable[[str, Any], Any]] = {
  bool: _bool,
  int: _int,
  float: _float,
  str: _str,
  SIZE: _size,
}
