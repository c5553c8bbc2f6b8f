"""From the name of a dataset to its source, or to an error that says what to do."""

import difflib
import os
import pathlib
import re
import shlex

import tensorflow_datasets as tfds

from gpz_jax import types
from gpz_jax.data import builders
from gpz_jax.data.builders import kuzushiji49, shapes
from gpz_jax.data.sources import base, folder, prepared, rendered

FOLDER_PREFIX = 'folder:'
_KNOWN = (
  'shapes, cifar10, mnist, kmnist, kuzushiji49, emnist/letters, facescrub, celeb_a, '
  'folder:PATH, and any TFDS name with image and label'
)


def default_dir() -> pathlib.Path:
  """$TFDS_DATA_DIR, or ~/tensorflow_datasets: where TFDS itself looks."""
  root = os.environ.get('TFDS_DATA_DIR') or '~/tensorflow_datasets'
  return pathlib.Path(root).expanduser()


def find(name: str, data_dir: pathlib.Path) -> base.Source:
  """The source of a dataset; `shapes` is rendered where it is not prepared.

  Args:
    name: `shapes`, `shapes/<classes>_<variance>`, a prepared TFDS dataset with `image`
      and `label` (`cifar10`, `kuzushiji49`, `kuzushiji49/official`), or `folder:PATH`
      with PATH/{train,test}/<label>/*.{png,jpg,jpeg}. `emnist/...` is read upright, and
      `emnist/letters` has 26 classes. `celeb_a` is read as the 108x108 pixels about the
      face, and its classes are the identity numbers.
    data_dir: The TFDS folder.

  Raises:
    InputError: the name is unknown, or its data is missing or unreadable.
  """
  if name.startswith(FOLDER_PREFIX):
    return folder.open_source(base.expand('dataset', name.removeprefix(FOLDER_PREFIX)))
  name = canonical_name(name)
  version = prepared.version_folder(data_dir, name)
  if version is None and name.split('/')[0] == 'shapes':
    return rendered.open_source(name.split('/')[1])
  if version is None:
    raise missing(name, data_dir)
  return prepared.open_source(name, version)


def canonical_name(name: str) -> str:
  """A TFDS name checked for form, with the default config of ours filled in.

  Raises:
    InputError: it is not a TFDS name, or a dataset of ours has no such config.
  """
  if not re.fullmatch(r'\w+(/\w[\w.+-]*)?', name) or len(name) > 200:
    raise types.InputError(f'{name[:200]!r} is not a dataset name; known: {_KNOWN}')
  base_name, _, config = name.partition('/')
  if base_name == 'facescrub' and config:
    raise types.InputError(f"dataset 'facescrub' has no configs, so none {config!r}")
  if base_name == 'kuzushiji49':
    config = config or kuzushiji49.DEFAULT_CONFIG
    if config not in kuzushiji49.CONFIGS:
      raise types.InputError(
        f'dataset {base_name!r} has no config {config!r}; known: '
        f'{", ".join(kuzushiji49.CONFIGS)}'
      )
    return f'{base_name}/{config}'
  if base_name != 'shapes':
    return name
  config = config or shapes.DEFAULT_CONFIG
  if config not in shapes.CONFIGS:
    close = difflib.get_close_matches(config, shapes.CONFIGS, n=1)
    hint = f'did you mean shapes/{close[0]}? ' if close else ''
    raise types.InputError(
      f"dataset 'shapes' has no config {config!r}; {hint}Known: <2 to 50>_<low, "
      'default or high>, as in shapes/10_default'
    )
  return f'{base_name}/{config}'


def missing(name: str, data_dir: pathlib.Path) -> types.InputError:
  """Why there is no data for a name, and the way out. Does not touch the network."""
  base_name = name.split('/')[0]
  known = [*builders.NAMES, *tfds.list_builders(with_community_datasets=False)]
  if '/' not in name and (there := prepared.configs(data_dir, name)):
    names = ', '.join(f'{name}/{config}' for config in there)
    return types.InputError(f'dataset {name!r} needs a config; in {data_dir}: {names}')
  if base_name in known:
    by_hand = ' --manual_dir=DIR' if base_name in builders.BY_HAND else ''
    return types.InputError(
      f'no prepared data for {name!r} in {data_dir}; run: python -m '
      f'gpz_jax prepare_data --dataset={name} '
      f'--data_dir={shlex.quote(str(data_dir))}{by_hand}'
    )
  hint = types.did_you_mean(base_name, known) or ';'
  return types.InputError(f'unknown dataset {name!r}{hint} Known: {_KNOWN}')
