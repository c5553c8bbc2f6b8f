"""What a sweep was told of its recommendation, as its config.json keeps it."""

from typing import Any

from gpz_jax import results
from gpz_jax.results.files import PathLike
from gpz_jax.types import InputError
from gpz_jax.zone import bars
from gpz_jax.zone.limits import LIMITS, make_limits

NAMES = (*LIMITS, 'private_enough')


def read_bounds(path: PathLike) -> dict[str, Any]:
  """The arguments of `recommend` in a config.json, by the names of `NAMES`.

  A limit that is not there is None. A sweep of an earlier version was not told what is
  private enough, so that the default holds.

  Raises:
    InputError: The file cannot be read, or one of the values is not allowed.
  """
  content = results.read_object(path)
  bounds = {name: content.get(name) for name in LIMITS}
  bar = content.get('private_enough', bars.DEFAULT)
  try:
    make_limits(bounds)
    bars.check(bar)
  except InputError as error:
    raise InputError(f'{error}; {str(path)!r} says so: mend it there') from error
  return bounds | {'private_enough': bar}
