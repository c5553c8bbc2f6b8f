"""Images that are in two subsets of a task, which no score survives."""

import collections
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from gpz_jax.types import Dataset, InputError, Task

# Above this share of the test images nothing that is scored on them means anything.
MOST_SHARED = 0.5
# Toys of a few images may have them in common. That is told, and not refused.
LEAST_REFUSED = 20


def count_shared(images: Dataset, others: Dataset) -> int:
  """How many images of one subset are, pixel by pixel, in another one.

  An image that either subset holds several times does not count: it is of data of few
  different images, as toys are, and no copy.
  """
  return _count(_Keyed.of(images.image), _Keyed.of(others.image))


class _Keyed(NamedTuple):
  """Images, and which of them have the same rows of pixels, so that few are read."""

  images: np.ndarray
  rows: dict[bytes, list[int]]

  @classmethod
  def of(cls, images: np.ndarray) -> '_Keyed':
    height = images.shape[1]
    lines = sorted({height // 4, height // 2, 3 * height // 4})
    rows: dict[bytes, list[int]] = {}
    for i, image in enumerate(images):
      rows.setdefault(image[lines].tobytes(), []).append(i)
    return cls(images, rows)


def _count(ours: _Keyed, theirs: _Keyed) -> int:
  if ours.images.shape[1:] != theirs.images.shape[1:]:
    return 0
  shared = 0
  for key in ours.rows.keys() & theirs.rows.keys():
    counts, found = (
      collections.Counter(each.images[row].tobytes() for row in each.rows[key])
      for each in (ours, theirs)
    )
    shared += sum(count == found[image] == 1 for image, count in counts.items())
  return shared


def is_refused(count: int, total: int) -> bool:
  """Whether so many shared images of all are more than a few, and most of them."""
  return count >= LEAST_REFUSED and count > MOST_SHARED * total


def describe(task: Task) -> Iterator[str]:
  """What is to be said of images that are in two subsets; nothing where none is.

  Raises:
    InputError: Most of the test images are trained on, by the target or the attacker.
  """
  keyed = {
    part: _Keyed.of(getattr(task, part).image) for part in ('train', 'test', 'aux')
  }
  for part, whose, wrong in (
    ('train', "targets' training images", 'their accuracy says nothing of new images'),
    ('aux', "attacker's images", 'reconstructions of them are no attack'),
  ):
    count, total = _count(keyed['test'], keyed[part]), len(task.test)
    if is_refused(count, total):
      name = task.aux_name if part == 'aux' else task.name
      raise InputError(
        f'{count:,} of the {total:,} test images of {task.name} are among the {whose}'
        f' ({name}), so that {wrong}; give other images'
      )
    if count:
      yield f'{count:,} of {total:,} test images are among the {whose}: {wrong}'
  count, total = _count(keyed['aux'], keyed['train']), len(task.aux)
  if count:
    yield (
      f"{count:,} of the attacker's {total:,} images are the targets' training images:"
      ' this is an attacker who has those'
    )
