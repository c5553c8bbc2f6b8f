"""Prepared TFDS folders (data_dir/name[/config]/version), read without TensorFlow."""

import itertools
import os
import pathlib
import re
from collections.abc import Iterator
from typing import TypeVar

import numpy as np
import tensorflow_datasets as tfds

from gpz_jax import types
from gpz_jax.data import images
from gpz_jax.data.sources import base, metadata, views

_T = TypeVar('_T')

_CHUNK = 1000  # records read at once


def version_folder(data_dir: pathlib.Path, name: str) -> pathlib.Path | None:
  """The newest prepared version of `name` or `name/config`; None if there is none.

  Raises:
    InputError: the folder cannot be read.
  """
  try:
    versions = [
      folder
      for folder in (data_dir / name).glob('*.*.*')
      if re.fullmatch(r'\d+\.\d+\.\d+', folder.name)
      and (folder / 'dataset_info.json').is_file()
    ]
  except OSError as error:
    raise types.InputError(
      f'cannot look for {name!r} in {data_dir}: {error.strerror}; set another data_dir,'
      ' or take --dataset=shapes, which needs none'
    ) from error
  return max(versions, key=_version_number, default=None)


def configs(data_dir: pathlib.Path, name: str) -> list[str]:
  """The configs of `name` that are prepared under `data_dir`."""
  if not os.path.isdir(data_dir / name):
    return []
  folders = sorted(path.name for path in (data_dir / name).iterdir())
  return [config for config in folders if version_folder(data_dir, f'{name}/{config}')]


def open_source(name: str, folder: pathlib.Path) -> base.Source:
  """The dataset `name`, prepared in a version folder.

  Raises:
    InputError: it cannot be read without TensorFlow, has no image or label, or has
      images of another type than uint8.
  """
  metadata.check(folder)
  try:
    builder = tfds.builder_from_directory(str(folder))
  except Exception as error:  # TFDS raises whatever its parsers raise
    raise types.InputError(
      f'{folder} is not a readable TFDS folder ({base.reason(error)}); prepare it again'
    ) from error
  info = builder.info
  if info.file_format != tfds.core.FileFormat.ARRAY_RECORD:
    raise types.InputError(
      f'{folder} is in {info.file_format} form, which only TensorFlow reads; prepare '
      'it again in another --data_dir with python -m gpz_jax prepare_data '
      f'--dataset={name}'
    )
  if 'train' not in info.splits:
    raise types.InputError(
      f'dataset {name!r} has no train subset; its subsets: {", ".join(info.splits)}'
    )
  image = _feature(name, info, 'image', tfds.features.Image)
  _check_bytes(name, image)
  view = views.of(name)
  class_names = view.class_names
  if class_names is None:
    class_names = _feature(name, info, 'label', tfds.features.ClassLabel).names
  parts = {'train': view.pooled or ('train',)}
  if 'test' in info.splits and 'test' not in view.pooled:
    parts['test'] = ('test',)
  shards = [shard for official in parts.values() for shard in _shards(info, official)]
  info_text = (folder / 'dataset_info.json').read_text()
  content = base.signature([folder.resolve(), info_text, *shards])
  return base.Source(
    name=name,
    key=f'{name.replace("/", "-")}-{folder.name}-{content}{view.tag}',
    class_names=tuple(class_names),
    channels=1 if image.shape[-1] == 1 else 3,  # pyright: ignore[reportIndexIssue] TFDS declares a shape as an opaque proxy
    counts={
      subset: sum(info.splits[part].num_examples for part in official)
      for subset, official in parts.items()
    },
    read=lambda subset: itertools.chain.from_iterable(
      _read(name, view, builder, part) for part in parts[subset]
    ),
    test_share=view.test_share,
    aux_share=view.aux_share,
    notes=_describe_pooled(name, view),
  )


def _shards(
  info: tfds.core.DatasetInfo, official: tuple[str, ...]
) -> Iterator[tuple[str, int, int]]:
  """What tells the files of some subsets from others of the same name and length.

  The facts that TFDS keeps of a dataset are counts, which corrected labels do not move.
  A file that is gone has no facts here, and is named where it is read.
  """
  for part in official:
    for path in map(pathlib.Path, info.splits[part].filepaths):
      if path.is_file():
        facts = path.stat()
        yield path.name, facts.st_size, facts.st_mtime_ns


def _describe_pooled(name: str, view: views.View) -> tuple[str, ...]:
  """A sentence on official subsets that are read as one."""
  official = ' and '.join(view.pooled)
  return (f'{name}: its official subsets {official} are read as one',) * bool(official)


def _feature(name: str, info: tfds.core.DatasetInfo, key: str, kind: type[_T]) -> _T:
  features = info.features
  is_dict = isinstance(features, tfds.features.FeaturesDict)
  known = dict(features.items()) if is_dict else {}
  feature = known.get(key)
  if not isinstance(feature, kind):
    raise types.InputError(
      f'dataset {name!r} has no {key} of type {kind.__name__}; its features: '
      f'{", ".join(known)}'
    )
  return feature


def _check_bytes(name: str, image: tfds.features.Image) -> None:
  """Refuses floats, each of which TFDS keeps as the four bytes of a pixel."""
  dtype = np.dtype(image.np_dtype)  # pyright: ignore[reportCallIssue, reportArgumentType] TFDS declares a dtype as an opaque proxy
  if dtype != np.uint8:
    raise types.InputError(
      f'dataset {name!r} has images of {dtype}; prepare it again with images of uint8'
    )


def _read(
  name: str, view: views.View, builder, subset: str
) -> Iterator[images.Encoded]:
  metadata.check_files(builder.info.splits[subset].filepaths)
  skip = {'image': tfds.decode.SkipDecoding()}  # hands the file over as it is
  try:
    records = builder.as_data_source(split=subset, decoders=skip)
    for start in range(0, len(records), _CHUNK):
      stop = min(start + _CHUNK, len(records))
      for i, record in enumerate(records.__getitems__(list(range(start, stop)))):
        where = f'{name} {subset} example {start + i}'
        yield images.Encoded(where, record['image'], view.label(record), view.picture)
  except (OSError, ValueError, RuntimeError, IndexError) as error:
    raise types.InputError(
      f'cannot read the {subset} subset of {name!r} in {builder.data_path} '
      f'({base.reason(error)}); prepare it again'
    ) from error


def _version_number(folder: pathlib.Path) -> tuple[int, ...]:
  return tuple(map(int, folder.name.split('.')))
