"""Makes a config of `portraits` as a TFDS folder where it is absent."""

import pathlib

from gpz_jax.data.builders import writing
from gpz_jax.data.builders.portraits import portraits_dataset_builder


def ensure_prepared(config: str, data_dir: pathlib.Path) -> pathlib.Path:
  """The version folder of a config, made first where it is not there.

  Args:
    config: The name of a config, as `options.spell` writes it.
    data_dir: The TFDS folder.

  Raises:
    InputError: The name is no config, or the folder cannot be written to.
  """
  version = str(portraits_dataset_builder.Builder.VERSION)
  place = data_dir / 'portraits' / config / version
  if place.is_dir():
    return place
  made = portraits_dataset_builder.make_config(config)

  def make_builder(folder: str) -> portraits_dataset_builder.Builder:
    return portraits_dataset_builder.Builder(
      data_dir=folder, config=made, file_format='array_record'
    )

  return writing.write(f'portraits/{config}', make_builder, data_dir)
