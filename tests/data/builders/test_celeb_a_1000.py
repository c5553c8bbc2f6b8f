"""The 1,000 most frequent people of CelebA, of whom there are two here."""

import numpy as np
import PIL.Image
import published_files
import pytest

from gpz_jax import data, types
from gpz_jax.commands import prepare_data
from gpz_jax.data import subsets
from gpz_jax.data.builders import published
from gpz_jax.data.builders.celeb_a_1000 import celeb_a_1000_dataset_builder as builder
from gpz_jax.data.builders.celeb_a_1000 import crop

# Person 7 has most images; 5 and 6 have two each, and 5 is named first.
IDENTITIES = [5, 6, 7, 7, 7, 5, 6, 8]


@pytest.fixture(autouse=True)
def few(monkeypatch):
  """Two people are taken, and made-up files pass for the published ones."""
  monkeypatch.setattr(builder, 'PEOPLE', 2)
  monkeypatch.setattr(published, 'check', lambda files, folder: None)


@pytest.fixture
def root(tmp_path):
  folder = tmp_path / 'manual'
  folder.mkdir()
  return folder


def prepare(root):
  return prepare_data.prepare('celeb_a_1000', root.parent / 'tfds', str(root))


def test_the_most_frequent_people_are_divided_nine_to_one(root, shapes_dir):
  published_files.write_celeb_a(root, IDENTITIES)
  folder = prepare(root)
  assert 'train 5, 224x224x3 (the first), 2 classes' in prepare_data.summary(
    'celeb_a_1000', folder
  )
  (root.parent / 'tfds' / 'shapes').symlink_to(shapes_dir / 'shapes')
  options = {'data_dir': root.parent / 'tfds', 'cache_dir': root.parent}
  task = data.load('celeb_a_1000', aux_dataset='shapes/4_default', **options)
  assert task.class_names == ('7', '5')  # by frequency, then as named
  assert [len(part) for part in (task.train, task.val, task.test)] == [3, 1, 1]
  every = np.concatenate([part.label for part in (task.train, task.val, task.test)])
  assert np.bincount(every).tolist() == [3, 2]
  other = data.load(
    'celeb_a_1000', aux_dataset='shapes/4_default', data_seed=1, **options
  )
  again = np.concatenate([part.label for part in (other.train, other.val, other.test)])
  assert sorted(again) == sorted(every)
  with pytest.raises(types.InputError, match='aux_share of celeb_a_1000 is 0'):
    data.load('celeb_a_1000', **options)


def test_the_published_counts_are_divided_as_in_the_paper():
  """Source: the sizes of the released subsets (docs/paper.md#faces-and-dogs)."""
  for total, test in ((37_878, 3_788), (30_038, 3_004), (20_580, 2_058)):
    index = subsets.divide(total, test_share=0.1, aux_share=0.0, val_share=0.0, seed=0)
    assert (len(index['test']), len(index['aux'])) == (test, 0)
    assert len(index['train']) == total - test


def white_box(face):
  """Left, top, right and bottom of what is white."""
  rows, columns = (np.flatnonzero(face.mean(axis=(i, 2)) > 96) for i in (1, 0))
  return [int(found) for found in (columns[0], rows[0], columns[-1], rows[-1])]


def test_aligned_images_are_cut_about_the_eyes(root):
  published_files.write_celeb_a(root, IDENTITIES)
  face = builder.Source(root).read_face('000003.jpg')
  # White is x 35 to 143 and y 70 to 178 of what is cut at 21, 44 and 134 wide.
  # By hand: (35 - 21) 224/134 = 23.4, (143 - 21) 224/134 = 203.9, (70 - 44) ... = 43.5
  assert face.shape == (224, 224, 3)
  assert white_box(face) == pytest.approx([23, 43, 203, 223], abs=1)


def test_images_in_the_wild_are_turned_as_the_aligned_ones(root):
  published_files.write_celeb_a_wild(root, IDENTITIES)
  wild = builder.Source(root).read_face('000003.jpg')
  assert white_box(wild) == pytest.approx([23, 43, 203, 223], abs=1)


