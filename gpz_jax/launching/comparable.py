"""Refuses to join parts whose numbers are of other images: nothing compares them."""

from collections.abc import Sequence
from typing import NamedTuple

from gpz_jax import results
from gpz_jax.study import continuing
from gpz_jax.study.workdir import Workdir
from gpz_jax.types import InputError


class Source(NamedTuple):
  """A folder that rows are taken from."""

  label: str  # what it is, for people
  workdir: Workdir


def check_images(sources: Sequence[Source]) -> None:
  """Refuses parts on whose test images simple guesses score otherwise.

  Args:
    sources: The parts, and the whole if it holds something already. One without a
      ladder is passed over.

  Raises:
    InputError: A guess differs between two of them, or a ladder is damaged.
  """
  known = [(each.label, results.read_ladder(each.workdir.ladder)) for each in sources]
  known = [(label, ladder) for label, ladder in known if ladder]
  for label, ladder in known[1:]:
    first, usual = known[0]
    if other := continuing.find_other_guess(usual, ladder):
      name, was, found = other
      raise InputError(
        f'{label} was scored on other images than {first}: the guess {name} scores'
        f' {found:.5f} on them and not {was:.5f}; do one of the two again on the images'
        ' of the other'
      )
