"""What the rows of one kind of file look like."""

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

Row = dict[str, Any]  # column name -> str, int or float


@dataclasses.dataclass(frozen=True)
class Column:
  """A column of a file.

  Attributes:
    name: Its name.
    type: The Python type of its values.
    meaning: What it holds, in one line.
    default: What rows hold that were written before there was such a column. None
      refuses them.
  """

  name: str
  type: type
  meaning: str
  default: Any = None


@dataclasses.dataclass(frozen=True)
class Schema:
  """The columns of a kind of row.

  Attributes:
    name: The stem of its files, as `results` in results.jsonl and results.parquet.
    columns: The columns in the order they are written.
    order: The columns that a parquet file is sorted by, the first one first.
    allowed: The values that a column may take, where not every value is allowed.
  """

  name: str
  columns: tuple[Column, ...]
  order: tuple[str, ...]
  allowed: Mapping[str, tuple[Any, ...]] = dataclasses.field(default_factory=dict)

  def lines_path(self, workdir: pathlib.Path) -> pathlib.Path:
    """The file that rows are appended to while a study runs."""
    return workdir / f'{self.name}.jsonl'

  def table_path(self, workdir: pathlib.Path) -> pathlib.Path:
    """The file of all rows, written when a study is done."""
    return workdir / f'{self.name}.parquet'

  @property
  def types(self) -> dict[str, type]:
    """Column name -> Python type."""
    return {column.name: column.type for column in self.columns}

  def check(self, row: Row) -> Row:
    """The row in column order, its values as plain Python ones.

    A column that is younger than the row is filled with its default.

    Raises:
      ValueError: a column is missing, unknown or of another type, or one that rows
        are sorted by is NaN.
    """
    types = self.types
    row = {c.name: c.default for c in self.columns if c.default is not None} | row
    if missing := [name for name in types if name not in row]:
      raise ValueError(f'row lacks columns {missing}')
    if unknown := [name for name in row if name not in types]:
      raise ValueError(f'row has unknown columns {unknown}')
    checked = {name: _check_value(name, row[name], types[name]) for name in types}
    for name in self.order:
      if checked[name] != checked[name]:
        raise ValueError(f'column {name} has no value')
    for name, values in self.allowed.items():
      if checked[name] not in values:
        raise ValueError(f'column {name}: {checked[name]!r} is not one of {values}')
    return checked

  def sort_key(self, row: Row) -> tuple[Any, ...]:
    """What rows of a parquet file are sorted by."""
    return tuple(row[name] for name in self.order)


def _check_value(name: str, value: Any, expected: type) -> Any:
  if isinstance(value, np.generic | np.ndarray | jax.Array) and value.ndim == 0:
    value = value.tolist()
  if expected is float and type(value) is int and abs(value) < 2**63:
    value = float(value)
  if type(value) is not expected:
    raise ValueError(f'column {name}: {value!r} is not of type {expected.__name__}')
  if expected is int and not -(2**63) <= value < 2**63:
    raise ValueError(f'column {name} has more than 64 bits')
  if expected is str:
    str(value).encode()  # UnicodeEncodeError, a ValueError, of half a character
  return value
