import hashlib
import shutil

import numpy as np
import PIL.Image
import published_files
import pytest

from gpz_jax import data, types
from gpz_jax.commands import prepare_data
from gpz_jax.data import images
from gpz_jax.data.builders import facescrub, published, stock, writing
from gpz_jax.data.builders.facescrub import boxes
from gpz_jax.data.builders.facescrub import facescrub_dataset_builder as builder
from gpz_jax.data.sources import prepared

PEOPLE = ('Ann Bell', 'Cy Dean')
HEADER = 'name\timage_id\tface_id\turl\tbbox\tsha256\n'


def scene() -> np.ndarray:
  """Black 100x120 with a white face in x 20 to 60, y 30 to 70."""
  pixels = np.zeros((100, 120, 3), np.uint8)
  pixels[30:70, 20:60] = 255
  return pixels


@pytest.fixture
def root(tmp_path):
  """Two people with five images each, named as the public download script does."""
  folder = tmp_path / 'facescrub'
  for person in PEOPLE:
    name = person.replace(' ', '_')
    (folder / name).mkdir(parents=True)
    for i in range(5):
      file = folder / name / f'{name}_{i}.jpeg'
      file.write_bytes(published_files.jpeg(scene()))
  return folder


def write_official(root, box='20,30,60,70'):
  digest = hashlib.sha256(published_files.jpeg(scene())).hexdigest()
  for person, list_name in zip(PEOPLE, ('actresses', 'actors'), strict=True):
    end = f'http://x/y.jpg\t{box}\t{digest}\n'
    rows = [f'{person}\t{i}\t{i + 100}\t{end}' for i in range(5)]
    (root / f'facescrub_{list_name}.txt').write_text(HEADER + ''.join(rows))


def prepare(root, data_dir):
  return writing.write(
    'facescrub',
    lambda folder: facescrub.Builder(data_dir=folder, file_format='array_record'),
    data_dir,
    root,
  )


def test_official_lists_crop_to_the_face(root, tmp_path, shapes_dir):
  write_official(root)
  folder = prepare(root, tmp_path / 'tfds')
  assert folder.name == '1.0.0'
  with pytest.raises(types.InputError, match=r'aux_share of facescrub is 0.*celeb_a'):
    data.load('facescrub', data_dir=tmp_path / 'tfds', cache_dir=tmp_path)
  (tmp_path / 'tfds' / 'shapes').symlink_to(shapes_dir / 'shapes')
  task = data.load(
    'facescrub',
    data_dir=tmp_path / 'tfds',
    cache_dir=tmp_path,
    aux_dataset='shapes/4_default',
  )
  assert [len(part) for part in (task.train, task.val, task.test)] == [7, 1, 2]
  assert task.class_names == ('Ann_Bell', 'Cy_Dean')
  assert task.image_shape == task.aux.image.shape[1:] == (64, 64, 3)
  assert task.train.image[:, 8:-8, 8:-8].min() > 240  # JPEG rings at the edges


def test_images_of_224_pixels_lie_beside_those_of_64(root, tmp_path, shapes_dir):
  write_official(root)
  prepare(root, tmp_path / 'tfds')
  large = prepare_data.prepare('facescrub/224', tmp_path / 'tfds', str(root))
  assert large == tmp_path / 'tfds' / 'facescrub' / '224' / '1.0.0'
  (tmp_path / 'tfds' / 'shapes').symlink_to(shapes_dir / 'shapes')
  shapes, sizes = {}, {}
  for name in ('facescrub', 'facescrub/224'):
    task = data.load(
      name,
      data_dir=tmp_path / 'tfds',
      cache_dir=tmp_path,
      aux_dataset='shapes/4_default',
    )
    shapes[name] = task.image_shape
    sizes[name] = [len(part) for part in (task.train, task.val, task.test)]
  assert shapes == {'facescrub': (64, 64, 3), 'facescrub/224': (224, 224, 3)}
  assert sizes == {'facescrub': [7, 1, 2], 'facescrub/224': [8, 1, 1]}
  assert task.train.image[:, 28:-28, 28:-28].min() > 240  # JPEG rings at the edges


