"""Prepares a dataset for `gpz_jax.data.load`, then reads it back.

  python -m experiments.prepare_data --dataset=cifar10 [--data_dir=DIR]
  python -m experiments.prepare_data --dataset=emnist/letters --manual_dir=DIR

TFDS's own datasets need TensorFlow for this step alone: pip install gpz_jax[prepare].
"""

import importlib.util
import itertools
import os
import pathlib
import sys
from collections.abc import Sequence

import tensorflow_datasets as tfds
from absl import app, flags, logging

from gpz_jax import types
from gpz_jax.data import images, sources
from gpz_jax.data.builders import shapes
from gpz_jax.data.sources import base, names, prepared

_DATASET = flags.DEFINE_string(
  'dataset', None, 'shapes, cifar10, mnist, or any TFDS name or name/config.'
)
_DATA_DIR = flags.DEFINE_string(
  'data_dir', None, 'The TFDS folder; $TFDS_DATA_DIR or ~/tensorflow_datasets if unset.'
)
_MANUAL_DIR = flags.DEFINE_string(
  'manual_dir', None, 'Folder with files fetched by hand, under their published names.'
)


def prepare(name: str, data_dir: pathlib.Path, manual_dir: str | None) -> pathlib.Path:
  """Prepares `name` under `data_dir` unless it is there: its version folder.

  Raises:
    InputError: the name is unknown, a file is missing, or TensorFlow is.
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
  return _prepare_stock(name, data_dir, manual_dir)


def summary(name: str, folder: pathlib.Path) -> str:
  """Reads a prepared dataset back: where it lies, counts, shape of an image.

  Raises:
    InputError: it cannot be read, or examples are missing.
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


def _prepare_stock(
  name: str, data_dir: pathlib.Path, manual_dir: str | None
) -> pathlib.Path:
  """Prepares one of TFDS's own datasets, which takes TensorFlow."""
  if name.split('/')[0] not in tfds.list_builders(with_community_datasets=False):
    raise names.missing(name, data_dir)
  if importlib.util.find_spec('tensorflow') is None:
    raise types.InputError(
      f'preparing {name!r} needs TensorFlow (reading it does not); run: pip install '
      "'gpz_jax[prepare]'"
    )
  if not sys.stderr.isatty():
    tfds.disable_progress_bar()
  print(f'preparing {name} in {data_dir}, which may take minutes', flush=True)
  config = tfds.download.DownloadConfig(manual_dir=manual_dir, try_download_gcs=False)
  try:
    builder = tfds.builder(name, data_dir=str(data_dir), file_format='array_record')
    builder.download_and_prepare(download_config=config)
  except Exception as error:  # whatever TFDS, its downloads and its builders raise
    raise types.InputError(
      f'TFDS could not prepare {name!r} in {data_dir}: {base.reason(error)}; files '
      'fetched by hand can be handed over with --manual_dir'
    ) from error
  return pathlib.Path(builder.data_path)


def main(argv: Sequence[str]) -> None:
  """Prints one line that says what is there now; exits 2 on an error."""
  try:
    if len(argv) > 1 or not _DATASET.value:
      raise types.InputError(
        f'unexpected argument {argv[1]!r}' if len(argv) > 1 else '--dataset is missing'
      )
    logging.set_verbosity(logging.ERROR)  # TFDS logs every file and every retry
    default = sources.default_dir()
    data_dir = (
      pathlib.Path(_DATA_DIR.value).expanduser() if _DATA_DIR.value else default
    )
    folder = prepare(_DATASET.value, data_dir, _MANUAL_DIR.value)
    print(summary(names.canonical_name(_DATASET.value), folder))
  except types.InputError as error:
    sys.exit(_fail(error))


def _parse_flags(argv: Sequence[str]) -> list[str]:
  try:
    return flags.FLAGS(argv)
  except flags.Error as error:
    sys.exit(_fail(error))


def _fail(error: Exception) -> int:
  print(f'prepare_data: {error}', file=sys.stderr)
  return 2


if __name__ == '__main__':
  app.run(main, flags_parser=_parse_flags)
