"""Files of rows: JSON lines while a sweep runs, one parquet at its end.

Every function takes the schema of its rows: `RESULTS`, unless told `THEORY`.
"""

import json
import math
import os
import pathlib
from collections.abc import Iterable
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

import gpz_jax
from gpz_jax import atomic
from gpz_jax.results.columns import RESULTS
from gpz_jax.results.schema import Row, Schema
from gpz_jax.types import InputError, first_line

PathLike = str | os.PathLike[str]
_DAMAGE = (OSError, pa.ArrowException, ArithmeticError, ValueError, MemoryError)
_LADDER_SCORES = ('mse', 'psnr', 'ssim', 'mse_paper')
_ARROW_TYPES = {str: pa.string(), int: pa.int64(), float: pa.float64()}


def append_rows(path: PathLike, rows: Iterable[Row], schema: Schema = RESULTS) -> None:
  """Adds rows to a JSON-lines file in one write, so that they come to be together.

  A line torn by an earlier failure (a kill, a full disk) is removed first. Numbers that
  are not finite are written as null.

  Raises:
    ValueError: a column is missing, unknown or of another type.
  """
  checked = [_without_nan(schema.check(row)) for row in rows]
  lines = ''.join(json.dumps(row, allow_nan=False) + '\n' for row in checked)
  with open(path, 'ab+', buffering=0) as file:
    length = _intact_length(file)
    file.truncate(length)
    try:
      _write_all(file, lines.encode())
      os.fsync(file.fileno())
    except OSError:
      file.truncate(length)  # lanes that ran side by side have rows together, or none
      raise


def write_rows(path: PathLike, rows: Iterable[Row], schema: Schema = RESULTS) -> None:
  """Writes a JSON-lines file in one atomic step, in place of one that is there.

  Raises:
    ValueError: a column is missing, unknown or of another type.
  """
  path = pathlib.Path(path)
  path.with_name(f'{path.name}.partial').unlink(missing_ok=True)
  with atomic.replacing(path) as partial:
    append_rows(partial, rows, schema)


def read_rows(path: PathLike, schema: Schema = RESULTS) -> list[Row]:
  """The rows of a JSON-lines file, in the order they were written; null becomes NaN.

  A last line without its newline was torn by a kill and is left out.

  Raises:
    InputError: there is no such file, or a line is damaged.
  """
  try:
    text = pathlib.Path(path).read_text(encoding='utf-8')
  except (OSError, UnicodeDecodeError) as error:
    raise _unreadable(schema, path, error, 'put back a copy of it') from error
  lines = text.split('\n')[:-1]
  return [_parse_line(path, n, line, schema) for n, line in enumerate(lines, start=1)]


def write_parquet(
  path: PathLike, rows: Iterable[Row], schema: Schema = RESULTS
) -> None:
  """Writes rows, sorted by split, treatment, seed and so on, in one atomic step.

  Raises:
    ValueError: a column of a row is missing, unknown or of another type.
  """
  path = pathlib.Path(path)
  ordered = sorted(map(schema.check, rows), key=schema.sort_key)
  table = pa.Table.from_pylist([_without_nan(r) for r in ordered], _as_arrow(schema))
  with atomic.replacing(path) as partial:
    pq.write_table(table, partial, write_page_checksum=True)


def read_parquet(path: PathLike, schema: Schema = RESULTS) -> list[Row]:
  """The rows of a parquet file; null becomes NaN.

  Raises:
    InputError: there is no such file, or it holds other rows.
  """
  try:
    rows = pq.read_table(path, page_checksum_verification=True).to_pylist()
    return [schema.check(_with_nan(row, schema)) for row in rows]
  except _DAMAGE as error:
    way_out = f'remove it, and the sweep writes it anew from its {schema.name}.jsonl'
    raise _unreadable(schema, path, error, way_out) from error


