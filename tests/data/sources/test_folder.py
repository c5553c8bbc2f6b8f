import numpy as np
import PIL.Image
import PIL.ImageOps
import pytest

from gpz_jax import data, types
from gpz_jax.data import images
from gpz_jax.data.sources import folder


def test_layout(grey_folder):
  source = folder.open_source(grey_folder)
  assert source.counts == {'train': 60, 'test': 10}
  assert source.class_names == ('even', 'odd')
  assert source.channels == 1
  examples = list(source.read('test'))
  assert [example.label for example in examples] == [0] * 5 + [1] * 5


def test_one_colour_image_makes_it_rgb(grey_folder, write_image):
  write_image(grey_folder / 'test/odd/x.jpg', np.zeros((8, 8, 3), np.uint8))
  assert folder.open_source(grey_folder).channels == 3


@pytest.mark.parametrize('subset', ['train', 'test'])
def test_missing_subset_is_named(subset, tmp_path, write_image):
  there = {'train': 'test', 'test': 'train'}[subset]
  write_image(tmp_path / there / 'a' / '0.png', np.zeros((8, 8), np.uint8))
  with pytest.raises(types.InputError, match=f'no images in {tmp_path}/{subset}'):
    folder.open_source(tmp_path)


def test_one_label_is_too_few(tmp_path, write_image):
  for subset in ('train', 'test'):
    write_image(tmp_path / subset / 'a' / '0.png', np.zeros((8, 8), np.uint8))
  with pytest.raises(types.InputError, match="the one label 'a'"):
    folder.open_source(tmp_path)


@pytest.mark.parametrize('damage', [lambda data: b'text', lambda data: data[:-30]])
def test_broken_file_is_named(damage, grey_folder, tmp_path):
  file = grey_folder / 'train' / 'odd' / '011.png'
  file.write_bytes(damage(file.read_bytes()))
  with pytest.raises(types.InputError, match=r'train/odd/011.png is not a readable'):
    data.load(f'folder:{grey_folder}', cache_dir=tmp_path / 'cache')


def decoded(root, subset):
  source = folder.open_source(root)
  return images.decode(
    source.read(subset), source.counts[subset], channels=3, size=None
  )


def test_dot_names_are_ignored(grey_folder, write_image):
  before = folder.open_source(grey_folder)
  for name in ('.ipynb_checkpoints/0.png', '..a/0.png', 'odd/._0.png', 'odd/.x/0.png'):
    write_image(grey_folder / 'train' / name, np.zeros((8, 8), np.uint8))
  (grey_folder / 'train' / '.DS_Store').write_bytes(b'x')
  after = folder.open_source(grey_folder)
  assert (after.class_names, after.counts) == (before.class_names, before.counts)


@pytest.mark.parametrize(
  'suffix', ['webp', 'WEBP', 'bmp', 'gif', 'tiff', 'TIF', 'ppm', 'PNG', 'tga', 'jp2']
)
def test_every_raster_format_is_read(suffix, grey_folder, write_image):
  pixels = np.full((8, 8, 3), 200, np.uint8)
  write_image(grey_folder / 'test' / 'odd' / f'x.{suffix}', pixels)
  found = decoded(grey_folder, 'test')
  assert len(found) == 11
  np.testing.assert_allclose(found.image[-1], pixels, atol=2)


def test_nested_images_are_of_the_label_and_change_the_key(grey_folder, write_image):
  before = folder.open_source(grey_folder).key
  write_image(grey_folder / 'test/even/sub/x.png', np.full((8, 8), 99, np.uint8))
  source = folder.open_source(grey_folder)
  assert source.class_names == ('even', 'odd')
  assert [example.label for example in source.read('test')] == [0] * 6 + [1] * 5
  assert source.key != before


def test_files_left_out_are_counted_once(grey_folder, caplog):
  for name in ('train/a.txt', 'train/odd/b.txt', 'test/even/c.mp4'):
    (grey_folder / name).write_bytes(b'x')
  for _ in range(2):
    folder.open_source(grey_folder)
  assert [record.getMessage() for record in caplog.records] == [
    f'folder:{grey_folder} leaves out 3 files that are no images in the folder of a '
    'label: 2 .txt, 1 .mp4'
  ]


