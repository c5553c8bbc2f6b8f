"""What the subsets of a task hold, and what they lack, in sentences."""

from collections.abc import Iterator

import numpy as np

from gpz_jax.data import sources
from gpz_jax.types import Task

_PARTS = ('train', 'val', 'test', 'aux')
_SHOWN_CLASSES = 10
_SHOWN_LETTERS = 40  # of the name of a class


def describe(task: Task, source: sources.Source) -> Iterator[str]:
  """What the task holds, where its test images came from, and which classes it lacks.

  Args:
    task: The task.
    source: Where the images of its owner came from.
  """
  names = ', '.join(name[:_SHOWN_LETTERS] for name in task.class_names[:_SHOWN_CLASSES])
  more = ', ...' if task.num_classes > _SHOWN_CLASSES else ''
  counts = [f'{len(getattr(task, part)):,} {part}' for part in _PARTS]
  height, width, channels = task.image_shape
  kind = {1: 'grey ', 3: 'colour '}.get(channels, '')
  yield (
    f'data: {task.num_classes} classes ({names}{more}); {", ".join(counts[:-1])} and'
    f' {counts[-1]} {kind}images of {height}x{width}'
  )
  if 'test' not in source.counts:
    yield (
      f'{task.name} has no test images of its own: a share of {source.test_share:.3g}'
      ' of all images, drawn by --data_seed, is test'
    )
  yield from _list_absent(task)


def _list_absent(task: Task) -> Iterator[str]:
  """Subsets of the owner without any image of some classes, by chance or by a limit."""
  for part in ('train', 'val', 'test'):
    labels = getattr(task, part).label
    absent = np.setdiff1d(np.arange(task.num_classes), labels)
    if len(labels) and len(absent):
      yield (
        f'there are no {part} images of {len(absent):,} of {task.num_classes:,}'
        f' classes, the first of them {task.class_names[absent[0]][:_SHOWN_LETTERS]!r}'
      )
