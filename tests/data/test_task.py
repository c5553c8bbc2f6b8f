import numpy as np
import pytest

from gpz_jax import data, types
from gpz_jax.data import images

PARTS = ('train', 'val', 'test', 'aux')


def load(root, tmp_path, **options) -> types.Task:
  return data.load(f'folder:{root}', cache_dir=tmp_path / 'cache', **options)


def sizes(task: types.Task) -> list[int]:
  return [len(getattr(task, part)) for part in PARTS]


def levels(subset: types.Dataset) -> list[int]:
  """The grey levels that tell the examples of `grey_folder` apart."""
  return subset.image[:, 0, 0, 0].tolist()


def test_subsets_are_disjoint_and_labels_follow_images(grey_folder, tmp_path):
  task = load(grey_folder, tmp_path)
  # 60 train: 12 aux, 48 owned of which 5% val; 10 official test.
  assert sizes(task) == [46, 2, 10, 12]
  together = np.concatenate([levels(getattr(task, part)) for part in PARTS])
  assert sorted(together.tolist()) == list(range(70))
  assert sorted(levels(task.test)) == list(range(60, 70))
  assert task.class_names == ('even', 'odd')
  assert (task.num_classes, task.image_shape) == (2, (8, 8, 1))
  for part in PARTS:
    subset = getattr(task, part)
    assert (subset.label == subset.image[:, 0, 0, 0] % 2).all()
    assert (subset.image.dtype, subset.label.dtype) == (np.uint8, np.int32)


def test_limits_are_prefixes(grey_folder, tmp_path):
  whole = load(grey_folder, tmp_path)
  few = load(
    grey_folder, tmp_path, train_limit=5, val_limit=1, test_limit=4, aux_limit=99
  )
  assert sizes(few) == [5, 1, 4, 12]
  for part in PARTS:
    kept = levels(getattr(few, part))
    assert kept == levels(getattr(whole, part))[: len(kept)]


def test_classes_that_a_subset_lacks_are_told(shapes_dir, tmp_path):
  options = {'data_dir': shapes_dir, 'cache_dir': tmp_path, 'image_size': 4}
  whole = data.load('shapes/4_default', val_share=0.3, **options)
  assert not any('there are no' in note for note in whole.notes)
  few = data.load('shapes/4_default', train_limit=1, val_share=0.0, **options)
  (label,) = few.train.label
  first = few.class_names[1 if label == 0 else 0]
  assert [note for note in few.notes if 'there are no' in note] == [
    f'there are no train images of 3 of 4 classes, the first of them {first!r}'
  ]  # nothing of val, which is empty


def test_data_seed_decides_the_permutation(grey_folder, tmp_path):
  first, same, other = (
    load(grey_folder, tmp_path, data_seed=seed) for seed in (1, 1, 2)
  )
  assert levels(first.aux) == levels(same.aux) != levels(other.aux)
  assert levels(first.test) == levels(same.test) != levels(other.test)


def test_second_load_does_not_decode(grey_folder, tmp_path, monkeypatch):
  first = load(grey_folder, tmp_path, image_size=4)

  def never(*args, **kwargs):
    raise AssertionError('decoded again')

  monkeypatch.setattr(images, 'decode', never)
  again = load(grey_folder, tmp_path, image_size=4)
  np.testing.assert_array_equal(first.train.image, again.train.image)
  with pytest.raises(AssertionError, match='decoded again'):
    load(grey_folder, tmp_path, image_size=5)


def test_changed_folder_is_decoded_again(grey_folder, tmp_path, write_image):
  load(grey_folder, tmp_path)
  write_image(grey_folder / 'test' / 'odd' / '200.png', np.full((8, 8), 201, np.uint8))
  assert 201 in levels(load(grey_folder, tmp_path).test)


def test_aux_from_another_dataset(grey_folder, shapes_dir, tmp_path):
  own = load(grey_folder, tmp_path)
  task = load(
    grey_folder, tmp_path, data_dir=shapes_dir, aux_dataset='shapes/4_default'
  )
  assert task.aux_name == 'shapes/4_default'
  assert task.aux.image.shape == (60, 8, 8, 1)
  assert set(task.aux.label.tolist()) == {0, 1, 2, 3}
  assert (len(task.aux_class_names), len(own.aux_class_names)) == (4, 0)
  for part in ('train', 'val', 'test'):  # the owner keeps the same examples
    assert levels(getattr(task, part)) == levels(getattr(own, part))


def test_grey_aux_becomes_rgb(grey_folder, shapes_dir, tmp_path):
  task = data.load(
    'shapes/4_default',
    data_dir=shapes_dir,
    cache_dir=tmp_path,
    aux_dataset=f'folder:{grey_folder}',
  )
  assert task.aux.image.shape == (60, 64, 64, 3)
  assert (np.ptp(task.aux.image, axis=-1) == 0).all()


def test_aux_must_be_another_dataset(shapes_dir, tmp_path):
  with pytest.raises(types.InputError, match="aux_dataset 'shapes/4_default' is the"):
    data.load(
      'shapes/4_default',
      data_dir=shapes_dir,
      cache_dir=tmp_path,
      aux_dataset='shapes/4_default',
    )


