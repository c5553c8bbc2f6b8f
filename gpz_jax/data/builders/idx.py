"""The idx form that MNIST and its relatives are published in."""

import gzip
import math
import struct
import zlib

import numpy as np

from gpz_jax import types

_UINT8 = 0x08  # the third byte of the magic number: what the numbers are


def parse(data: bytes, where: str) -> np.ndarray:
  """The array in a gzipped idx file of bytes; its shape is what the header says.

  Args:
    data: the file.
    where: names it in an error.

  Returns:
    uint8 of any rank.

  Raises:
    InputError: it is no such file, or truncated.
  """
  try:
    plain = gzip.decompress(data)
  except (OSError, EOFError, zlib.error) as error:
    raise types.InputError(
      f'{where} is not a whole gzip file; fetch it again'
    ) from error
  if len(plain) < 4 or plain[:3] != bytes([0, 0, _UINT8]):
    raise types.InputError(f'{where} is not an idx file of bytes; fetch it again')
  header = 4 + 4 * plain[3]  # one number for each axis
  shape = struct.unpack(f'>{plain[3]}I', plain[4:header].ljust(header - 4, b'\0'))
  if len(plain) != header + math.prod(shape):
    raise types.InputError(
      f'{where} holds {len(plain)} bytes, not an idx array of shape {shape}; fetch it '
      'again'
    )
  return np.frombuffer(plain, np.uint8, offset=header).reshape(shape)
