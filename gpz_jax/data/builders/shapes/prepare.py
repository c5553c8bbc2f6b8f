"""Makes a config of `shapes` where it is absent; two processes may do so at once."""

import contextlib
import io
import logging
import os
import pathlib
import shutil
import tempfile

import tensorflow_datasets as tfds

from gpz_jax import types
from gpz_jax.data.builders.shapes import shapes_dataset_builder


def ensure_prepared(config: str, data_dir: pathlib.Path) -> pathlib.Path:
  """The version folder of a config, made first where it is not there.

  It is made in a private folder and moved into place in one step: a reader sees all
  of it or nothing, and of two processes that make it, one wins.

  Args:
    config: one of the builder's.
    data_dir: the TFDS folder.

  Raises:
    InputError: the folder cannot be written to.
  """
  version = str(shapes_dataset_builder.Builder.VERSION)
  place = data_dir / 'shapes' / config / version
  if place.is_dir():
    return place
  try:
    place.parent.mkdir(parents=True, exist_ok=True)
    private = tempfile.mkdtemp(dir=data_dir, prefix='.shapes-')
  except OSError as error:
    raise types.InputError(
      f'cannot make shapes/{config} in {data_dir}: {error.strerror}; choose another '
      'folder with cache_dir or $XDG_CACHE_HOME'
    ) from error
  try:
    _move(_prepare(config, private), place)
  finally:
    shutil.rmtree(private, ignore_errors=True)
  return place


def _prepare(config: str, data_dir: str) -> pathlib.Path:
  builder = shapes_dataset_builder.Builder(
    data_dir=data_dir, config=config, file_format='array_record'
  )
  logging.getLogger(__name__).info('making shapes/%s, once', config)
  tfds.disable_progress_bar()
  offline = tfds.download.DownloadConfig(try_download_gcs=False)
  with contextlib.redirect_stdout(io.StringIO()):  # TFDS announces a download
    builder.download_and_prepare(download_config=offline)
  return pathlib.Path(builder.data_path)


def _move(made: pathlib.Path, place: pathlib.Path) -> None:
  try:
    os.rename(made, place)
  except OSError:
    if not place.is_dir():  # if it is there, another process was first
      raise