def test_a_face_at_the_edge_goes_on_as_its_outermost_pixels(root):
  pixels = np.full((200, 150, 3), 60, np.uint8)
  picture = PIL.Image.fromarray(pixels)
  place = crop.Similarity(1.0, complex(-60, -60))
  face = np.asarray(crop.cut(picture, 32, place, 'x'))
  assert (face.min(), face.max()) == (60, 60)
  away = crop.Similarity(1.0, complex(-600, 0))
  with pytest.raises(types.InputError, match='x: its landmarks lie outside of its 150'):
    crop.cut(picture, 32, away, 'x')
  nowhere = crop.fit(np.ones((5, 2)), np.ones((5, 2)))
  with pytest.raises(types.InputError, match='landmarks lie outside'):
    crop.cut(picture, 32, nowhere, 'x')


def test_a_reduced_face_has_no_aliases():
  """Stripes of one pixel, which every other pixel would turn into one colour."""
  pixels = np.zeros((8 * 134, 8 * 134, 3), np.uint8)
  pixels[:, ::2] = 255
  place = crop.Similarity(8.0, complex(-8 * crop.LEFT, -8 * crop.TOP))
  face = np.asarray(crop.cut(PIL.Image.fromarray(pixels), 67, place, 'x'))
  assert np.abs(face[4:-4, 4:-4].astype(float) - 127.5).max() < 2


def test_points_are_fitted_by_a_similarity():
  points = np.random.default_rng(0).normal(size=(5, 2))
  wanted = crop.Similarity(0.3 - 1.2j, 5 + 7j)
  found = crop.fit(points, np.array([wanted(x, y) for x, y in points]))
  assert found.factor == pytest.approx(wanted.factor)
  assert found.shift == pytest.approx(wanted.shift)


def rewrite(name, text):
  return lambda root: (root / name).write_text(text)


def remove(name):
  return lambda root: (root / name).unlink()


def crop_already(root):
  (root / 'img_celeba').rename(root / 'img_align_celeba')


@pytest.mark.parametrize(
  ('damage', 'message'),
  [
    (rewrite(builder.IDENTITIES, '000001.jpg 5\n'), 'names 1 people where 2 are taken'),
    (
      rewrite(builder.IDENTITIES, '000001.jpg 5\n000002.jpg five\n'),
      "line 2: '000002.jpg five' is not the name of an image and 1 whole numbers",
    ),
    (
      rewrite(builder.WILD_LANDMARKS, '2\nlefteye_x\n000003.jpg 1 2\n'),
      r'list_landmarks_celeba.txt line 3: .* and 10 whole numbers',
    ),
    (
      rewrite(builder.WILD_LANDMARKS, ''),
      r'5 of 5 images .* the first: .*list_landmarks_celeba.txt has no line for',
    ),
    (remove(builder.WILD_LANDMARKS), 'lacks list_landmarks_celeba.txt; wanted: a fol'),
    (remove('img_celeba/000003.jpg'), r'1 of 5 images .* cannot read .*000003.jpg'),
    (
      rewrite('img_celeba/000003.jpg', '<html>'),
      '1 of 5 images .* the first: .*000003.jpg is not',
    ),
    (crop_already, r'5 of 5 .* has 600x700 pixels and is no aligned image of 178x218'),
  ],
)
def test_damage_is_one_line_and_leaves_nothing(damage, message, root):
  published_files.write_celeb_a_wild(root, IDENTITIES)
  damage(root)
  with pytest.raises(types.InputError, match=message) as error:
    prepare(root)
  assert '\n' not in str(error.value)
  assert not list((root.parent / 'tfds').iterdir())


def test_published_files_are_asked_for_with_their_sizes(root, monkeypatch):
  monkeypatch.undo()
  (root / 'other').touch()
  with pytest.raises(
    types.InputError,
    match=r'lacks identity_CelebA.txt \(3,424,458 bytes\), img_align_celeba.zip',
  ):
    prepare(root)
