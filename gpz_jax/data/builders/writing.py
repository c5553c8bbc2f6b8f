"""Runs a builder so that its data is either complete or absent."""

import contextlib
import io
import os
import pathlib
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence

import tensorflow_datasets as tfds

from gpz_jax import types


class LocalInfo(tfds.core.DatasetInfo):
  """Facts that come from here alone."""

  def initialize_from_bucket(self) -> None:
    """Does nothing: TFDS's bucket does not know these datasets; asking can hang."""


def labelled_images(
  builder: tfds.core.DatasetBuilder,
  description: str | None,
  image_shape: tuple[int, int, int],
  class_names: Sequence[str] | None,
  *,
  homepage: str | None = None,
  license: str | None = None,
) -> LocalInfo:
  """The facts of a dataset of images with one label each.

  Args:
    builder: The builder of the dataset.
    description: What the dataset holds, in a sentence or two.
    image_shape: (H, W, C).
    class_names: Names of the classes; None where the files name them later.
    homepage: Address of the page that publishes the dataset.
    license: Licence that the dataset is published under.
  """
  return LocalInfo(
    builder=builder,
    description=description,
    features=tfds.features.FeaturesDict(
      {
        'image': tfds.features.Image(shape=image_shape),
        'label': tfds.features.ClassLabel(names=class_names),
      }
    ),
    supervised_keys=('image', 'label'),
    homepage=homepage,
    license=license,
  )


def write(
  name: str,
  make_builder: Callable[[str], tfds.core.DatasetBuilder],
  data_dir: pathlib.Path,
  manual_dir: pathlib.Path | None = None,
) -> pathlib.Path:
  """Prepares a dataset without the network: its version folder.

  It is made in a private folder and moved into place in one step: a reader sees all
  of it or nothing, and of two processes that make it, one wins.

  Args:
    name: `name` or `name/config`, for messages.
    make_builder: Gives the builder that writes into a TFDS folder.
    data_dir: The TFDS folder that the dataset ends in.
    manual_dir: Folder of published files, for a builder that reads some.

  Raises:
    InputError: the folder cannot be written to, or whatever the builder raises.
  """
  try:
    data_dir.mkdir(parents=True, exist_ok=True)
    private = pathlib.Path(tempfile.mkdtemp(dir=data_dir, prefix='.preparing-'))
    try:
      made = _run(make_builder(str(private)), manual_dir)
      return _move(made, data_dir / made.relative_to(private))
    finally:
      shutil.rmtree(private, ignore_errors=True)
  except OSError as error:
    raise types.InputError(
      f'cannot make {name} in {data_dir}: {error.strerror or error}; choose another '
      'data_dir'
    ) from error


def _run(
  builder: tfds.core.DatasetBuilder, manual_dir: pathlib.Path | None
) -> pathlib.Path:
  if manual_dir and not any(manual_dir.iterdir()):  # TFDS would refuse at length
    raise types.InputError(
      f'{manual_dir} is empty; wanted: {builder.MANUAL_DOWNLOAD_INSTRUCTIONS}'
    )
  if not sys.stderr.isatty():
    tfds.disable_progress_bar()
  offline = tfds.download.DownloadConfig(
    manual_dir=str(manual_dir) if manual_dir else None, try_download_gcs=False
  )
  with contextlib.redirect_stdout(io.StringIO()):  # TFDS announces a download
    builder.download_and_prepare(download_config=offline)
  return pathlib.Path(builder.data_path)


def _move(made: pathlib.Path, place: pathlib.Path) -> pathlib.Path:
  place.parent.mkdir(parents=True, exist_ok=True)
  try:
    os.rename(made, place)
  except OSError:
    if not place.is_dir():  # if it is there, another process was first
      raise
  return place
