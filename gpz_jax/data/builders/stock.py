"""TFDS's own datasets made from their published files, without TensorFlow.

TFDS's builders hand over arrays and read with TensorFlow's file system. Here the
same builders (name, version, features) are fed encoded images instead.
"""

import io
import os
import pathlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from tensorflow_datasets.core import registered

from gpz_jax import types
from gpz_jax.data import images
from gpz_jax.data.builders import archives, dogs, idx, published, writing

Examples = Iterator[tuple[Any, dict[str, Any]]]  # key and example
# From the builder, its config and the folder of files to the examples of each subset.
Reader = Callable[[Any, str, pathlib.Path], dict[str, Examples]]

_IDX_PREFIX = {'train': 'train', 'test': 't10k'}
_CIFAR_RECORD = 1 + 3 * 32 * 32
_CIFAR_FILES = {
  'train': [f'data_batch_{i}.bin' for i in range(1, 6)],
  'test': ['test_batch.bin'],
}
_CELEB_A_SUBSETS = {'train': 0, 'validation': 1, 'test': 2}


def prepare(
  name: str, data_dir: pathlib.Path, manual_dir: pathlib.Path
) -> pathlib.Path:
  """Prepares one of `READERS` (or `emnist/<config>`): its version folder.

  Raises:
    InputError: files are missing or damaged, or the folder cannot be written to.
  """
  base_name, _, config = name.partition('/')
  stock = tfds.builder_cls(base_name)
  if stock.BUILDER_CONFIGS and config not in stock.builder_configs:
    raise types.InputError(
      f'dataset {base_name!r} has no config {config!r}; its configs: '
      f'{", ".join(stock.builder_configs)}'
    )
  published.check(published.stock_files(base_name), manual_dir)

  def split_generators(builder, dl_manager):
    del dl_manager  # its downloads need TensorFlow
    return READERS[base_name](builder, config, manual_dir)

  members = {
    'name': base_name,
    '__module__': stock.__module__,  # where TFDS looks for the description
    '_split_generators': split_generators,
  }
  with registered.skip_registration():  # the name stays TFDS's own
    fed = type(stock.__name__, (stock,), members)

  def make_builder(folder: str) -> tfds.core.DatasetBuilder:
    options = {'config': config or None, 'file_format': 'array_record'}
    return fed(data_dir=folder, **options)

  return writing.write(name, make_builder, data_dir)


def _read_mnist(builder, config: str, folder: pathlib.Path) -> dict[str, Examples]:
  del builder, config
  return {
    subset: _idx_examples(
      *(
        idx.parse((folder / file).read_bytes(), str(folder / file))
        for file in (f'{prefix}-images-idx3-ubyte.gz', f'{prefix}-labels-idx1-ubyte.gz')
      ),
      where=f'{folder}/{prefix}-*',
    )
    for subset, prefix in _IDX_PREFIX.items()
  }


def _read_emnist(builder, config: str, folder: pathlib.Path) -> dict[str, Examples]:
  """All rows the headers tell of; TFDS reads a fixed number, which may be fewer."""
  del builder
  path = folder / 'gzip.zip'
  with archives.open_zip(path) as archive:

    def read(subset: str, kind: str) -> np.ndarray:
      member = f'gzip/emnist-{config}-{subset}-{kind}-ubyte.gz'
      return idx.parse(archives.read_member(archive, path, member), f'{path}:{member}')

    return {
      subset: _idx_examples(
        read(subset, 'images-idx3'),
        read(subset, 'labels-idx1'),
        where=f'{path}:emnist-{config}-{subset}',
      )
      for subset in ('train', 'test')
    }


def _idx_examples(image: np.ndarray, label: np.ndarray, where: str) -> Examples:
  if image.shape[1:] != (28, 28) or label.shape != image.shape[:1]:
    raise types.InputError(
      f'{where} holds images {image.shape} and labels {label.shape}, not [N, 28, 28] '
      'and [N]; fetch them again'
    )
  return (
    (i, {'image': io.BytesIO(images.encode(image[i])), 'label': int(label[i])})
    for i in range(len(image))
  )


def _read_cifar10(builder, config: str, folder: pathlib.Path) -> dict[str, Examples]:
  del config
  path = folder / 'cifar-10-binary.tar.gz'
  root = 'cifar-10-batches-bin'
  content = {
    os.path.basename(name): data
    for name, data in archives.read_tar(path)
    if os.path.dirname(name) == root
  }
  wanted = {'batches.meta.txt', *_CIFAR_FILES['train'], *_CIFAR_FILES['test']}
  if absent := wanted - content.keys():
    raise types.InputError(f'{path} lacks {", ".join(sorted(absent))} in {root}')
  builder.info.features['label'].names = content['batches.meta.txt'].decode().split()
  return {
    subset: _cifar_examples(
      subset, b''.join(content[file] for file in files), f'{path}:{subset}'
    )
    for subset, files in _CIFAR_FILES.items()
  }


def _cifar_examples(subset: str, data: bytes, where: str) -> Examples:
  if not data or len(data) % _CIFAR_RECORD:
    raise types.InputError(
      f'{where} holds {len(data)} bytes, not whole records of {_CIFAR_RECORD}; fetch '
      'it again'
    )
  records = np.frombuffer(data, np.uint8).reshape(-1, _CIFAR_RECORD)
  planes = records[:, 1:].reshape(-1, 3, 32, 32)
  for i, (label, pixels) in enumerate(zip(records[:, 0], planes, strict=True)):
    yield (
      i,
      {
        'id': f'{subset}_{i:05}',
        'image': io.BytesIO(images.encode(pixels.transpose(1, 2, 0))),
        'label': int(label),
      },
    )


def _read_celeb_a(builder, config: str, folder: pathlib.Path) -> dict[str, Examples]:
  del config
  lists = {
    'list_eval_partition': folder / 'list_eval_partition.txt',
    'list_attr_celeba': folder / 'list_attr_celeba.txt',
    'landmarks_celeba': folder / 'list_landmarks_align_celeba.txt',
    'identity_celeba': folder / 'identity_CelebA.txt',
  }
  pictures = Pictures(folder / 'img_align_celeba.zip')
  return {
    subset: _celeb_a_examples(builder, number, lists, pictures, folder)
    for subset, number in _CELEB_A_SUBSETS.items()
  }


def _celeb_a_examples(builder, number: int, lists, pictures, folder) -> Examples:
  try:
    yield from builder._generate_examples(number, lists, pictures)
  except (KeyError, IndexError, UnicodeError) as error:
    raise types.InputError(
      f'the CelebA lists in {folder} do not fit together ({error!r}); fetch them again'
    ) from error


class Pictures:
  """The images of CelebA's archive by file name, read when asked for."""

  def __init__(self, path: pathlib.Path):
    self._path = path
    self._archive = archives.open_zip(path)  # once: it lists 202,599 files

  def __getitem__(self, name: str) -> io.BytesIO:
    data = archives.read_member(self._archive, self._path, f'img_align_celeba/{name}')
    return io.BytesIO(data)


READERS: dict[str, Reader] = {
  'mnist': _read_mnist,
  'kmnist': _read_mnist,
  'emnist': _read_emnist,
  'cifar10': _read_cifar10,
  'celeb_a': _read_celeb_a,
  'stanford_dogs': dogs.read,
}
