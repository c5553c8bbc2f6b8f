"""Kuzushiji-49: 270,912 grey 28x28 images of 49 cursive Japanese characters.

Clanuwat et al. 2018, arXiv 1812.01718; CC BY-SA 4.0; https://github.com/rois-codh/kmnist.
The classes are imbalanced (some have 50 times as many examples as others): its authors
ask for the mean of the accuracies by class.
"""

import io
import pathlib
import struct
import zipfile
import zlib
from collections.abc import Iterator

import numpy as np
import tensorflow_datasets as tfds

from gpz_jax import types
from gpz_jax.data import images
from gpz_jax.data.builders import published, writing

# Sizes: the authors' README. Checksums: five public loaders that agree.
FILES = (
  published.File(
    'k49-train-imgs.npz', '63 MB', checksum='md5:7ac088b20481cf51dcd01ceaab89d821'
  ),
  published.File(
    'k49-train-labels.npz', '200 KB', checksum='md5:44a8e1b893f81e63ff38d73cad420f7a'
  ),
  published.File(
    'k49-test-imgs.npz', '11 MB', checksum='md5:d352e201d846ce6b94f42c990966f374'
  ),
  published.File(
    'k49-test-labels.npz', '50 KB', checksum='md5:4da6f7a62e67a832d5eb1bd85c5ee448'
  ),
)
CLASS_NAMES = (
  *('a', 'i', 'u', 'e', 'o', 'ka', 'ki', 'ku', 'ke', 'ko'),
  *('sa', 'shi', 'su', 'se', 'so', 'ta', 'chi', 'tsu', 'te', 'to'),
  *('na', 'ni', 'nu', 'ne', 'no', 'ha', 'hi', 'fu', 'he', 'ho'),
  *('ma', 'mi', 'mu', 'me', 'mo', 'ya', 'yu', 'yo'),
  *('ra', 'ri', 'ru', 're', 'ro', 'wa', 'wi', 'we', 'wo', 'n', 'iteration_mark'),
)
CONFIGS = {
  'merged': 'All examples in one subset, to be divided by whoever reads it.',
  'official': 'The published train and test subsets.',
}
DEFAULT_CONFIG = 'merged'

_SIDE = 28
_DAMAGE = (
  *(OSError, EOFError, KeyError, ValueError, MemoryError, RuntimeError),
  *(OverflowError, struct.error, zipfile.BadZipFile, zlib.error),
)


class Builder(tfds.core.GeneratorBasedBuilder):
  """Config `merged` (the default) has one subset, `official` the published two."""

  VERSION = tfds.core.Version('1.0.0')
  RELEASE_NOTES = {'1.0.0': 'Initial release.'}  # noqa: RUF012 - TFDS declares it so
  MANUAL_DOWNLOAD_INSTRUCTIONS = (
    f'a folder with {published.listed(FILES)} from https://github.com/rois-codh/kmnist'
  )
  BUILDER_CONFIGS = [  # noqa: RUF012 - TFDS declares it so
    tfds.core.BuilderConfig(name=name, description=description)
    for name, description in CONFIGS.items()
  ]
  DEFAULT_BUILDER_CONFIG_NAME = DEFAULT_CONFIG

  def _info(self) -> tfds.core.DatasetInfo:
    return writing.labelled_images(
      self,
      __doc__,
      (_SIDE, _SIDE, 1),
      CLASS_NAMES,
      homepage='https://github.com/rois-codh/kmnist',
      license='CC BY-SA 4.0',
    )

  def _split_generators(self, dl_manager):
    folder = pathlib.Path(dl_manager.manual_dir)
    published.check(FILES, folder)
    subsets = {subset: read_subset(folder, subset) for subset in ('train', 'test')}
    if self.builder_config_name == 'official':
      return {
        name: self._generate_examples(**{name: subsets[name]}) for name in subsets
      }
    return {'train': self._generate_examples(**subsets)}

  def _generate_examples(self, **subsets) -> Iterator[tuple[str, dict]]:
    for subset, (image, label) in subsets.items():
      for i in range(len(image)):
        picture = io.BytesIO(images.encode(image[i]))
        yield f'{subset}_{i:06}', {'image': picture, 'label': int(label[i])}


def read_subset(folder: pathlib.Path, subset: str) -> tuple[np.ndarray, np.ndarray]:
  """Reads a published subset: image [N, 28, 28] uint8 and label [N] in [0, 49).

  Raises:
    InputError: a file is damaged, holds pickled objects (never loaded) or other arrays.
  """
  image = _read_array(folder / f'k49-{subset}-imgs.npz')
  label = _read_array(folder / f'k49-{subset}-labels.npz')
  if image.dtype != np.uint8 or image.shape[1:] != (_SIDE, _SIDE):
    raise types.InputError(
      f'{folder}/k49-{subset}-imgs.npz holds {image.dtype} {image.shape}, not uint8 '
      '[N, 28, 28]; fetch it again'
    )
  is_integer = np.issubdtype(label.dtype, np.integer)
  if not is_integer or label.shape != image.shape[:1] or not len(label):
    raise types.InputError(
      f'{folder}/k49-{subset}-labels.npz holds {label.dtype} {label.shape}, not one '
      f'integer for each of {len(image)} images; fetch it again'
    )
  if label.min() < 0 or label.max() >= len(CLASS_NAMES):
    raise types.InputError(
      f'{folder}/k49-{subset}-labels.npz holds labels {label.min()} to {label.max()}, '
      'not 0 to 48; fetch it again'
    )
  return image, label


def _read_array(path: pathlib.Path) -> np.ndarray:
  try:
    with path.open('rb') as file:  # of a damaged file np.load leaves its own open
      arrays = np.load(file, allow_pickle=False)
      if not isinstance(arrays, np.lib.npyio.NpzFile):
        raise ValueError('a single array')
      if not isinstance(arrays['arr_0'], np.ndarray):
        raise ValueError('no array')
      return arrays['arr_0']
  except _DAMAGE as error:
    pickled = 'allow_pickle' in str(error)
    reason = 'it holds pickled objects, which are never loaded' if pickled else error
    raise types.InputError(
      f'{path} is not a readable .npz file with an array arr_0 ({reason}); fetch it '
      'again'
    ) from error
