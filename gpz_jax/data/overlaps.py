"""Images that are in two subsets of a task, which no score survives."""

from collections.abc import Iterator

import numpy as np

from gpz_jax.types import Dataset, InputError, Task

# Above this share of the test images nothing that is scored on them means anything.
MOST_SHARED = 0.5


def count_shared(images: Dataset, others: Dataset) -> int:
  """How many images of one subset are, pixel by pixel, in another one."""
  if images.image.shape[1:] != others.image.shape[1:]:
    return 0
  known: dict[bytes, list[int]] = {}
  for row, key in enumerate(_list_keys(others.image)):
    known.setdefault(key, []).append(row)
  whole: dict[bytes, set[bytes]] = {}
  shared = 0
  for row, key in enumerate(_list_keys(images.image)):
    if key in known and key not in whole:
      whole[key] = {others.image[other].tobytes() for other in known[key]}
    shared += key in whole and images.image[row].tobytes() in whole[key]
  return shared


def _list_keys(images: np.ndarray) -> Iterator[bytes]:
  """Some rows of each image [N, H, W, C], so that few are read as a whole."""
  height = images.shape[1]
  rows = sorted({height // 4, height // 2, 3 * height // 4})
  return (image[rows].tobytes() for image in images)


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
    if count > MOST_SHARED * total:
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
