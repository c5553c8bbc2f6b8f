"""How numbers are written in a report."""

import json
import math
from typing import Any

from gpz_jax.types import one_line


def format_error(value: float) -> str:
  """A squared error: 0.01234, or 1.2e-05 where five decimals would hide it."""
  if math.isnan(value):
    return '-'
  return f'{value:.5f}' if value >= 1e-4 or value == 0 else f'{value:.1e}'


def format_fixed(value: float, digits: int) -> str:
  """A number with `digits` decimals, a dash for NaN."""
  return '-' if math.isnan(value) else f'{value:.{digits}f}'


def format_share(value: float) -> str:
  """A share of the whole in percent."""
  return '-' if math.isnan(value) else f'{value:.1%}'


def format_count(value: float) -> str:
  """A count with at most four digits and a letter: 1234567 -> '1.235 M'."""
  for unit in ('', ' k', ' M', ' G'):
    if abs(value) < 1000:
      return f'{value:.4g}{unit}'
    value /= 1000
  return f'{value:.4g} T'


def shorten(name: str, most: int = 80) -> str:
  """A name as a figure has room for it, its middle left out; on one line."""
  name = one_line(name)
  return name if len(name) <= most else f'{name[: most // 2]}...{name[-most // 2 :]}'


def format_setting(value: Any) -> str:
  """A value of a settings file on one line."""
  if isinstance(value, list):
    return ', '.join(map(format_setting, value))
  return value if isinstance(value, str) else json.dumps(value)


def format_number(value: float, digits: int = 4) -> str:
  """Significant digits, with an exponent where they would be hidden: 1,606, 1.2e-07."""
  if math.isnan(value):
    return '-'
  size = abs(value)
  if size and not 1e-4 <= size < 1e6:
    return f'{value:.1e}'
  decimals = digits - 1 - math.floor(math.log10(size)) if size else 0
  return f'{value:,.{max(0, decimals)}f}'
