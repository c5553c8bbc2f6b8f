"""The size of images as people give it: one side, or height and width."""

import numbers
import re
from collections.abc import Sequence
from typing import Any

from gpz_jax.types import InputError

ImageSize = int | str | Sequence[int]
_TOO_LARGE = 10**9  # of a side, whatever the memory


def parse(size: ImageSize) -> tuple[int, int]:
  """Height and width of a size: 32 -> (32, 32), '48x32' -> (48, 32).

  Args:
    size: The side of square images, a text of one number or of two with an x between
      them, or the pair (height, width).

  Raises:
    InputError: It is none of these.
  """
  if isinstance(size, str) and re.fullmatch('[0-9]{1,9}(x[0-9]{1,9})?', size):
    sides: list[Any] = [int(side) for side in size.split('x')]
  else:
    sides = list(size) if isinstance(size, tuple | list) else [size]
  if len(sides) not in (1, 2) or not all(map(_is_side, sides)):
    shown = size if isinstance(size, str | float) else type(size).__name__
    raise InputError(
      f'image_size {str(shown)[:40]!r} is not a size; give a side such as 32, or'
      ' height x width such as 48x32'
    )
  return int(sides[0]), int(sides[-1])


def spell(height: int, width: int) -> int | str:
  """The size as it is written: 32 for 32x32, and '48x32' for others."""
  return height if height == width else f'{height}x{width}'


def _is_side(value: Any) -> bool:
  is_whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
  return is_whole and abs(int(value)) < _TOO_LARGE
