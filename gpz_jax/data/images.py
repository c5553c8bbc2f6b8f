"""Encoded images to uint8 arrays: decoding, resizing, change of channels."""

import contextlib
import io
import pathlib
import struct
import warnings
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import BinaryIO, NamedTuple

import numpy as np
import PIL.Image
import PIL.PngImagePlugin
import PIL.TiffImagePlugin

from gpz_jax import interruption, types

# Pillow widens the triangle to the pixel it makes when it reduces, which is what
# other libraries call antialiased bilinear; when it enlarges, it is plain bilinear.
RESIZE = PIL.Image.Resampling.BILINEAR

SUFFIXES = ('.png', '.jpg', '.jpeg')
# Pillow opens more formats, but EPS among them runs Ghostscript.
FORMATS = ('PNG', 'JPEG')
# What Pillow's readers may raise for a file that is no image. The last two are raised
# for files that claim to be very large.
DAMAGE = (
  *(OSError, SyntaxError, ValueError, ArithmeticError, LookupError, TypeError),
  *(struct.error, zlib.error, MemoryError, PIL.Image.DecompressionBombError),
  PIL.Image.DecompressionBombWarning,
)

Change = Callable[[PIL.Image.Image], PIL.Image.Image]

_WIDE_MODES = ('I', 'F', 'I;16', 'I;16B', 'I;16L', 'I;16N')
_PNG_DEPTH = 24  # where a PNG keeps its bits a channel
_TIFF_DEPTH = 258  # the tag of a TIFF that does


class Encoded(NamedTuple):
  """An example before it is decoded."""

  where: str  # the example's name in an error
  data: bytes | np.ndarray  # a PNG or JPEG file, or pixels [H, W, C] uint8
  label: int
  change: Change | None = None  # applied before the image is resized
  formats: tuple[str, ...] = FORMATS  # that the file may have, as Pillow names them
  prepare: Change | None = None  # applied before the image changes its channels


def decode(
  examples: Iterable[Encoded],
  count: int,
  *,
  channels: int,
  size: tuple[int, int] | None,
) -> types.Dataset:
  """Decodes `count` examples to one array.

  Args:
    examples: yields `count` encoded images.
    count: N.
    channels: C of the result: 1 (grey, by luma) or 3 (RGB).
    size: (H, W) of the result, reached by antialiased bilinear; None keeps the
      images' own size, which must then be the same for all.

  Returns:
    image [N, H, W, C] uint8 and label [N] int32.

  Raises:
    InputError: an image is broken, has more than 8 bits, or another size; there are
      more or fewer of them, or too many for the memory.
    Interrupted: a signal came.
  """
  label, image, found = None, None, 0
  for example in examples:
    interruption.check()
    pixels = _decode_one(example, channels, size)
    if label is None or image is None:
      label, image = _allocate(count, pixels.shape, example.where)
    if pixels.shape != image.shape[1:]:
      raise types.InputError(
        f'{example.where} has (height, width) {pixels.shape[:2]} but the images '
        f'before it {image.shape[1:3]}; set image_size'
      )
    if found < count:
      image[found], label[found] = pixels, example.label
    found += 1
  if label is None or image is None:
    raise ValueError('no examples to decode')
  if found != count:
    raise types.InputError(
      f'{example.where} is the last of {found} examples, where {count} should be; '
      'prepare the data again'
    )
  return types.Dataset(image, label)


def _allocate(
  count: int, shape: tuple[int, ...], where: str
) -> tuple[np.ndarray, np.ndarray]:
  """Labels [N] and images [N, H, W, C], still empty."""
  try:
    return np.empty(count, np.int32), np.empty((count, *shape), np.uint8)
  except (MemoryError, ValueError) as error:
    raise types.InputError(
      f'{count} images of {"x".join(map(str, shape))}, as {where} is, do not fit into '
      'memory; set a smaller image_size, or prepare the data again'
    ) from error


def require_file(file: pathlib.Path) -> None:
  """Refuses what is named like an image but is no file; reading it might never end.

  Raises:
    InputError: It is a folder, a pipe or a broken link.
  """
  if not file.is_file():
    raise _broken(str(file), OSError('it is no file'))


def encode(pixels: np.ndarray) -> bytes:
  """The PNG file of an image [H, W] or [H, W, 1 or 3] uint8; fast, not small."""
  if pixels.ndim == 3 and pixels.shape[-1] == 1:
    pixels = pixels[..., 0]
  file = io.BytesIO()
  PIL.Image.fromarray(pixels).save(file, 'png', compress_level=1)
  return file.getvalue()


