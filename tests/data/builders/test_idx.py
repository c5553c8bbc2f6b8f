import gzip

import numpy as np
import pytest

from gpz_jax import types
from gpz_jax.data.builders import idx

# By hand: magic number (bytes, 2 axes), 2 rows, 3 columns, 6 bytes.
PLAIN = bytes([0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3, 1, 2, 3, 4, 5, 6])


def test_parse():
  array = idx.parse(gzip.compress(PLAIN, mtime=0), 'x.gz')
  assert array.dtype == np.uint8
  np.testing.assert_array_equal(array, [[1, 2, 3], [4, 5, 6]])


@pytest.mark.parametrize(
  ('data', 'message'),
  [
    (gzip.compress(PLAIN, mtime=0)[:-9], 'x.gz is not a whole gzip file'),
    (b'', 'x.gz holds|x.gz is not'),
    (PLAIN, 'x.gz is not a whole gzip file'),
    (gzip.compress(b'<html>', mtime=0), 'x.gz is not an idx file of bytes'),
    (
      gzip.compress(PLAIN[:2] + bytes([13]) + PLAIN[3:], mtime=0),
      'not an idx file of bytes',
    ),
    (gzip.compress(PLAIN[:-1], mtime=0), r'x.gz holds 17 bytes, not .* shape \(2, 3\)'),
    (gzip.compress(PLAIN[:9], mtime=0), 'x.gz holds 9 bytes'),
  ],
)
def test_damage_is_one_line(data, message):
  with pytest.raises(types.InputError, match=message) as error:
    idx.parse(data, 'x.gz')
  assert '\n' not in str(error.value)
