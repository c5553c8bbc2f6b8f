import functools
import io
import struct
import zlib

import numpy as np
import PIL.Image
import pytest

from gpz_jax import types
from gpz_jax.data import images


def png(pixels) -> bytes:
  file = io.BytesIO()
  PIL.Image.fromarray(np.asarray(pixels)).save(file, 'png')
  return file.getvalue()


def decode(*files: bytes, channels=1, size=None) -> np.ndarray:
  examples = [images.Encoded(f'image {i}', file, i) for i, file in enumerate(files)]
  return images.decode(examples, len(files), channels=channels, size=size).image


def test_decode_keeps_pixels_and_labels():
  pixels = np.arange(2 * 4 * 5 * 3, dtype=np.uint8).reshape(2, 4, 5, 3)
  examples = [
    images.Encoded('a', png(pixels[0]), 7),
    images.Encoded('b', png(pixels[1]), 9),
  ]
  subset = images.decode(examples, 2, channels=3, size=None)
  np.testing.assert_array_equal(subset.image, pixels)
  np.testing.assert_array_equal(subset.label, [7, 9])


def test_reducing_is_antialiased():
  # By hand: a triangle 2 pixels wide either way about the centre of the new pixel
  # weighs the 4 columns (3, 3, 1, 0) / 7 and (0, 1, 3, 3) / 7.
  columns = np.tile(np.array([0, 0, 255, 255], np.uint8), (4, 1))
  np.testing.assert_array_equal(
    decode(png(columns), size=(2, 2))[0, :, :, 0], [[36, 219], [36, 219]]
  )


def test_enlarging_is_bilinear_between_pixel_centres():
  # By hand: new centres at 0, 1/4, 3/4 and 1 of the way from pixel to pixel.
  columns = np.array([[0, 255]] * 2, np.uint8)
  np.testing.assert_array_equal(
    decode(png(columns), size=(4, 4))[0, 0, :, 0], [0, 64, 191, 255]
  )


def test_size_is_height_then_width():
  assert decode(png(np.zeros((4, 4), np.uint8)), size=(3, 5)).shape == (1, 3, 5, 1)


def test_other_pixel_formats_become_rgb():
  grey = np.full((4, 4), 9, np.uint8)
  clear = np.dstack([grey, grey, grey, 0 * grey])
  assert (decode(png(grey), png(clear), channels=3) == 9).all()


def test_to_channels_repeats_grey_and_takes_luma():
  # ITU-R 601 by hand: 0.299, 0.587, 0.114 of 255.
  colour = 255 * np.eye(3, dtype=np.uint8)[:, None, None, :].repeat(2, axis=1)
  grey = images.to_channels(colour, 1)
  assert grey.shape == (3, 2, 1, 1)
  np.testing.assert_array_equal(grey[:, 0, 0, 0], [76, 150, 29])
  np.testing.assert_array_equal(images.to_channels(grey, 3), np.repeat(grey, 3, axis=3))
  assert images.to_channels(colour, 3) is colour


@pytest.mark.parametrize(
  'broken', [b'', b'not an image', png(np.zeros((64, 64), np.uint8))[:60]]
)
def test_broken_image_is_named(broken):
  with pytest.raises(types.InputError, match='image 1 is not a readable'):
    decode(png(np.zeros((64, 64), np.uint8)), broken)


def test_wide_pixels_are_refused():
  with pytest.raises(types.InputError, match='image 0 has more than 8 bits'):
    decode(png(np.zeros((4, 4), np.uint16)))


def deep_png(colour_type: int, channels: int, bits: int) -> bytes:
  """A 2x2 PNG by its specification, since Pillow writes no such depth in colour."""

  def chunk(kind: bytes, body: bytes) -> bytes:
    checksum = zlib.crc32(kind + body)
    return struct.pack('>I', len(body)) + kind + body + struct.pack('>I', checksum)

  row = b'\0' + bytes(range(2 * channels * bits // 8))
  header = struct.pack('>IIBBBBB', 2, 2, bits, colour_type, 0, 0, 0)
  chunks = ((b'IHDR', header), (b'IDAT', zlib.compress(2 * row)), (b'IEND', b''))
  return b'\x89PNG\r\n\x1a\n' + b''.join(chunk(*each) for each in chunks)


def deep_tiff(bits: int) -> bytes:
  """A 2x2 RGB TIFF by its specification."""
  pixels = bytes(range(2 * 2 * 3 * bits // 8))
  depths, start = struct.pack('<3H', *3 * [bits]), 8 + 2 + 9 * 12 + 4
  tags = [
    *((256, 2), (257, 2), (258, start), (259, 1), (262, 2)),
    *((273, start + len(depths)), (277, 3), (278, 2), (279, len(pixels))),
  ]
  entries = b''.join(
    struct.pack('<HHII', tag, 3, 3 if tag == 258 else 1, value) for tag, value in tags
  )
  head = struct.pack('<2sHIH', b'II', 42, 8, len(tags))
  return head + entries + struct.pack('<I', 0) + depths + pixels


@pytest.mark.parametrize(
  ('make', 'mode'),
  [
    (functools.partial(deep_png, 2, 3), 'RGB'),
    (functools.partial(deep_png, 4, 2), 'LA'),
    (functools.partial(deep_png, 6, 4), 'RGBA'),
    (deep_tiff, 'RGB'),
  ],
)
def test_wide_channels_of_colour_are_refused(make, mode, tmp_path):
  formats = (*images.FORMATS, 'TIFF')
  wide, narrow = make(bits=16), make(bits=8)
  with PIL.Image.open(io.BytesIO(wide)) as picture:
    assert picture.mode in (mode, 'RGBA')  # Pillow does not say that it is wide
  (tmp_path / 'wide').write_bytes(wide)
  with pytest.raises(types.InputError, match='wide has more than 8 bits a channel'):
    images.is_grey(tmp_path / 'wide', formats)
  with pytest.raises(types.InputError, match='a has more than 8 bits a channel'):
    images.open_picture(wide, 'a', 'RGB', formats=formats)
  assert images.open_picture(narrow, 'a', 'RGB', formats=formats).size == (2, 2)


def test_sizes_must_agree_unless_resized():
  files = png(np.zeros((4, 4), np.uint8)), png(np.zeros((5, 4), np.uint8))
  with pytest.raises(types.InputError, match=r'image 1 has .*5, 4.*set image_size'):
    decode(*files)
  assert decode(*files, size=(4, 4)).shape == (2, 4, 4, 1)


def test_is_grey(tmp_path):
  (tmp_path / 'grey.png').write_bytes(png(np.zeros((4, 4), np.uint8)))
  (tmp_path / 'colour.png').write_bytes(png(np.zeros((4, 4, 3), np.uint8)))
  assert images.is_grey(tmp_path / 'grey.png')
  assert not images.is_grey(tmp_path / 'colour.png')
