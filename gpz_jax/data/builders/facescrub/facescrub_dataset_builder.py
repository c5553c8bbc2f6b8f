"""FaceScrub: faces of 530 actors and actresses, from images fetched by hand.

Ng and Winkler 2014 (ICIP). Its authors publish addresses, boxes and checksums, not
images; many addresses are dead, so that every copy holds another part of it.
"""

import hashlib
import io
import logging
import pathlib
from collections.abc import Iterator, Mapping
from typing import cast

import numpy as np
import PIL.Image
import tensorflow_datasets as tfds

from gpz_jax import types
from gpz_jax.data import images, pictures
from gpz_jax.data.builders import writing
from gpz_jax.data.builders.facescrub import boxes

SIZE = 64
CONFIGS = {'224': 224}  # side of the images; without a config it is SIZE
INSTRUCTIONS = (
  'a folder <identity>/*.jpg, and in it, unless the images are cropped to the face, '
  'the official lists facescrub_actors.txt and facescrub_actresses.txt (images then '
  f'named <name>_<image_id>) or {boxes.OWN_LIST} with lines '
  '<identity>/<file>,x1,y1,x2,y2; or the folders actors/faces/<identity>/ and'
  ' actresses/faces/<identity>/ of faces that are cropped'
)


class Builder(tfds.core.GeneratorBasedBuilder):
  """One subset: the paper takes a random 80% to train and 20% to test.

  The config `224` has larger images, which studies of model inversion divide 90 to 10.
  """

  VERSION = tfds.core.Version('1.0.0')
  RELEASE_NOTES = {'1.0.0': 'Initial release.'}  # noqa: RUF012 - TFDS declares it so
  MANUAL_DOWNLOAD_INSTRUCTIONS = INSTRUCTIONS

  def __init__(self, *, config: str | None = None, **options):
    # Declared configs would take away the folder of what was prepared without one.
    made = tfds.core.BuilderConfig(name=config) if config else None
    self._size = CONFIGS[config] if config else SIZE
    super().__init__(config=made, **options)

  def _info(self) -> tfds.core.DatasetInfo:
    return writing.labelled_images(
      self,
      __doc__,
      (self._size, self._size, 3),
      None,  # named from the folders
      homepage='https://vintage.winklerbros.net/facescrub.html',
    )

  def _split_generators(self, dl_manager):
    root = pathlib.Path(dl_manager.manual_dir)
    files = find_images(root)
    identities = sorted({boxes.identity(root, file) for file in files})
    features = cast(tfds.features.FeaturesDict, self.info.features)
    cast(tfds.features.ClassLabel, features['label']).names = identities
    faces = None if _are_cropped(root, files) else boxes.read(root)
    return {'train': self._generate_examples(root, files, faces)}

  def _generate_examples(
    self,
    root: pathlib.Path,
    files: list[pathlib.Path],
    faces: Mapping[str, boxes.Face] | None,
  ) -> Iterator[tuple[str, dict]]:
    problems = []  # all are looked for: fetched images are broken by the dozen
    for file in files:
      try:
        pixels = read_face(file, faces, self._size)
      except types.InputError as error:
        problems.append(error)
        continue
      example = {
        'image': io.BytesIO(images.encode(pixels)),
        'label': boxes.identity(root, file),
      }
      yield str(file.relative_to(root)), example
    if problems:
      raise types.InputError(
        f'{len(problems)} of {len(files)} images in {root} cannot be used; the first: '
        f'{problems[0]}'
      )


def find_images(root: pathlib.Path) -> list[pathlib.Path]:
  """The pictures in root/<identity>/, however deep below it, sorted.

  Of actors/ and actresses/, where those are the folders, it takes faces/ alone if there
  is one: images/ beside it holds the same pictures uncropped.

  It says which other files are left out, unless they may be lists of boxes.

  Raises:
    InputError: there are fewer than two identities, or only some folders have faces/.
  """
  files, left_out = pictures.find(root)
  for suffix in boxes.SUFFIXES:
    del left_out[suffix]
  if left_out:
    logging.getLogger(__name__).warning(
      f'{root}: {left_out.total()} files that are no pictures are left out:'
      f' {pictures.left_out_text(left_out)}'
    )
  if cropped := [file for file in files if _are_cropped(root, [file])]:
    whole = {boxes.group(root, file)[:1] for file in files} - {
      boxes.group(root, file)[:1] for file in cropped
    }
    if whole:
      raise types.InputError(
        f'{root} has cropped faces in {boxes.group(root, cropped[0])[0]}/faces, but'
        f' {"".join(min(whole)) or "its other folders"}/ has no faces/; wanted:'
        f' {INSTRUCTIONS}'
      )
    files = cropped
  if len({boxes.identity(root, file) for file in files}) < 2:
    raise types.InputError(
      f'{root} holds images of fewer than 2 identities; wanted: {INSTRUCTIONS}'
    )
  return files


def _are_cropped(root: pathlib.Path, files: list[pathlib.Path]) -> bool:
  """Whether pictures lie in actors/faces/ and actresses/faces/."""
  return all(boxes.group(root, file)[1:] == ('faces',) for file in files)


def read_face(
  file: pathlib.Path, faces: Mapping[str, boxes.Face] | None, size: int = SIZE
) -> np.ndarray:
  """Reads an image, cropped to the face where there is a list, at one size.

  Boxes are about the pixels as they are stored. Without a list, the image is turned as
  its EXIF orientation says, and put on white where it is transparent.

  Args:
    file: The image.
    faces: The list of faces that `boxes.read` returns.
    size: Side S of the result.

  Returns:
    [S, S, 3] uint8; reached by antialiased bilinear.

  Raises:
    InputError: the image is broken, not the published one, or has no face in the list.
  """
  data = file.read_bytes()
  prepare = pictures.upright_on_white if faces is None else None
  picture = images.open_picture(
    data, str(file), 'RGB', formats=pictures.formats(file), prepare=prepare
  )
  if faces is not None:
    picture = picture.crop(_box(file, data, picture, faces))
  return np.asarray(picture.resize((size, size), images.RESIZE))


def _box(
  file: pathlib.Path,
  data: bytes,
  picture: PIL.Image.Image,
  faces: Mapping[str, boxes.Face],
) -> tuple[int, int, int, int]:
  """The part of the published box that lies in the image."""
  face = faces.get(boxes.image_key(file))
  if face is None:
    raise types.InputError(f'{file} has no box in the list; remove the image')
  if face.sha256 and hashlib.sha256(data).hexdigest() != face.sha256:
    raise types.InputError(
      f'{file} is not the published image, so that its box is in doubt (sha256 '
      f'differs); remove the image, or the list in favour of {boxes.OWN_LIST}'
    )
  left, top, right, bottom = face.box
  box = (
    max(left, 0),
    max(top, 0),
    min(right, picture.width),
    min(bottom, picture.height),
  )
  if box[0] >= box[2] or box[1] >= box[3]:
    raise types.InputError(
      f'{file}: its box {face.box} lies outside its {picture.width}x{picture.height} '
      'pixels; remove the image'
    )
  return box
