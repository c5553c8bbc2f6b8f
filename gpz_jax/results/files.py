"""Files of results: JSON lines while a sweep runs, one parquet at its end."""

import json
import math
import os
import pathlib
from collections.abc import Iterable
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from gpz_jax import atomic
from gpz_jax.results.columns import COLUMNS, TYPES, Row, check_row
from gpz_jax.types import InputError

PathLike = str | os.PathLike[str]
_ARROW_TYPES = {str: pa.string(), int: pa.int64(), float: pa.float64()}


def append_row(path: PathLike, row: Row) -> None:
  """Adds one row to a JSON-lines file so that a kill can tear only this line.

  A line torn by an earlier kill is removed first. Numbers that are not finite are
  written as null.

  Raises:
    ValueError: a column is missing, unknown or of another type.
  """
  line = json.dumps(_without_nan(check_row(row)), allow_nan=False) + '\n'
  with open(path, 'ab+') as file:
    file.truncate(_intact_length(file))
    file.write(line.encode())
    file.flush()
    os.fsync(file.fileno())


def read_rows(path: PathLike) -> list[Row]:
  """The rows of a JSON-lines file, in the order they were written; null becomes NaN.

  A last line without its newline was torn by a kill and is left out.

  Raises:
    InputError: there is no such file, or a line is damaged.
  """
  try:
    text = pathlib.Path(path).read_text(encoding='utf-8')
  except (OSError, UnicodeDecodeError) as error:
    raise InputError(f'cannot read results {os.fspath(path)!r}: {error}') from error
  lines = text.split('\n')[:-1]
  return [_parse_line(path, n, line) for n, line in enumerate(lines, start=1)]


def write_parquet(path: PathLike, rows: Iterable[Row]) -> None:
  """Writes rows, sorted by split, alpha, seed and attack, in one atomic step.

  Raises:
    ValueError: a column of a row is missing, unknown or of another type.
  """
  path = pathlib.Path(path)
  ordered = sorted(
    (check_row(row) for row in rows),
    key=lambda row: (row['split_index'], row['alpha'], row['seed'], row['attack']),
  )
  table = pa.Table.from_pylist([_without_nan(row) for row in ordered], _arrow_schema())
  with atomic.replacing(path) as partial:
    pq.write_table(table, partial)


def read_parquet(path: PathLike) -> list[Row]:
  """The rows of a parquet file; null becomes NaN.

  Raises:
    InputError: there is no such file, or it is not one of results.
  """
  try:
    rows = pq.read_table(path).to_pylist()
    return [check_row(_with_nan(row)) for row in rows]
  except (OSError, pa.ArrowInvalid, ValueError) as error:
    reason = str(error).splitlines()[0]
    raise InputError(f'cannot read results {os.fspath(path)!r}: {reason}') from error


def _without_nan(row: Row) -> Row:
  """The row with None for each number that is not finite."""
  return {
    name: None if isinstance(value, float) and not math.isfinite(value) else value
    for name, value in row.items()
  }


def _with_nan(row: dict[str, Any]) -> Row:
  return {
    name: math.nan if value is None and TYPES.get(name) is float else value
    for name, value in row.items()
  }


def _parse_line(path: PathLike, number: int, line: str) -> Row:
  try:
    return check_row(_with_nan(json.loads(line)))
  except (ValueError, AttributeError) as error:
    raise InputError(
      f'{os.fspath(path)!r} line {number} is damaged ({error}); remove the line to '
      f'have its row computed again'
    ) from error


def _intact_length(file) -> int:
  """Bytes up to and with the last newline."""
  file.seek(0)
  return file.read().rfind(b'\n') + 1


def _arrow_schema() -> pa.Schema:
  return pa.schema(
    pa.field(c.name, _ARROW_TYPES[c.type], metadata={'meaning': c.meaning})
    for c in COLUMNS
  )
