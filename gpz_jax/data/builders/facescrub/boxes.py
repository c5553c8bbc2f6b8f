"""Where the face is in each FaceScrub image, from the official lists or one's own."""

import dataclasses
import pathlib
from collections.abc import Iterator

from gpz_jax import types

OWN_LIST = 'boxes.csv'
SUFFIXES = ('.txt', '.csv')  # of lists
_GROUPS = ('actors', 'actresses')
_OFFICIAL_HEADER = ['name', 'image_id', 'face_id', 'url', 'bbox', 'sha256']


@dataclasses.dataclass(frozen=True)
class Face:
  """A face in an image."""

  box: tuple[int, int, int, int]  # left, top, right, bottom in pixels, as published
  sha256: str | None  # of the image file; None in a list of one's own


def read(root: pathlib.Path) -> dict[str, Face] | None:
  """The faces by image; None if the folder has no list: its images are faces already.

  Read are the official tab-separated lists, under any name ending in .txt (columns
  name, image_id, face_id, url, bbox, sha256), or else boxes.csv with a line
  `identity/file,x1,y1,x2,y2` for each image. Of several faces under one name in one
  image the first counts.

  Args:
    root: the folder that holds the identities' folders.

  Returns:
    From `image_key` of a file to its face.

  Raises:
    InputError: a line has another form.
  """
  official = [file for file in sorted(root.glob('*.txt')) if _is_official(file)]
  rows = [row for file in official for row in _official_rows(file)]
  if not official:
    if not (root / OWN_LIST).is_file():
      return None
    rows = list(_own_rows(root / OWN_LIST))
  return dict(reversed(rows))


def group(root: pathlib.Path, file: pathlib.Path) -> tuple[str, ...]:
  """The folders above an identity's, as download scripts make them: actors, faces."""
  parts = file.relative_to(root).parts[:-2]
  if not parts or parts[0] not in _GROUPS:
    return ()
  return parts[:2] if parts[1:2] in (('faces',), ('images',)) else parts[:1]


def identity(root: pathlib.Path, file: pathlib.Path) -> str:
  """Whose image a file is: the folder in root that it lies in, however deep.

  The folders actors and actresses are none of an identity.
  """
  return file.relative_to(root).parts[len(group(root, file))]


def image_key(file: pathlib.Path) -> str:
  """What a list knows an image by: <identity>/<file name without its ending>."""
  return f'{file.parent.name}/{file.stem}'.replace(' ', '_')


def _is_official(file: pathlib.Path) -> bool:
  with file.open(errors='replace') as lines:
    return lines.readline().strip().split('\t') == _OFFICIAL_HEADER


def _official_rows(file: pathlib.Path) -> Iterator[tuple[str, Face]]:
  """Downloads are named <name>_<image_id>, in a folder <name>."""
  for number, line in _lines(file, skip=1):
    columns = line.split('\t')
    if len(columns) != len(_OFFICIAL_HEADER) or not columns[1].isdigit():
      raise _bad_line(file, number, line, 'the six columns of the official list')
    name = columns[0].replace(' ', '_')
    box = _parse_box(file, number, columns[4])
    yield f'{name}/{name}_{columns[1]}', Face(box, columns[5].strip().lower())


def _own_rows(file: pathlib.Path) -> Iterator[tuple[str, Face]]:
  for number, line in _lines(file, skip=0):
    path, _, box = line.partition(',')
    image = image_key(pathlib.Path(path.strip()))
    yield image, Face(_parse_box(file, number, box), None)


def _lines(file: pathlib.Path, skip: int) -> Iterator[tuple[int, str]]:
  text = file.read_text(errors='replace')
  for number, line in enumerate(text.splitlines(), 1):
    if number > skip and line.strip():
      yield number, line


def _parse_box(file: pathlib.Path, number: int, text: str) -> tuple[int, int, int, int]:
  try:
    left, top, right, bottom = (int(part) for part in text.split(','))
  except ValueError as error:
    raise _bad_line(file, number, text, 'a box x1,y1,x2,y2') from error
  if left >= right or top >= bottom:
    raise _bad_line(file, number, text, 'a box with x1 < x2 and y1 < y2')
  return left, top, right, bottom


def _bad_line(
  file: pathlib.Path, number: int, text: str, wanted: str
) -> types.InputError:
  return types.InputError(
    f'{file} line {number}: {text.strip()!r} is not {wanted}; mend or remove the line'
  )