def test_nothing_for_the_attacker_is_refused(grey_folder, shapes_dir, tmp_path):
  with pytest.raises(types.InputError, match=r'aux_share of .* is 0.*aux_dataset'):
    load(grey_folder, tmp_path, aux_share=0.0)
  task = load(
    grey_folder,
    tmp_path,
    aux_share=0.0,
    data_dir=shapes_dir,
    aux_dataset='shapes/4_default',
  )
  assert sizes(task) == [57, 3, 10, 60]


def test_what_the_attacker_does_not_take_can_validate(
  grey_folder, shapes_dir, tmp_path
):
  own = load(grey_folder, tmp_path)
  options = {'data_dir': shapes_dir, 'aux_dataset': 'shapes/4_default'}
  task = load(grey_folder, tmp_path, validate_on_rest=True, **options)
  assert levels(task.val) == levels(own.val) + levels(own.aux)
  assert levels(task.train) == levels(own.train)
  assert len(task.aux) == 60
  assert sizes(load(grey_folder, tmp_path, validate_on_rest=True)) == sizes(own)


def test_it_tells_which_subsets_the_dataset_has_itself(
  grey_folder, shapes_dir, tmp_path
):
  assert load(grey_folder, tmp_path).official == ('test',)
  flat = load(grey_folder / 'train', tmp_path, test_share=0.2)
  assert flat.official == ()
  (grey_folder / 'test').rename(grey_folder / 'validation')
  held = load(grey_folder, tmp_path, test_share=0.2)
  assert held.official == ('val',)
  options = {'data_dir': shapes_dir, 'aux_dataset': 'shapes/4_default'}
  mixed = load(grey_folder, tmp_path, test_share=0.2, validate_on_rest=True, **options)
  assert mixed.official == ()


def test_aux_exclude(grey_folder, shapes_dir, tmp_path):
  file = tmp_path / 'exclude.txt'
  file.write_text('odd\n')
  task = load(grey_folder, tmp_path, aux_exclude=file)
  assert set(task.aux.label.tolist()) == {0}
  assert set(task.train.label.tolist()) == {0, 1}
  file.write_text('disc\nring\n')
  options = {'data_dir': shapes_dir, 'aux_dataset': 'shapes/4_default'}
  task = load(grey_folder, tmp_path, aux_exclude=file, **options)
  assert set(task.aux.label.tolist()) == {1, 2}
  limited = load(grey_folder, tmp_path, aux_exclude=file, aux_limit=7, **options)
  assert levels(limited.aux) == levels(task.aux)[:7]  # excluded first, then cut


@pytest.mark.parametrize(
  'options',
  [
    {'image_size': 0}, {'train_limit': 0}, {'val_limit': -1}, {'test_limit': 0},
    {'channels': 2}, {'test_share': 1.0}, {'image_size': '4x0'}, {'image_size': 'x'},
    {'aux_limit': 0}, {'data_seed': -1}, {'aux_share': 2.0},
  ],
)  # fmt: skip
def test_bad_option_is_named(options, grey_folder, tmp_path):
  (name,) = options
  with pytest.raises(types.InputError, match=name):
    load(grey_folder, tmp_path, **options)


@pytest.mark.parametrize('size', ['4x6', (4, 6)])
def test_images_may_be_oblong(size, grey_folder, shapes_dir, tmp_path):
  task = load(
    grey_folder,
    tmp_path,
    image_size=size,
    data_dir=shapes_dir,
    aux_dataset='shapes/4_default',
  )
  for part in PARTS:
    assert getattr(task, part).image.shape[1:] == (4, 6, 1)
  assert any(' grey images of 4x6' in note for note in task.notes)


def test_channels_are_as_asked_for(grey_folder, tmp_path, shapes_dir):
  own = load(grey_folder, tmp_path)
  colour = load(grey_folder, tmp_path, channels=3)
  np.testing.assert_array_equal(colour.test.image, np.repeat(own.test.image, 3, axis=3))
  options = {'data_dir': shapes_dir, 'cache_dir': tmp_path}
  native = data.load('shapes/4_default', **options)
  grey = data.load('shapes/4_default', channels=1, **options)
  expected = images.to_channels(native.test.image, 1)  # by luma, before any resizing
  np.testing.assert_array_equal(grey.test.image, expected)


@pytest.mark.slow
def test_cifar10_and_mnist(real_data_dir, tmp_path):
  options = {'data_dir': real_data_dir, 'cache_dir': tmp_path}
  cifar = data.load('cifar10', **options)
  assert sizes(cifar) == [38_000, 2_000, 10_000, 10_000]
  assert cifar.image_shape == (32, 32, 3)
  assert np.bincount(cifar.test.label).tolist() == [1000] * 10
  mnist = data.load('mnist', image_size=32, aux_dataset='cifar10', **options)
  assert sizes(mnist) == [45_600, 2_400, 10_000, 50_000]
  assert mnist.image_shape == mnist.aux.image.shape[1:] == (32, 32, 1)