def read_workdir(
  workdir: PathLike, schema: Schema = RESULTS, *, missing_ok: bool = False
) -> tuple[list[Row], bool]:
  """The rows a sweep has written so far, and whether they are all.

  Args:
    workdir: Folder of a sweep, finished (`results.parquet`) or running
      (`results.jsonl`).
    schema: The kind of rows to read.
    missing_ok: Whether no rows are returned where there is no such file, or nothing in
      it yet. Otherwise that is an error.

  Raises:
    InputError: there is no file or no row, or the file cannot be read.
  """
  stem = pathlib.Path(workdir) / schema.name
  place = f'in workdir {os.fspath(workdir)!r}'
  try:
    is_final = stem.with_suffix('.parquet').exists()
  except OSError as error:
    raise InputError(f'nothing can be read {place}: {error.strerror}') from error
  if is_final:
    rows = read_parquet(stem.with_suffix('.parquet'), schema)
  elif stem.with_suffix('.jsonl').exists():
    rows = read_rows(stem.with_suffix('.jsonl'), schema)
  elif missing_ok:
    rows = []
  else:
    raise InputError(f'no {schema.name}.parquet or {schema.name}.jsonl {place}')
  if not rows and not missing_ok:
    raise InputError(f'no finished row yet {place}; try later')
  return rows, is_final


def read_object(path: PathLike) -> dict[str, Any]:
  """The object in a JSON file of a workdir; empty where there is no file yet.

  Raises:
    InputError: the file cannot be read or holds something else.
  """
  path = pathlib.Path(path)
  try:
    content = json.loads(path.read_text(encoding='utf-8'))
  except (FileNotFoundError, NotADirectoryError):
    return {}
  except (OSError, ValueError, RecursionError) as error:
    reason = getattr(error, 'strerror', None) or error
    raise InputError(
      f'cannot read {str(path)!r} ({reason}); put back a copy of it, or remove it'
    ) from error
  if not isinstance(content, dict):
    raise InputError(
      f'{str(path)!r} must hold a JSON object; put back a copy of it, or remove it'
    )
  return content


def read_ladder(path: PathLike) -> dict[str, dict[str, float]]:
  """What simple guesses score, out of ladder.json; empty where there is none yet.

  Returns:
    As `metrics.ladder`: guess -> mse, psnr, ssim, mse_paper.

  Raises:
    InputError: the file cannot be read or holds something else.
  """
  ladder = read_object(path)
  for rung, scores in ladder.items():
    known = scores if isinstance(scores, dict) else {}
    if not all(isinstance(known.get(name), int | float) for name in _LADDER_SCORES):
      raise InputError(
        f'{str(path)!r} has no {", ".join(_LADDER_SCORES)} of {rung!r}; remove it and'
        ' run the sweep again'
      )
  return {
    rung: {name: float(scores[name]) for name in _LADDER_SCORES}
    for rung, scores in ladder.items()
  }


def _without_nan(row: Row) -> Row:
  """The row with None for each number that is not finite."""
  return {
    name: None if isinstance(value, float) and not math.isfinite(value) else value
    for name, value in row.items()
  }


def _with_nan(row: dict[str, Any], schema: Schema) -> Row:
  types = schema.types
  return {
    name: math.nan if value is None and types.get(name) is float else value
    for name, value in row.items()
  }


def _parse_line(path: PathLike, number: int, line: str, schema: Schema) -> Row:
  row: Any = None
  try:
    row = json.loads(line)
    return schema.check(_with_nan(row, schema))
  except (ValueError, AttributeError, RecursionError) as error:
    written_by = row.get('version') if isinstance(row, dict) else None
    if written_by not in (None, gpz_jax.__version__):
      way_out = (
        f'version {written_by} of gpz_jax wrote it, this is {gpz_jax.__version__}: use'
        ' that version, or another workdir'
      )
    else:
      way_out = 'remove the line to have its row computed again'
    raise InputError(
      f'{os.fspath(path)!r} line {number} is damaged ({error}); {way_out}'
    ) from error


def _write_all(file: BinaryIO, text: bytes) -> None:
  while text:  # the disk may take a part, and only then say that it is full
    text = text[file.write(text) :]


def _intact_length(file: BinaryIO) -> int:
  """Bytes up to and with the last newline."""
  file.seek(0)
  return file.read().rfind(b'\n') + 1


def _as_arrow(schema: Schema) -> pa.Schema:
  return pa.schema(
    pa.field(c.name, _ARROW_TYPES[c.type], metadata={'meaning': c.meaning})
    for c in schema.columns
  )


def _unreadable(
  schema: Schema, path: PathLike, error: Exception, way_out: str
) -> InputError:
  return InputError(
    f'cannot read {schema.name} {os.fspath(path)!r} ({first_line(error)}); {way_out}'
  )
