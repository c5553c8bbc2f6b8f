"""Images that are in two subsets of a task."""

import dataclasses

import numpy as np
import pytest
import tiny

from gpz_jax.data import overlaps
from gpz_jax.types import Dataset, InputError


def first(dataset, count):
  return Dataset(dataset.image[:count], dataset.label[:count])


def with_shared(task, part, other, count):
  """A task of which `count` images of one subset stand in another, too."""
  theirs = getattr(task, other)
  return dataclasses.replace(
    task, **{other: first(getattr(task, part), count).append(theirs)}
  )


def test_a_task_without_shared_images_has_nothing_to_say():
  assert list(overlaps.describe(tiny.task())) == []


def test_images_count_as_shared_where_all_pixels_agree():
  task = tiny.task()
  shared = with_shared(task, 'test', 'aux', 7)
  assert overlaps.find_shared(shared.test, shared.aux).count == 7
  changed = shared.aux.image.copy()
  changed[:3, 1, 1, 0] ^= 1  # in a row that is no key
  aux = Dataset(changed, shared.aux.label)
  assert overlaps.find_shared(shared.test, aux).count == 4
  assert overlaps.find_shared(shared.test, tiny.task(size=8).aux).count == 0


@pytest.mark.parametrize(
  ('other', 'words'),
  [('train', 'their accuracy says nothing'), ('aux', 'reconstructions of them are no')],
)
def test_few_shared_test_images_are_told_and_many_refused(other, words):
  task = tiny.task()
  (note,) = overlaps.describe(with_shared(task, 'test', other, 4))
  assert note.startswith('4 of 40 test images are among the')
  assert words in note
  with pytest.raises(InputError, match=r'30 of the 40 test images of tiny.*give other'):
    list(overlaps.describe(with_shared(task, 'test', other, 30)))


def test_few_images_in_all_are_told_and_not_refused():
  task = tiny.task()
  few = dataclasses.replace(task, test=first(task.test, 10))
  (note,) = overlaps.describe(with_shared(few, 'test', 'aux', 10))
  assert note.startswith('10 of 10 test images')


def test_an_attacker_who_has_training_images_is_told():
  task = with_shared(tiny.task(), 'train', 'aux', 5)
  (note,) = overlaps.describe(task)
  assert note.startswith("5 of the attacker's 55 images are the targets' training")


@pytest.mark.parametrize(
  ('other', 'words'),
  [
    ('test', 'test images: an epoch that is chosen by them is chosen on test images'),
    ('train', "the targets' training images: validation accuracy says nothing of new"),
  ],
)
@pytest.mark.parametrize('count', [4, 30])
def test_validation_images_of_other_subsets_are_told_and_never_refused(
  other, words, count
):
  (note,) = overlaps.describe(with_shared(tiny.task(), 'val', other, count))
  assert note.startswith(f'{count} of 30 validation images are {words}')


def test_no_validation_images_are_no_matter():
  task = tiny.task()
  assert not list(overlaps.describe(dataclasses.replace(task, val=first(task.val, 0))))


def repeated(dataset, times):
  return Dataset(
    np.tile(dataset.image, (times, 1, 1, 1)), np.tile(dataset.label, times)
  )


@pytest.mark.parametrize(('ours', 'theirs'), [(1, 2), (2, 1), (3, 3)])
def test_a_copy_counts_however_often_it_is_there(ours, theirs):
  task = tiny.task()
  few, copies = first(task.test, 7), repeated(first(task.test, 7), theirs)
  test = repeated(few, ours)
  assert overlaps.find_shared(test, copies.append(task.train)).count == 7 * ours
  train = repeated(first(task.test, 30), theirs).append(task.train)
  task = dataclasses.replace(task, train=train, test=repeated(task.test, ours))
  message = f'{30 * ours} of the {40 * ours} test images'
  with pytest.raises(InputError, match=message):
    list(overlaps.describe(task))


def test_many_copies_of_few_different_images_are_told_and_not_refused():
  black = Dataset(np.zeros((30, 8, 8, 3), np.uint8), np.zeros(30, np.int32))
  toys = dataclasses.replace(tiny.task(size=8), train=black, test=black)
  (note,) = overlaps.describe(toys)
  assert note.startswith('30 of 30 test images are among the targets')


def test_classes_are_shared_where_their_names_are_and_say_something():
  names = ('Ann_Lee', '7', 'bob')
  task = dataclasses.replace(tiny.task(), class_names=names)
  assert overlaps.list_shared_classes(task) == ()
  public = ('7', 'ann lee', 'BOB')
  task = dataclasses.replace(task, aux_class_names=public)
  assert overlaps.list_shared_classes(task) == ('Ann_Lee', 'bob')
  aux = dataclasses.replace(task.aux, label=np.zeros_like(task.aux.label))
  assert overlaps.list_shared_classes(dataclasses.replace(task, aux=aux)) == ()
