"""Refuses to join parts whose numbers are of other images: nothing compares them."""

from collections.abc import Sequence
from typing import NamedTuple

from gpz_jax import results
from gpz_jax.study import continuing
from gpz_jax.study.workdir import Workdir
from gpz_jax.sweep import theory
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


def check_examples(sources: Sequence[Source]) -> None:
  """Refuses parts whose theory was measured on several numbers of images.

  Args:
    sources: As given to `check_images`. One whose rows of the theory are damaged is
      passed over, because merging leaves them out and says so.

  Raises:
    InputError: The finished quantities of two of them, or those of the epochs of a
      training, are of several numbers.
  """
  known: dict[bool, tuple[str, int]] = {}
  for each in sources:
    for is_finished, count in _count_examples(each.workdir):
      first, usual = known.setdefault(is_finished, (each.label, count))
      if count == usual:
        continue
      way_out = 'remove theory.jsonl and theory.parquet from one of them'
      if is_finished:
        way_out = (
          f'run one of them again with the --theory_limit of the other, or {way_out}'
        )
      raise InputError(
        f'{each.label} has its theory measured on {count} images and {first} on'
        f' {usual}, and nothing compares the two; {way_out}'
      )


def _count_examples(workdir: Workdir) -> list[tuple[bool, int]]:
  """Whether rows are of finished targets, and on how many images: what there is."""
  try:
    rows = workdir.read_rows(results.THEORY)
  except InputError:
    return []
  return sorted({(row['epoch'] == theory.FINISHED, row['examples']) for row in rows})
