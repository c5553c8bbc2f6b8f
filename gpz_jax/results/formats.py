"""How numbers, names and lists are written in tables, sentences and on the page."""

import json
import math
from collections.abc import Sequence
from typing import Any

from gpz_jax.types import Treatment, one_line


def align(table: list[list[str]]) -> list[str]:
  """Lines with columns of equal width."""
  widths = [max(map(len, column)) for column in zip(*table, strict=True)]
  return ['  '.join(map(str.ljust, line, widths)).rstrip() for line in table]


def join_words(parts: Sequence[str]) -> str:
  """A list as a sentence has it: 'a', 'a and b', 'a, b and c'."""
  return ' and '.join(filter(None, [', '.join(parts[:-1]), parts[-1]]))


def format_treatment(treatment: Treatment) -> str:
  """A treatment under a heading or behind a word that says 'alpha' already."""
  return str(treatment).removeprefix('alpha ')


def format_bytes(count: float) -> str:
  """Bytes with a binary unit: 8192 -> '8 KiB'."""
  for unit in ('B', 'KiB', 'MiB'):
    if count < 1024:
      return f'{count:.{3 if count < 1000 else 4}g} {unit}'
    count /= 1024
  return f'{count:.3g} GiB'


def format_count(value: float) -> str:
  """A count with at most four digits and a letter: 1234567 -> '1.235 M'."""
  for unit in ('', ' k', ' M', ' G'):
    if abs(value) < 1000:
      return f'{value:.4g}{unit}'
    value /= 1000
  return f'{value:.4g} T'


def format_bound(value: float) -> str:
  """A limit, or the number it limits, with thousands set apart: 4096 -> '4,096'."""
  if math.isfinite(value) and value == int(value):
    return f'{int(value):,}'
  return f'{value:,.4g}' if abs(value) < 1e4 else f'{value:,.1f}'


def format_number(value: float, digits: int = 4) -> str:
  """Significant digits, or an exponent where they would be hidden: 1,606, 1.2e-07.

  Args:
    value: Any number; NaN becomes a dash.
    digits: How many significant digits are kept.
  """
  if math.isnan(value):
    return '-'
  size = abs(value)
  if size and not 1e-4 <= size < 1e6:
    return f'{value:.1e}'
  decimals = digits - 1 - math.floor(math.log10(size)) if size else 0
  return f'{value:,.{max(0, decimals)}f}'


def format_fixed(value: float, digits: int) -> str:
  """A number with `digits` decimals, or a dash for NaN."""
  return '-' if math.isnan(value) else f'{value:.{digits}f}'


def format_error(value: float) -> str:
  """A squared error: 0.01234, or 1.2e-05 where five decimals would hide it."""
  if math.isnan(value):
    return '-'
  return f'{value:.5f}' if value >= 1e-4 or value == 0 else f'{value:.1e}'


def format_share(value: float) -> str:
  """A share of the whole in percent, or a dash for NaN."""
  return '-' if math.isnan(value) else f'{value:.1%}'


def format_setting(value: Any) -> str:
  """A value of a settings file on one line."""
  if isinstance(value, list):
    return ', '.join(map(format_setting, value))
  return value if isinstance(value, str) else json.dumps(value)


def shorten(name: str, most: int = 80) -> str:
  """A name on one line, without its middle where a figure has no room for it.

  Args:
    name: The name in full.
    most: How many characters there is room for.
  """
  name = one_line(name)
  return name if len(name) <= most else f'{name[: most // 2]}...{name[-most // 2 :]}'
