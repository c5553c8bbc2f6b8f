"""Makes a config of `shapes` as a TFDS folder where it is absent."""

import pathlib

from gpz_jax.data.builders import writing
from gpz_jax.data.builders.shapes import shapes_dataset_builder


def ensure_prepared(config: str, data_dir: pathlib.Path) -> pathlib.Path:
  """The version folder of a config, made first where it is not there.

  Args:
    config: one of the builder's.
    data_dir: the TFDS folder.

  Raises:
    InputError: the folder cannot be written to.
  """
  version = str(shapes_dataset_builder.Builder.VERSION)
  place = data_dir / 'shapes' / config / version
  return place if place.is_dir() else _prepare(config, data_dir)


def _prepare(config: str, data_dir: pathlib.Path) -> pathlib.Path:
  def make_builder(folder: str) -> shapes_dataset_builder.Builder:
    return shapes_dataset_builder.Builder(
      data_dir=folder, config=config, file_format='array_record'
    )

  return writing.write(f'shapes/{config}', make_builder, data_dir)
