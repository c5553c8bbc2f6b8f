"""Image folders with broken and odd images: read, or one line that names the file."""

import io
import os
import pathlib
import struct
import zlib

import damage
import numpy as np
import PIL.Image
import pytest

from gpz_jax import data
from gpz_jax.data import images
from gpz_jax.types import InputError

PIXELS = np.random.default_rng(0).integers(0, 255, (16, 16, 3), np.uint8)


def saved(picture: PIL.Image.Image, kind: str, **options) -> bytes:
  file = io.BytesIO()
  picture.save(file, kind, **options)
  return file.getvalue()


def png_claiming(width: int, height: int) -> bytes:
  """A PNG file whose header says so, and that holds next to nothing."""

  def chunk(kind: bytes, content: bytes) -> bytes:
    crc = struct.pack('>I', zlib.crc32(kind + content))
    return struct.pack('>I', len(content)) + kind + content + crc

  header = struct.pack('>IIBBBBB', width, height, 8, 2, 0, 0, 0)
  body = chunk(b'IHDR', header) + chunk(b'IDAT', zlib.compress(b'\0' * 100))
  return b'\x89PNG\r\n\x1a\n' + body + chunk(b'IEND', b'')


PLAIN = PIL.Image.fromarray(PIXELS)
WHOLE = {
  'png': saved(PLAIN, 'png'),
  'jpg': saved(PLAIN, 'jpeg'),
}
ODD_BUT_FINE = {
  'cmyk.jpg': saved(PLAIN.convert('CMYK'), 'jpeg'),
  'palette.png': saved(PLAIN.convert('P'), 'png'),
  'one_bit.png': saved(PLAIN.convert('1'), 'png'),
  'clear.png': saved(PLAIN.convert('RGBA'), 'png'),
  'grey_alpha.png': saved(PLAIN.convert('LA'), 'png'),
  'clear_palette.png': saved(PLAIN.convert('P'), 'png', transparency=0),
  'one_pixel.png': saved(PLAIN.resize((1, 1)), 'png'),
  'long.png': saved(PLAIN.resize((3000, 1)), 'png'),
  'animated.png': saved(PLAIN, 'png', save_all=True, append_images=[PLAIN.rotate(9)]),
  'progressive.JPEG': saved(PLAIN, 'jpeg', progressive=True),
  'turned.jpg': saved(PLAIN, 'jpeg', exif=b'Exif\0\0II*\0\x08\0\0\0\0\0\0\0'),
  'really_a_jpeg.png': WHOLE['jpg'],
}
NO_IMAGES = {
  'zero.png': b'',
  'text.jpg': b'not an image',
  'animated_gif.png': saved(PLAIN, 'gif', save_all=True, append_images=[PLAIN]),
  'bitmap.png': saved(PLAIN, 'bmp'),
  'postscript.png': b'%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n',
  'truncated.jpg': WHOLE['jpg'][:-200],
  'truncated.png': WHOLE['png'][:-200],
  'sixteen_bits.png': saved(PIL.Image.new('I;16', (16, 16)), 'png'),
  'no_pixels.png': png_claiming(0, 0),
  'bomb.png': png_claiming(12_000, 12_000),
  'greater_bomb.png': png_claiming(2**31 - 1, 2**31 - 1),
  'jpeg_bomb.jpg': WHOLE['jpg'].replace(
    b'\x08\0\x10\0\x10\x03', b'\x08\xff\xff\xff\xff\x03'
  ),
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
  """Two classes with two images each in either subset."""
  monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
  root = tmp_path / 'images'
  for subset in ('train', 'test'):
    for label in ('a', 'b'):
      (root / subset / label).mkdir(parents=True)
      for i in range(4):
        (root / subset / label / f'{i}.png').write_bytes(WHOLE['png'])
  return root


def load(folder):
  return data.load(f'folder:{folder}', image_size=16)


@pytest.mark.parametrize('name', ODD_BUT_FINE)
def test_odd_images_are_read(folder, name):
  (folder / 'train' / 'a' / name).write_bytes(ODD_BUT_FINE[name])
  task = load(folder)
  assert len(task.train) + len(task.val) + len(task.aux) == 9
  assert task.image_shape == (16, 16, 3)


@pytest.mark.parametrize('name', NO_IMAGES)
def test_what_is_no_image_is_named(folder, name):
  path = folder / 'train' / 'a' / name
  path.write_bytes(NO_IMAGES[name])
  with pytest.raises(InputError, match=name) as caught:
    load(folder)
  assert str(caught.value).isprintable()
  assert str(caught.value).endswith(('replace or remove it', 'convert it to 8 bits'))
  assert not list((folder.parent / 'cache').rglob('*.npz'))


def test_postscript_never_reaches_its_interpreter(folder, monkeypatch):
  from PIL import EpsImagePlugin

  ran = []
  monkeypatch.setattr(EpsImagePlugin, 'Ghostscript', lambda *a, **k: ran.append(a))
  (folder / 'test' / 'b' / 'x.png').write_bytes(NO_IMAGES['postscript.png'])
  with pytest.raises(InputError, match=r'x\.png'):
    load(folder)
  assert not ran


@pytest.mark.parametrize('kind', WHOLE)
def test_damaged_images(kind, refused):
  noticed = 0
  for how, content in damage.damaged(WHOLE[kind], range(12)):
    example = images.Encoded('image 7', content, 0)
    message = refused(images.decode, [example], 1, channels=3, size=(16, 16))
    assert not message or message.startswith('image 7'), (how, message)
    noticed += bool(message)
  assert noticed > 60


def test_what_only_looks_like_a_file_is_named(folder, refused):
  label = folder / 'train' / 'a'
  strange = {
    'pipe.png': os.mkfifo,
    'folder.png': os.mkdir,
    'loop.png': lambda path: os.symlink(path, path),
    'nowhere.png': lambda path: os.symlink(folder / 'absent', path),
    'endless.png': lambda path: os.symlink('/dev/zero', path),
  }
  for name, make in strange.items():
    make(label / name)
    message = refused(load, folder)
    assert f'{name} is not a readable PNG or JPEG image' in message
    (label / name).rmdir() if name == 'folder.png' else (label / name).unlink()


def test_loops_and_other_files_are_passed_over(folder):
  (folder / 'train' / 'loop').symlink_to(folder / 'train')
  (folder / 'train' / 'self').symlink_to('self')
  (folder / 'train' / 'a' / 'Thumbs.db').write_bytes(b'x')
  (folder / 'train' / 'a' / 'notes.txt').write_text('x')
  assert load(folder).class_names == ('a', 'b')


@pytest.mark.parametrize(
  'name', [b'\xff\xfe', b'<script>', b'a\nb', b"';--", b'x' * 250]
)
def test_strange_labels_are_labels(folder, name):
  label = pathlib.Path(os.fsdecode(os.fsencode(folder / 'train') + b'/' + name))
  label.mkdir()
  (label / '0.png').write_bytes(WHOLE['png'])
  assert load(folder).num_classes == 3
  (label / os.fsdecode(b'\xff.png')).write_bytes(b'broken')
  with pytest.raises(InputError, match='is not a readable') as caught:
    load(folder)
  assert str(caught.value).isprintable()


@pytest.mark.parametrize(
  'name', ['', '/nowhere', '/dev/null', '~no_such_user/x', 'x' * 300, '/etc', '\0']
)
def test_folders_that_hold_no_images(name, refused):
  message = refused(data.load, f'folder:{name}')
  assert 'folder' in message or 'dataset' in message


def test_images_that_change_while_they_are_read(folder, refused, monkeypatch):
  monkeypatch.setattr(
    pathlib.Path, 'read_bytes', lambda path: (_ for _ in ()).throw(OSError(5, 'I/O'))
  )
  assert 'replace or remove it' in refused(load, folder)


@pytest.mark.parametrize(
  'content',
  [b'', b'\xff\xfe', b'# nothing\n\n', b'a\0\n', b'nobody\n', b'a\nb\n', b'[' * 9999],
)
def test_lists_of_classes(folder, tmp_path, content, refused):
  path = tmp_path / 'exclude.txt'
  path.write_bytes(content)
  name = f'folder:{folder}'
  message = refused(data.load, name, image_size=16, aux_exclude=path)
  assert 'exclude.txt' in message


@pytest.mark.parametrize('name', ['.', '/dev/zero', 'x' * 300, '~no_such_user', 'a\0'])
def test_lists_that_are_no_files(folder, name, refused):
  message = refused(data.load, f'folder:{folder}', image_size=16, aux_exclude=name)
  assert 'aux_exclude' in message


def test_lists_from_other_systems(folder, tmp_path):
  path = tmp_path / 'exclude.txt'
  path.write_bytes(b'\xef\xbb\xbfa\r\n')
  task = data.load(f'folder:{folder}', image_size=16, aux_exclude=path, aux_share=0.5)
  assert set(task.aux.label) == {1}
