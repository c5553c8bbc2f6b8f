import numpy as np
import pytest

from gpz_jax.data import sizes
from gpz_jax.types import InputError


@pytest.mark.parametrize(
  ('size', 'expected'),
  [
    *((32, (32, 32)), ('32', (32, 32)), ('48x32', (48, 32)), ((48, 32), (48, 32))),
    *(([32], (32, 32)), (np.int64(9), (9, 9)), (0, (0, 0)), (-1, (-1, -1))),
  ],
)
def test_sizes(size, expected):
  assert sizes.parse(size) == expected


@pytest.mark.parametrize(
  'size',
  [
    *('', 'x', '32x', '32 x 32', '32X32', '1x2x3', '9' * 5000, '-1', '٣'),
    *(True, 3.0, (1, 2, 3), (1.0, 2), (True, 1), [], None, 2**40, object()),
  ],
)
def test_what_is_no_size_is_refused(size):
  with pytest.raises(InputError, match='is not a size; give a side such as 32, or'):
    sizes.parse(size)


def test_a_square_is_spelled_by_its_side():
  assert (sizes.spell(32, 32), sizes.spell(48, 32)) == (32, '48x32')
