"""Images that are in two subsets of a task, which no score survives."""

import collections
import re
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from gpz_jax.types import Dataset, InputError, Task

# Above this share of the test images nothing that is scored on them means anything.
MOST_SHARED = 0.5
# Toys of a few different images may have them in common. That is told, and not refused.
LEAST_REFUSED = 20


class Shared(NamedTuple):
  """The images of one subset that another one holds, too."""

  count: int  # each as often as the subset holds it
  distinct: int  # how many different ones they are

  def is_refused(self, total: int) -> bool:
    """Whether they are more than a few different ones, and most of all images."""
    return self.distinct >= LEAST_REFUSED and self.count > MOST_SHARED * total


def find_shared(images: Dataset, others: Dataset) -> Shared:
  """The images of one subset that are, pixel by pixel, in another one."""
  return _find(_Keyed.of(images.image), _Keyed.of(others.image))


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


def _find(ours: _Keyed, theirs: _Keyed) -> Shared:
  if ours.images.shape[1:] != theirs.images.shape[1:]:
    return Shared(0, 0)
  shared = []
  for key in ours.rows.keys() & theirs.rows.keys():
    counts = collections.Counter(ours.images[row].tobytes() for row in ours.rows[key])
    found = {theirs.images[row].tobytes() for row in theirs.rows[key]}
    shared += [count for image, count in counts.items() if image in found]
  return Shared(sum(shared), len(shared))


def list_shared_classes(task: Task) -> tuple[str, ...]:
  """The private classes that have images and whose names public images have, too.

  A name without a letter says nothing: two data sets may both count from 0.
  """
  names = task.aux_class_names
  if not names:
    return ()
  theirs = {_spell(names[label]) for label in np.unique(task.aux.label)}
  ours = (task.class_names[label] for label in np.unique(task.train.label))
  return tuple(name for name in ours if _spell(name) and _spell(name) in theirs)


def _spell(name: str) -> str:
  """A name in one way of writing; '' where it has no letter."""
  words = re.sub(r'[\W_]+', ' ', name).casefold().strip()
  return words if any(letter.isalpha() for letter in words) else ''


def describe(task: Task) -> Iterator[str]:
  """What is to be said of images that are in two subsets; nothing where none is.

  Raises:
    InputError: Most of the test images are trained on, by the target or the attacker.
  """
  keyed = {
    part: _Keyed.of(getattr(task, part).image)
    for part in ('train', 'val', 'test', 'aux')
  }
  for part, whose, wrong in (
    ('train', "targets' training images", 'their accuracy says nothing of new images'),
    ('aux', "attacker's images", 'reconstructions of them are no attack'),
  ):
    shared, total = _find(keyed['test'], keyed[part]), len(task.test)
    count = shared.count
    if shared.is_refused(total):
      name = task.aux_name if part == 'aux' else task.name
      raise InputError(
        f'{count:,} of the {total:,} test images of {task.name} are among the {whose}'
        f' ({name}), so that {wrong}; give other images'
      )
    if count:
      yield f'{count:,} of {total:,} test images are among the {whose}: {wrong}'
  count, total = _find(keyed['aux'], keyed['train']).count, len(task.aux)
  if count:
    yield (
      f"{count:,} of the attacker's {total:,} images are the targets' training images:"
      ' this is an attacker who has those'
    )
  yield from _describe_val(keyed)


def _describe_val(keyed: dict[str, _Keyed]) -> Iterator[str]:
  """Notes alone: such images spoil the choice of an epoch, and no score."""
  for part, whose, wrong in (
    ('test', 'test images', 'an epoch that is chosen by them is chosen on test images'),
    (
      'train',
      "the targets' training images",
      'validation accuracy says nothing of new images',
    ),
  ):
    count, total = _find(keyed['val'], keyed[part]).count, len(keyed['val'].images)
    if count:
      yield f'{count:,} of {total:,} validation images are {whose}: {wrong}'
