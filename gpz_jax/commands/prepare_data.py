"""Prepares a dataset for `gpz_jax.data.load`, then reads it back.

  gpz-prepare-data --dataset=kuzushiji49 --manual_dir=DIR
  gpz-prepare-data --dataset=cifar10 [--data_dir=DIR]

With --manual_dir, the published files are read from that folder under their own names.
Missing files are listed with their sizes. Without it, TFDS downloads the datasets that
it knows. Only this step needs TensorFlow, which the extra `prepare` of gpz_jax brings.
"""

import importlib.util
import itertools
import os
import pathlib
import sys

import tensorflow_datasets as tfds
from absl import flags

from gpz_jax import types
from gpz_jax.commands import command
from gpz_jax.data import images, sources
from gpz_jax.data.builders import (
  celeb_a_1000,
  facescrub,
  kuzushiji49,
  portraits,
  published,
  shapes,
  stock,
  writing,
)
from gpz_jax.data.sources import base, names, prepared

_BY_HAND = {
  'kuzushiji49': kuzushiji49.Builder,
  'facescrub': facescrub.Builder,
  'celeb_a_1000': celeb_a_1000.Builder,
}


def define_flags() -> None:
  """The flags of this command."""
  flags.DEFINE_string(
    'dataset',
    None,
    'The dataset: shapes, portraits, cifar10, mnist, kmnist, kuzushiji49,'
    ' emnist/letters, facescrub, facescrub/224, celeb_a, celeb_a_1000, stanford_dogs,'
    ' or any TFDS name or name/config.',
  )
  flags.DEFINE_string(
    'data_dir',
    None,
    'The TFDS folder. If unset, it is $TFDS_DATA_DIR or ~/tensorflow_datasets.',
  )
  flags.DEFINE_string(
    'manual_dir',
    None,
    'The folder with files that were fetched by hand, under their published names.',
  )


def prepare(name: str, data_dir: pathlib.Path, manual_dir: str | None) -> pathlib.Path:
  """Prepares a dataset unless it is prepared already, and returns its version folder.

  Args:
    name: Name of the dataset.
    data_dir: The TFDS folder.
    manual_dir: Folder with files that were fetched by hand, or None.

  Raises:
    InputError: The name is unknown, or a file or TensorFlow is missing.
  """
  if name.startswith(names.FOLDER_PREFIX):
    raise types.InputError(f'{name!r} is read as it is; it needs no preparation')
  name = names.canonical_name(name)
  if manual_dir and not os.path.isdir(manual_dir):
    raise types.InputError(f'--manual_dir {manual_dir} is not a folder')
  base_name, _, config = name.partition('/')
  if there := prepared.version_folder(data_dir, name):
    return there
  if base_name == 'shapes':
    return shapes.ensure_prepared(config, data_dir)
  if base_name == 'portraits':
    return portraits.ensure_prepared(config, data_dir)
  if base_name in _BY_HAND:
    return _prepare_by_hand(name, data_dir, manual_dir)
  if manual_dir and base_name in stock.READERS:
    _announce(name, data_dir)
    return stock.prepare(name, data_dir, pathlib.Path(manual_dir))
  return _prepare_stock(name, data_dir, manual_dir)


def summary(name: str, folder: pathlib.Path) -> str:
  """Reads a prepared dataset back and describes it in one line.

  Args:
    name: Name of the dataset.
    folder: Its version folder.

  Returns:
    The name, the counts, the shape of the first image, the number of classes and the
    folder.

  Raises:
    InputError: It cannot be read, or examples are missing.
  """
  source = prepared.open_source(name, folder)
  for subset, count in source.counts.items():
    found = sum(1 for _ in source.read(subset))
    if found != count:
      raise types.InputError(
        f'{folder}: {found} {subset} examples where {count} should be; remove the '
        'folder and prepare it again'
      )
  counts = ', '.join(f'{subset} {count}' for subset, count in source.counts.items())
  first = images.decode(
    itertools.islice(source.read('train'), 1), 1, channels=source.channels, size=None
  )
  shape = 'x'.join(map(str, first.image.shape[1:]))
  return (
    f'{name}: {counts}, {shape} (the first), '
    f'{len(source.class_names)} classes, in {folder}'
  )


def _prepare_by_hand(
  name: str, data_dir: pathlib.Path, manual_dir: str | None
) -> pathlib.Path:
  """Prepares a dataset of our own builders from files that were fetched by hand."""
  base_name, _, config = name.partition('/')
  builder = _BY_HAND[base_name]
  if not manual_dir:
    raise types.InputError(
      f'{base_name} is prepared from files fetched by hand; set --manual_dir to '
      f'{builder.MANUAL_DOWNLOAD_INSTRUCTIONS}'
    )
  _announce(name, data_dir)
  return writing.write(
    name,
    lambda folder: builder(
      data_dir=folder, config=config or None, file_format='array_record'
    ),
    data_dir,
    pathlib.Path(manual_dir),
  )


def _announce(name: str, data_dir: pathlib.Path) -> None:
  print(f'preparing {name} in {data_dir}, which may take minutes', flush=True)


def _prepare_stock(
  name: str, data_dir: pathlib.Path, manual_dir: str | None
) -> pathlib.Path:
  """Prepares one of TFDS's own datasets, which needs TensorFlow."""
  if name.split('/')[0] not in tfds.list_builders(with_community_datasets=False):
    raise names.missing(name, data_dir)
  if importlib.util.find_spec('tensorflow') is None:
    raise types.InputError(
      f'downloading {name!r} needs TensorFlow (reading it does not); run: pip install'
      " 'gpz_jax[prepare]', or in a checkout: pip install -e '.[prepare]'"
      f'{_by_hand_hint(name)}'
    )
  if not sys.stderr.isatty():
    tfds.disable_progress_bar()
  _announce(name, data_dir)
  config = tfds.download.DownloadConfig(manual_dir=manual_dir, try_download_gcs=False)
  try:
    builder = tfds.builder(name, data_dir=str(data_dir), file_format='array_record')
    builder.download_and_prepare(download_config=config)
  except Exception as error:  # whatever TFDS, its downloads and its builders raise
    raise types.InputError(
      f'TFDS could not prepare {name!r} in {data_dir}: '
      f'{base.reason(error)}{_by_hand_hint(name)}'
    ) from error
  return pathlib.Path(builder.data_path)


def _by_hand_hint(name: str) -> str:
  base_name = name.split('/')[0]
  if base_name not in stock.READERS:
    return ''
  files = published.listed(published.stock_files(base_name))
  return f'; or fetch {files} by hand and set --manual_dir to their folder'


def main(argv: list[str]) -> None:
  """Prepares --dataset and prints one line that describes it."""
  del argv
  values = flags.FLAGS
  if not values.dataset:
    raise types.InputError('--dataset is missing; name one, such as --dataset=shapes')
  data_dir = sources.default_dir()
  if values.data_dir:
    data_dir = sources.expand('--data_dir', values.data_dir)
  folder = prepare(values.dataset, data_dir, values.manual_dir)
  print(summary(names.canonical_name(values.dataset), folder))


def start() -> None:
  """What gpz-prepare-data runs."""
  command.run('prepare_data', main, define_flags)


if __name__ == '__main__':
  start()
