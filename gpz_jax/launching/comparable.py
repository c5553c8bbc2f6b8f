"""Refuses to join parts whose numbers are of other images, targets or evaluators."""

import pathlib
from collections.abc import Sequence
from typing import Any, NamedTuple

from gpz_jax import checkpoints, results
from gpz_jax.generators import files as generator_files
from gpz_jax.launching import parts
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


def check_targets(sources: Sequence[Source]) -> None:
  """Refuses parts that attacked several targets of one name.

  A target that was trained again has the name of the first one, and so has one of a
  file of weights that was overwritten.

  Args:
    sources: The parts. Those of an earlier version tell nothing of their targets.

  Raises:
    InputError: A target differs between two of them.
  """
  known: dict[str, tuple[str, str]] = {}
  for each in sources:
    for lane_id, digest in parts.read_targets(each.workdir).items():
      first, usual = known.setdefault(lane_id, (each.label, digest))
      if digest != usual:
        raise InputError(
          f'{each.label} has another target {lane_id} than {first}: it was trained'
          ' again, borrowed elsewhere or overwritten in between; remove'
          f' {each.workdir} and have it done again on the target of the other'
        )


def check_trained(sources: Sequence[Source], names: Sequence[str]) -> None:
  """Refuses parts whose evaluators, or whose generators, are not the same.

  Args:
    sources: The parts. One that lacks what is compared is passed over, and so is one
      where it is damaged.
    names: What is compared: `evaluator`, `generator`.

  Raises:
    InputError: One differs between two of them.
  """
  for name in names:
    known: list[tuple[str, Any]] = []
    for each in sources:
      try:
        found = identify(getattr(each.workdir, name))
      except InputError:
        continue
      if found is None:
        continue
      known.append((each.label, found))
      if found != known[0][1]:
        raise InputError(
          f'{each.label} has another {name} than {known[0][0]}, so that their rows do'
          f' not belong together; remove {each.workdir} and have it done again with the'
          f' {name} of the other'
        )


def identify(path: pathlib.Path) -> Any:
  """What equals only where two checkpoints, or two generators, are the same.

  None where there is none, or the plain values of a checkpoint are damaged.

  Raises:
    InputError: The file of a generator is damaged.
  """
  if not path.is_file():
    return checkpoints.read_checksums(path)
  generator, variables = generator_files.load(path)
  return generator, checkpoints.checksums(variables)


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
