"""Where examples come from before they are decoded, the same for every format."""

import dataclasses
import hashlib
import os
import pathlib
from collections.abc import Callable, Iterable, Iterator, Mapping

from gpz_jax import types
from gpz_jax.data import images, subsets


@dataclasses.dataclass(frozen=True)
class Source:
  """A dataset on disk."""

  name: str  # for messages
  key: str  # names the cached file; it changes when the examples do
  class_names: tuple[str, ...]
  channels: int  # 1 or 3
  counts: Mapping[str, int]  # examples of `train` and of `val` and `test` if any
  read: Callable[[str], Iterator[images.Encoded]]  # takes the name of a subset
  test_share: float = subsets.TEST_SHARE  # used where `counts` has no `test`
  # The attacker's share of what is not test; 0 where aux is another dataset.
  aux_share: float = subsets.AUX_SHARE
  # Ends the names of cached files where examples were put into other subsets.
  division: str = ''
  notes: tuple[str, ...] = ()  # sentences on what was read and what was not


def signature(parts: Iterable[object]) -> str:
  """A short stable hash of the parts, for `Source.key`."""
  text = '\n'.join(map(str, parts))
  return hashlib.sha256(text.encode(errors='surrogateescape')).hexdigest()[:12]


def expand(what: str, path: str | os.PathLike) -> pathlib.Path:
  """A path with its ~ and ~user resolved; an error calls it `what`.

  Raises:
    InputError: there is no such user, or no system has such a path.
  """
  text = os.fspath(path)
  try:
    if '\0' in text:
      raise RuntimeError('it has a null byte')
    return pathlib.Path(text).expanduser()
  except RuntimeError as error:
    raise types.InputError(
      f'{what} {text!r} is no path: {reason(error)}; spell it out'
    ) from error


def reason(error: Exception) -> str:
  """What an exception of a library says, in one line, for an `InputError`."""
  return types.first_line(error).rstrip(' :;.')
