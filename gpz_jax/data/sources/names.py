"""From the name of a dataset to its source, or to an error that says what to do."""

import dataclasses
import difflib
import os
import pathlib
import re
import shlex

import tensorflow_datasets as tfds

from gpz_jax import types
from gpz_jax.data import builders
from gpz_jax.data.builders import facescrub, kuzushiji49, portraits, shapes
from gpz_jax.data.sources import base, folder, prepared, rendered

FOLDER_PREFIX = 'folder:'
_KNOWN = (
  'shapes, cifar10, mnist, kmnist, kuzushiji49, emnist/letters, facescrub, '
  'facescrub/224, celeb_a, celeb_a_1000, stanford_dogs, portraits, a folder as ./PATH,'
  ' /PATH or folder:PATH, and any TFDS name with image and label'
)
_FORM = r'\w+(/\w[\w.+-]*)?'  # of a TFDS name


def default_dir() -> pathlib.Path:
  """$TFDS_DATA_DIR, or ~/tensorflow_datasets: where TFDS itself looks."""
  root = os.environ.get('TFDS_DATA_DIR') or '~/tensorflow_datasets'
  return pathlib.Path(root).expanduser()


def find(
  name: str,
  data_dir: pathlib.Path,
  *,
  test_share: float | None = None,
  is_aux: bool = False,
) -> base.Source:
  """The source of a dataset; `shapes` and `portraits` need no preparation.

  Args:
    name: `shapes`, `shapes/<classes>_<variance>`, `portraits`, `portraits/<config>` as
      `builders.portraits.options` reads it, a prepared TFDS dataset with `image`
      and `label` (`cifar10`, `kuzushiji49`, `kuzushiji49/official`), or `folder:PATH`,
      see `folder`. The path of a folder that is there will do where no dataset is
      called like it. `emnist/...` is read upright, and `emnist/letters` has 26 classes.
      `celeb_a` is read as the 108x108 pixels about the face, and its classes are the
      identity numbers. `facescrub/224`, `celeb_a_1000` and `stanford_dogs` have no test
      subset of their own: a tenth is test.
    data_dir: The TFDS folder.
    test_share: Share of the train subset that is test, where there is no test subset.
    is_aux: Whether test images are not needed.

  Raises:
    InputError: the name is unknown, its data is missing or unreadable, or a share is
      given beside a test subset.
  """
  if name.startswith(FOLDER_PREFIX) or _is_folder(name, data_dir):
    path = base.expand('dataset', name.removeprefix(FOLDER_PREFIX))
    return folder.open_source(path, test_share=test_share, is_aux=is_aux)
  source = _find_named(name, data_dir)
  if test_share is None:
    return source
  if 'test' in source.counts:
    raise types.InputError(
      f'--test_share={test_share:g} is not allowed, because dataset {source.name} has'
      ' a test subset of its own; leave it out'
    )
  return dataclasses.replace(source, test_share=test_share)


def _find_named(name: str, data_dir: pathlib.Path) -> base.Source:
  name = canonical_name(name)
  base_name, _, config = name.partition('/')
  try:
    version = prepared.version_folder(data_dir, name)
  except types.InputError:
    if base_name not in builders.DRAWN:
      raise
    version = None  # it needs no folder
  if version is None and base_name in builders.DRAWN:
    return rendered.open_source(base_name, config)
  if version is None:
    raise missing(name, data_dir)
  return prepared.open_source(name, version)


def canonical_name(name: str) -> str:
  """A TFDS name checked for form, with the default config of ours filled in.

  Raises:
    InputError: it is not a TFDS name, or a dataset of ours has no such config.
  """
  if not re.fullmatch(_FORM, name) or len(name) > 200:
    raise types.InputError(
      f'{name[:200]!r} is not a dataset name, and no folder that is there; known:'
      f' {_KNOWN}'
    )
  base_name, _, config = name.partition('/')
  if base_name == 'facescrub' and config and config not in facescrub.CONFIGS:
    raise types.InputError(
      f"dataset 'facescrub' has no config {config!r}; known:"
      f' {", ".join(facescrub.CONFIGS)}, and none for images of 64x64'
    )
  if base_name == 'kuzushiji49':
    config = config or kuzushiji49.DEFAULT_CONFIG
    if config not in kuzushiji49.CONFIGS:
      raise types.InputError(
        f'dataset {base_name!r} has no config {config!r}; known: '
        f'{", ".join(kuzushiji49.CONFIGS)}'
      )
    return f'{base_name}/{config}'
  if base_name == 'portraits':
    config = portraits.spell(portraits.parse(config or portraits.DEFAULT_CONFIG))
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


def _is_folder(name: str, data_dir: pathlib.Path) -> bool:
  """Whether a name is the path of a folder, and not what a dataset is called."""
  try:
    if not name or not os.path.isdir(base.expand('dataset', name)):
      return False
  except types.InputError:  # no system has such a path
    return False
  base_name = name.split('/')[0]
  is_prepared = bool(base_name) and os.path.isdir(data_dir / base_name)
  return not re.fullmatch(_FORM, name) or not (is_prepared or base_name in _known())


def _known() -> list[str]:
  return [*builders.NAMES, *tfds.list_builders(with_community_datasets=False)]


def missing(name: str, data_dir: pathlib.Path) -> types.InputError:
  """Why there is no data for a name, and the way out. Does not touch the network."""
  base_name = name.split('/')[0]
  known = _known()
  if '/' not in name and (there := prepared.configs(data_dir, name)):
    names = ', '.join(f'{name}/{config}' for config in there)
    return types.InputError(f'dataset {name!r} needs a config; in {data_dir}: {names}')
  if base_name in known:
    by_hand = ' --manual_dir=DIR' if base_name in builders.BY_HAND else ''
    return types.InputError(
      f'no prepared data for {name!r} in {data_dir}; run: python -m '
      f'gpz_jax prepare_data --dataset={name} '
      f'--data_dir={shlex.quote(str(data_dir))}{by_hand}'
      + f'; or give --dataset=./{name} for the folder of that name'
      * os.path.isdir(name)
    )
  hint = types.did_you_mean(base_name, known) or ';'
  return types.InputError(f'unknown dataset {name!r}{hint} Known: {_KNOWN}')
