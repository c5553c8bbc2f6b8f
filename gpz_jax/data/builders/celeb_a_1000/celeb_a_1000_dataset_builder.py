"""The 1,000 people of CelebA with most images: their faces at 224x224.

Liu et al. 2015 (ICCV). Model inversion is studied on these people and on this crop
(docs/paper.md#faces-and-dogs).
"""

import collections
import io
import pathlib
from collections.abc import Iterator
from typing import cast

import numpy as np
import tensorflow_datasets as tfds

from gpz_jax import types
from gpz_jax.data import images
from gpz_jax.data.builders import published, stock, writing
from gpz_jax.data.builders.celeb_a_1000 import crop

SIZE = 224
PEOPLE = 1000
ALIGNED_SIZE = (178, 218)  # width and height, as published
IDENTITIES = 'identity_CelebA.txt'
ALIGNED, WILD = 'img_align_celeba', 'img_celeba'
ALIGNED_LANDMARKS = 'list_landmarks_align_celeba.txt'
WILD_LANDMARKS = 'list_landmarks_celeba.txt'
INSTRUCTIONS = (
  f'a folder with {IDENTITIES} and either {ALIGNED}.zip (or the folder {ALIGNED}/ of'
  f' its images) or, for sharper faces, the folder {WILD}/ of the images in the wild'
  f' with {WILD_LANDMARKS} and {ALIGNED_LANDMARKS}'
)
_NUM_COORDINATES = 10  # of five landmarks


class Builder(tfds.core.GeneratorBasedBuilder):
  """One subset: the paper divides it 90 to 10, by a seed."""

  VERSION = tfds.core.Version('1.0.0')
  RELEASE_NOTES = {'1.0.0': 'Initial release.'}  # noqa: RUF012 - TFDS declares it so
  MANUAL_DOWNLOAD_INSTRUCTIONS = INSTRUCTIONS

  def _info(self) -> tfds.core.DatasetInfo:
    return writing.labelled_images(
      self,
      __doc__,
      (SIZE, SIZE, 3),
      None,  # named from the list of identities
      homepage='https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html',
    )

  def _split_generators(self, dl_manager):
    root = pathlib.Path(dl_manager.manual_dir)
    source = Source(root)
    people, names = choose(root / IDENTITIES)
    features = cast(tfds.features.FeaturesDict, self.info.features)
    cast(tfds.features.ClassLabel, features['label']).names = names
    return {'train': self._generate_examples(source, people)}

  def _generate_examples(
    self, source: 'Source', people: dict[str, str]
  ) -> Iterator[tuple[str, dict]]:
    problems = []
    for name, person in people.items():
      try:
        face = source.read_face(name)
      except types.InputError as error:
        problems.append(error)
        continue
      yield name, {'image': io.BytesIO(images.encode(face)), 'label': person}
    if problems:
      raise types.InputError(
        f'{len(problems)} of {len(people)} images in {source.root} cannot be used; the'
        f' first: {problems[0]}'
      )


def choose(file: pathlib.Path) -> tuple[dict[str, str], list[str]]:
  """The people who have most images, and which images those are.

  Args:
    file: The published list of identities.

  Returns:
    From the name of an image to the number of the person; and the people, the most
    frequent one first. Of two with equally many the one who is named first is first.

  Raises:
    InputError: A line has another form, or there are too few people.
  """
  everybody = {name: str(number) for name, (number,) in _read(file, 1).items()}
  counts = collections.Counter(everybody.values())
  if len(counts) < PEOPLE:
    raise types.InputError(
      f'{file} names {len(counts)} people where {PEOPLE} are taken; fetch it again'
    )
  people = [person for person, _ in counts.most_common(PEOPLE)]
  chosen = set(people)
  return {name: who for name, who in everybody.items() if who in chosen}, people


class Source:
  """The images of a folder, in the wild where they are there, else aligned.

  Attributes:
    root: The folder.

  Raises:
    InputError: The folder lacks files, or one is not as published.
  """

  def __init__(self, root: pathlib.Path):
    self.root = root
    self._wild = root / WILD if (root / WILD).is_dir() else None
    folder, archive = root / ALIGNED, root / f'{ALIGNED}.zip'
    wanted = [IDENTITIES]
    if self._wild:
      wanted.append(ALIGNED_LANDMARKS)
      if not (root / WILD_LANDMARKS).is_file():
        raise types.InputError(f'{root} lacks {WILD_LANDMARKS}; wanted: {INSTRUCTIONS}')
    elif not folder.is_dir():
      wanted.append(archive.name)
    known = published.stock_files('celeb_a')
    published.check([file for file in known if file.name in wanted], root)
    if self._wild:
      self._landmarks = {
        name: _read(root / name, _NUM_COORDINATES)
        for name in (ALIGNED_LANDMARKS, WILD_LANDMARKS)
      }
    self._folder = self._wild or folder
    self._archive = stock.Pictures(archive) if archive.name in wanted else None

  def read_face(self, name: str) -> np.ndarray:
    """The face in an image [224, 224, 3] uint8.

    Raises:
      InputError: There is no such image, or it is not the published one.
    """
    where = f'{self._folder}/{name}'
    picture = images.open_picture(self._read_bytes(name), where, 'RGB')
    if self._wild:
      return np.asarray(crop.cut(picture, SIZE, self._place(name), where))
    if picture.size != ALIGNED_SIZE:
      raise types.InputError(
        f'{where} has {picture.width}x{picture.height} pixels and is no aligned image'
        ' of 178x218; give images that are cropped already as a folder of their own'
      )
    return np.asarray(crop.cut(picture, SIZE, crop.Similarity(), where))

  def _read_bytes(self, name: str) -> bytes:
    if self._archive:
      return self._archive[name].read()
    try:
      return (self._folder / name).read_bytes()
    except OSError as error:
      raise types.InputError(
        f'cannot read {self._folder / name}: {error.strerror or error}; fetch it again'
      ) from error

  def _place(self, name: str) -> crop.Similarity:
    """From the aligned image to the one in the wild, which it was made of."""
    points = []
    for file, rows in self._landmarks.items():
      if name not in rows:
        raise types.InputError(f'{self.root / file} has no line for {name}')
      points.append(np.reshape(rows[name], (-1, 2)))
    return crop.fit(*points)


def _read(file: pathlib.Path, columns: int) -> dict[str, tuple[int, ...]]:
  """The rows of a published list: from the name of an image to whole numbers.

  Some lists begin with the number of rows and the names of columns, which are skipped.
  """
  rows = {}
  for number, line in enumerate(file.read_text(errors='replace').splitlines(), 1):
    name, *values = line.split() or ['']
    if not name or (number <= 2 and '.' not in name):
      continue
    try:
      rows[name] = tuple(map(int, values))
      if len(values) != columns:
        raise ValueError
    except ValueError as error:
      raise types.InputError(
        f'{file} line {number}: {line.strip()[:80]!r} is not the name of an image and'
        f' {columns} whole numbers; fetch it again'
      ) from error
  return rows