@pytest.mark.parametrize('suffix', ['jpg', 'png', 'tiff', 'webp'])
@pytest.mark.parametrize('orientation', range(1, 9))
def test_exif_orientation_is_applied(orientation, suffix, grey_folder):
  pixels = np.arange(64, dtype=np.uint8).reshape(8, 8) * 4
  picture = PIL.Image.fromarray(pixels).convert('RGB')
  exif = PIL.Image.Exif()
  exif[0x0112] = orientation
  file = grey_folder / 'test' / 'odd' / f'x.{suffix}'
  picture.save(file, exif=exif)
  with PIL.Image.open(file) as stored:
    expected = np.asarray(PIL.ImageOps.exif_transpose(stored))
  np.testing.assert_array_equal(decoded(grey_folder, 'test').image[-1], expected)


def test_transparent_pixels_are_white(grey_folder):
  # By hand: 0.4 of 100 and 0.6 of 255 are 193.
  pixels = np.full((8, 8, 4), 100, np.uint8)
  pixels[0, :3, 3] = 0, 102, 255
  PIL.Image.fromarray(pixels).save(grey_folder / 'test' / 'odd' / 'x.png')
  found = decoded(grey_folder, 'test').image[-1, 0, :3]
  np.testing.assert_array_equal(found, [[255] * 3, [193] * 3, [100] * 3])


@pytest.mark.parametrize(
  ('names', 'root', 'labels'),
  [
    (['00000/00000.png', '01000/01000.png'], '', ('00000', '01000')),  # FFHQ
    (['1.png', '2.png', 'metfaces.json'], '', ('public',)),  # MetFaces, FFHQ in one
    (['images/1.png', 'images/2.png', 'metfaces.json'], '', ('images',)),
    (['train/dog/1.png', 'train/dog/2.png', 'val/dog/3.png'], '', ('dog',)),  # AFHQ
    (['train/1.png', 'train/2.png', 'val/3.png'], '', ('train', 'val')),
    (['train/dog/1.png', 'train/dog/2.png', 'train/cat/1.png'], 'train/dog', ('dog',)),
  ],
  ids=str,
)
def test_the_attackers_images_need_no_classes(
  names, root, labels, tmp_path, grey_folder, write_image
):
  for name in names:
    if name.endswith('.png'):
      write_image(tmp_path / 'public' / name, np.full((12, 12, 3), 90, np.uint8))
    else:
      (tmp_path / 'public' / name).write_text('{}')
  place = tmp_path / 'public' / root
  task = data.load(
    str(grey_folder), aux_dataset=str(place), cache_dir=tmp_path / 'cache'
  )
  assert task.aux.image.shape == (2, 8, 8, 1)
  assert folder.open_source(place, is_aux=True).class_names == labels
  with pytest.raises(types.InputError):  # a target does need classes
    folder.open_source(place, test_share=None if 'val/3.png' in names else 0.5)


def test_many_images_without_a_folder_of_their_own(tmp_path, write_image):
  """More than the other files that are borne with in a folder of classes."""
  for i in range(1100):
    (tmp_path / f'{i:05}.png').write_bytes(b'')
  with pytest.raises(types.InputError, match=r'00000.png is not a readable'):
    folder.open_source(tmp_path, is_aux=True)
  with pytest.raises(types.InputError, match='more than 1000 other files'):
    folder.open_source(tmp_path, test_share=0.5)


@pytest.mark.parametrize('name', ['absent', 'empty', 'notes'])
def test_a_folder_without_public_images_is_one_line(name, tmp_path):
  if name != 'absent':
    (tmp_path / name).mkdir()
  if name == 'notes':
    (tmp_path / name / 'LICENSE.txt').touch()
  with pytest.raises(types.InputError, match='no images in') as error:
    folder.open_source(tmp_path / name, is_aux=True)
  assert '\n' not in str(error.value)