def open_picture(
  data: bytes,
  where: str,
  mode: str,
  *,
  formats: tuple[str, ...] = FORMATS,
  prepare: Change | None = None,
) -> PIL.Image.Image:
  """Decodes a PNG or JPEG file to Pillow's mode `L` or `RGB`.

  Args:
    data: The file.
    where: The name of the image in an error.
    mode: `L` or `RGB`.
    formats: The formats that are tried, as Pillow names them.
    prepare: The change that is made before the mode is changed, or None.

  Raises:
    InputError: it is broken or has more than 8 bits; names `where`.
  """
  opened = _open(io.BytesIO(data), where, formats)
  try:
    with _strict_about_size():
      return (prepare(opened) if prepare else opened).convert(mode)
  except DAMAGE as error:
    raise _broken(where, error, formats) from error


def is_grey(file: pathlib.Path, formats: tuple[str, ...] = FORMATS) -> bool:
  """Whether an image file has no colour channels; reads its header only.

  Raises:
    InputError: the image is broken, or has more than 8 bits.
  """
  with _open(file, str(file), formats) as picture:
    return picture.mode in ('1', 'L', 'LA')


def to_channels(image: np.ndarray, channels: int) -> np.ndarray:
  """Grey to RGB by repeating, RGB to grey by luma (ITU-R 601, as Pillow's 'L').

  Args:
    image: [N, H, W, 1 or 3] uint8.
    channels: 1 or 3.

  Returns:
    [N, H, W, channels] uint8.
  """
  num_images, height, width, old_channels = image.shape
  if old_channels == channels:
    return image
  if channels == 3:
    return np.repeat(image, 3, axis=-1)
  tall = PIL.Image.fromarray(image.reshape(num_images * height, width, 3))
  return np.asarray(tall.convert('L')).reshape(num_images, height, width, 1)


def _decode_one(
  example: Encoded, channels: int, size: tuple[int, int] | None
) -> np.ndarray:
  mode = 'L' if channels == 1 else 'RGB'
  if isinstance(example.data, bytes):
    picture = open_picture(
      example.data,
      example.where,
      mode,
      formats=example.formats,
      prepare=example.prepare,
    )
  else:
    picture = PIL.Image.fromarray(example.data).convert(mode)
  if example.change is not None:
    picture = example.change(picture)
  if size is not None and picture.size != (size[1], size[0]):
    picture = picture.resize((size[1], size[0]), RESIZE)
  pixels = np.asarray(picture)
  return pixels[..., None] if channels == 1 else pixels


def _open(
  file: pathlib.Path | BinaryIO, where: str, formats: tuple[str, ...]
) -> PIL.Image.Image:
  try:
    with _strict_about_size():
      picture = PIL.Image.open(file, formats=formats)
  except DAMAGE as error:
    raise _broken(where, error, formats) from error
  # Pillow would clip it at 255, or keep the high byte, without a word.
  if picture.mode in _WIDE_MODES or _bits(picture) > 8:
    picture.close()
    raise types.InputError(
      f'{where} has more than 8 bits a channel; convert it to 8 bits'
    )
  return picture


def _bits(picture: PIL.Image.Image) -> int:
  """Bits a channel of a PNG or TIFF; Pillow's modes of colour are the same for all."""
  if isinstance(picture, PIL.PngImagePlugin.PngImageFile) and picture.fp:
    here = picture.fp.tell()
    picture.fp.seek(_PNG_DEPTH)
    (bits,) = picture.fp.read(1)
    picture.fp.seek(here)
    return bits
  if isinstance(picture, PIL.TiffImagePlugin.TiffImageFile):
    return max((1, *picture.tag_v2.get(_TIFF_DEPTH, ())))
  return 8


@contextlib.contextmanager
def _strict_about_size() -> Iterator[None]:
  """A picture that claims to be very large is an error, odd metadata is nothing."""
  with warnings.catch_warnings():
    warnings.simplefilter('ignore', UserWarning)
    warnings.simplefilter('error', PIL.Image.DecompressionBombWarning)
    yield


def _broken(
  where: str, error: Exception, formats: tuple[str, ...] = FORMATS
) -> types.InputError:
  reason = str(error).split(' <')[0]  # drop "<_io.BytesIO object at 0x...>"
  names = ' or '.join(filter(None, (', '.join(formats[:-1]), formats[-1])))
  return types.InputError(
    f'{where} is not a readable {names} image ({reason}); replace or remove it'
  )
