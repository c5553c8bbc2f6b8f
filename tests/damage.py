"""Seeded damage to the bytes of a file, as disks, editors and people do it."""

import random
import re
from collections.abc import Callable, Iterator

_NUMBERS = (b'9' * 30, b'1e999', b'-1', b'0', b'NaN', b'null', b'"x"', b'[]', b'{}')


def flip_bit(rng: random.Random, data: bytes) -> bytes:
  """Changes one bit."""
  flipped = bytearray(data)
  flipped[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
  return bytes(flipped)


def truncate(rng: random.Random, data: bytes) -> bytes:
  """Cuts off the end: at least the last byte, at most everything."""
  return data[: rng.randrange(len(data))]


def _flip_bits(rng: random.Random, data: bytes) -> bytes:
  for _ in range(rng.randrange(1, 4)):
    data = flip_bit(rng, data)
  return data


def _number(rng: random.Random, data: bytes) -> bytes:
  """Puts something else where a number is written."""
  found = list(re.finditer(rb'-?\d+(\.\d+)?', data))
  if not found:
    return b'9' * 30
  place = rng.choice(found)
  return data[: place.start()] + rng.choice(_NUMBERS) + data[place.end() :]


KINDS: dict[str, Callable[[random.Random, bytes], bytes]] = {
  'truncated': truncate,
  'flipped': _flip_bits,
  'number': _number,
  'empty': lambda rng, data: b'',
  'noise': lambda rng, data: rng.randbytes(200),
  'nested': lambda rng, data: b'[' * 100_000,
  'object': lambda rng, data: b'{"a": {"a": [1, {}]}}\n',
  'list': lambda rng, data: b'[1, 2]\n',
  'crlf': lambda rng, data: data.replace(b'\n', b'\r\n'),
  'bom': lambda rng, data: b'\xef\xbb\xbf' + data,
  'latin-1': lambda rng, data: data[:-1] + b'\xe9\xff\n',
  'nul': lambda rng, data: data[:-1] + b'\0\n',
  'twice': lambda rng, data: data + data,
  'archive': lambda rng, data: b'PK\x03\x04' + data,
}


def damaged(data: bytes, seeds: range) -> Iterator[tuple[str, bytes]]:
  """What is damaged how, and the damaged bytes: every kind once for each seed."""
  for seed in seeds:
    for kind, damage in KINDS.items():
      rng = random.Random(f'{kind} {seed}')
      yield f'{kind} {seed}', damage(rng, data)