@pytest.fixture
def downloaded(root):
  """The folders that the public download script makes, with crops and whole images."""
  for person, group in (('Cy_Dean', 'actors'), ('Ann_Bell', 'actresses')):
    faces = root / group / 'faces' / person
    faces.mkdir(parents=True)
    (root / group / 'images').mkdir()
    for i in range(5):
      white = np.full((40, 40, 3), 255, np.uint8)
      (faces / f'{person}_{i}_{i + 100}.jpeg').write_bytes(published_files.jpeg(white))
    (root / person).rename(root / group / 'images' / person)
  return root


def test_cropped_faces_of_actors_and_actresses_are_taken(downloaded, tmp_path):
  write_official(downloaded)  # of the whole images, so that it is not used
  folder = prepare(downloaded, tmp_path / 'tfds')
  source = prepared.open_source('facescrub', folder)
  assert source.class_names == ('Ann_Bell', 'Cy_Dean')
  faces = images.decode(source.read('train'), 10, channels=3, size=None)
  assert faces.image.min() > 250
  assert np.bincount(faces.label).tolist() == [5, 5]


def test_whole_images_of_actors_and_actresses_take_the_lists(downloaded, tmp_path):
  write_official(downloaded)
  for group in ('actors', 'actresses'):
    shutil.rmtree(downloaded / group / 'faces')
  folder = prepare(downloaded, tmp_path / 'tfds')
  source = prepared.open_source('facescrub', folder)
  faces = images.decode(source.read('train'), 10, channels=3, size=None)
  assert faces.image[:, 8:-8, 8:-8].min() > 240
  assert source.class_names == ('Ann_Bell', 'Cy_Dean')


def test_faces_of_actors_alone_are_refused(downloaded, tmp_path):
  shutil.rmtree(downloaded / 'actresses' / 'faces')
  with pytest.raises(
    types.InputError, match='in actors/faces, but actresses/ has no faces/; wanted:'
  ):
    prepare(downloaded, tmp_path / 'tfds')


def test_celeb_a_as_aux_takes_a_list_of_people(root, tmp_path, monkeypatch, caplog):
  monkeypatch.setattr(published, 'check', lambda files, folder: None)
  published_files.write_celeb_a(root.parent, [5, 6, 7, 8])
  stock.prepare('celeb_a', tmp_path / 'tfds', root.parent)
  prepare(root, tmp_path / 'tfds')
  options = {'data_dir': tmp_path / 'tfds', 'cache_dir': tmp_path}
  task = data.load('facescrub', aux_dataset='celeb_a', **options)
  assert sorted(task.aux.label + 1) == [5, 8]  # those of the train subset
  assert 'list them in aux_exclude' in caplog.text
  caplog.clear()
  (tmp_path / 'list.txt').write_text('8\n')
  task = data.load(
    'facescrub',
    aux_dataset='celeb_a',
    aux_exclude=tmp_path / 'list.txt',
    **options,
  )
  assert (task.aux.label + 1).tolist() == [5]
  assert task.aux.image.shape == (1, 64, 64, 3)
  assert not caplog.text


def test_without_a_list_images_are_taken_whole(root):
  assert boxes.read(root) is None
  face = builder.read_face(root / 'Cy_Dean' / 'Cy_Dean_0.jpeg', None)
  assert face.shape == (64, 64, 3)
  assert face[0, 0].max() < 10


def test_pictures_are_found_as_in_other_folders(root, caplog):
  (root / '.cache').mkdir()
  (root / '.cache' / 'x.jpg').touch()
  (root / 'Cy_Dean' / 'more').mkdir()
  PIL.Image.fromarray(scene()).save(root / 'Cy_Dean' / 'more' / 'a.webp')
  (root / 'Cy_Dean' / 'gone.html').touch()
  (root / 'facescrub_actors.txt').write_text(HEADER)
  found = builder.find_images(root)
  assert len(found) == 11
  assert {boxes.identity(root, file) for file in found} == {'Ann_Bell', 'Cy_Dean'}
  assert '1 files that are no pictures are left out: 1 .html' in caplog.text


