"""Images that are in two subsets of a task, which no score survives."""

import collections
from collections.abc import Iterator

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
  if images.image.shape[1:] != others.image.shape[1:]:
    return 0
  ours, theirs = _by_key(images.image), _by_key(others.image)
  shared = 0
  for key in ours.keys() & theirs.keys():
    counts, found = (
      collections.Counter(subset.image[row].tobytes() for row in rows[key])
      for subset, rows in ((images, ours), (others, theirs))
    )
    shared += sum(count == found[image] == 1 for image, count in counts.items())
  return shared


def _by_key(images: np.ndarray) -> dict[bytes, list[int]]:
  """Some rows of pixels -> the images that have them, so that few are read whole."""
  height = images.shape[1]
  rows = sorted({height // 4, height // 2, 3 * height // 4})
  found: dict[bytes, list[int]] = {}
  for i, image in enumerate(images):
    found.setdefault(image[rows].tobytes(), []).append(i)
  return found


def is_refused(count: int, total: int) -> bool:
  """Whether so many shared images of all are more than a few, and most of them."""
  return count >= LEAST_REFUSED and count > MOST_SHARED * total


def describe(task: Task) -> Iterator[str]:
  """What is to be said of images that are in two subsets; nothing where none is.

  Raises:
    InputError: Most of the test images are trained on, by the target or the attacker.
  """
  for part, whose, wrong in (
    ('train', "targets' training images", 'their accuracy says nothing of new images'),
    ('aux', "attacker's images", 'reconstructions of them are no attack'),
  ):
    count, total = count_shared(task.test, getattr(task, part)), len(task.test)
    if is_refused(count, total):
      name = task.aux_name if part == 'aux' else task.name
      raise InputError(
        f'{count:,} of the {total:,} test images of {task.name} are among the {whose}'
        f' ({name}), so that {wrong}; give other images'
      )
    if count:
      yield f'{count:,} of {total:,} test images are among the {whose}: {wrong}'
  count, total = count_shared(task.aux, task.train), len(task.aux)
  if count:
    yield (
      f"{count:,} of the attacker's {total:,} images are the targets' training images:"
      ' this is an attacker who has those'
    )