def test_pictures_without_a_list_are_turned_and_put_on_white(root):
  file = root / 'Cy_Dean' / 'turned.jpg'
  exif = PIL.Image.Exif()
  exif[0x0112] = 3  # upside down
  PIL.Image.fromarray(scene()).save(file, exif=exif, quality=95)
  upright = builder.read_face(file, None)
  stored = builder.read_face(file, {'Cy_Dean/turned': boxes.Face((0, 0, 120, 100), '')})
  # The face is in the upper left of what is stored: in x 11 to 32, y 19 to 45 of 64.
  assert stored[30, 20].min() > 240
  assert upright[64 - 30, 64 - 20].min() > 240
  clear = root / 'Cy_Dean' / 'clear.png'
  PIL.Image.new('RGBA', (8, 8), (0, 0, 0, 0)).save(clear)
  assert builder.read_face(clear, None).min() == 255


def test_own_list(root):
  (root / 'boxes.csv').write_text(
    'Cy Dean/Cy_Dean_0.jpeg,20,30,60,70\n\nCy_Dean/Cy_Dean_1.jpeg, 0, 0, 10, 10\n'
  )
  faces = boxes.read(root)
  assert faces == {
    'Cy_Dean/Cy_Dean_0': boxes.Face((20, 30, 60, 70), None),
    'Cy_Dean/Cy_Dean_1': boxes.Face((0, 0, 10, 10), None),
  }
  assert builder.read_face(root / 'Cy_Dean/Cy_Dean_0.jpeg', faces)[8:-8].mean() > 240
  assert builder.read_face(root / 'Cy_Dean/Cy_Dean_1.jpeg', faces).max() < 10


def test_box_is_cut_at_the_edge(root):
  file = root / 'Cy_Dean' / 'Cy_Dean_0.jpeg'
  inside = {'Cy_Dean/Cy_Dean_0': boxes.Face((0, 0, 60, 70), None)}
  beyond = {'Cy_Dean/Cy_Dean_0': boxes.Face((-9, -5, 60, 70), None)}
  np.testing.assert_array_equal(
    builder.read_face(file, beyond), builder.read_face(file, inside)
  )


@pytest.mark.parametrize(
  ('face', 'message'),
  [
    (None, 'Cy_Dean_0.jpeg has no box in the list'),
    (boxes.Face((120, 0, 130, 10), None), 'lies outside its 120x100 pixels'),
    (boxes.Face((0, 0, 10, 10), '0' * 64), 'not the published image'),
  ],
)
def test_image_that_does_not_fit_its_list(face, message, root):
  faces = {} if face is None else {'Cy_Dean/Cy_Dean_0': face}
  with pytest.raises(types.InputError, match=message):
    builder.read_face(root / 'Cy_Dean' / 'Cy_Dean_0.jpeg', faces)


@pytest.mark.parametrize(
  ('text', 'message'),
  [
    (HEADER + 'Cy Dean\t1\t2\n', 'facescrub_actors.txt line 2: .* six columns'),
    (HEADER + 'Cy Dean\tx\t2\tu\t0,0,9,9\ts\n', 'line 2: .* six columns'),
    (HEADER + 'Cy Dean\t1\t2\tu\t0,0,9\ts\n', "line 2: '0,0,9' is not a box x1,y1"),
    (HEADER + 'Cy Dean\t1\t2\tu\t9,0,9,9\ts\n', 'line 2: .* x1 < x2 and y1 < y2'),
  ],
)
def test_bad_line_is_named(text, message, root):
  (root / 'facescrub_actors.txt').write_text(text)
  with pytest.raises(types.InputError, match=message):
    boxes.read(root)


def test_broken_images_are_counted_and_nothing_is_left(root, tmp_path):
  (root / 'Ann_Bell' / 'Ann_Bell_1.jpeg').write_text('<html>gone</html>')
  file = root / 'Cy_Dean' / 'Cy_Dean_2.jpeg'
  file.write_bytes(file.read_bytes()[:300])
  with pytest.raises(
    types.InputError, match=r'2 of 10 images .* the first: .*Ann_Bell_1.jpeg is not'
  ) as error:
    prepare(root, tmp_path / 'tfds')
  assert '\n' not in str(error.value)
  assert not list((tmp_path / 'tfds').iterdir())


def test_other_layout_is_refused(tmp_path):
  root = tmp_path / 'manual'
  root.mkdir()
  with pytest.raises(types.InputError, match='manual is empty; wanted: a folder'):
    prepare(root, tmp_path / 'tfds')
  (root / 'readme.md').write_text('')
  with pytest.raises(types.InputError, match='fewer than 2 identities; wanted: a'):
    prepare(root, tmp_path / 'tfds')
