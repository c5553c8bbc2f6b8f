"""A named dataset as a `Task`: train, val, test and aux, decoded and disjoint.

The official test subset is `test`. The official train subset is permuted with a seed.
The last `aux_share` of it is `aux`, and the rest is the owner's, of which `val_share`
is `val`. For CIFAR-10 that gives 38,000 train, 2,000 val, 10,000 test and 10,000 aux
examples. These kinds of datasets are divided otherwise (docs/paper.md#data):

  no official test subset   train and val / test / aux take 66.6 / 16.7 / 16.7 %
  kuzushiji49               the same three parts take 70 / 15 / 15 % of all 270,912
  facescrub                 train and val / test take 80 / 20 %; aux is another dataset
  facescrub/224             they take 90 / 10 %; so do celeb_a_1000 and stanford_dogs
"""

import dataclasses
import logging
import os
import pathlib
from typing import Any, NamedTuple

from gpz_jax import types
from gpz_jax.data import (
  cache,
  contents,
  exclusions,
  images,
  overlaps,
  sizes,
  sources,
  subsets,
)
from gpz_jax.data.builders import portraits

# Their identities overlap.
_SAME_PEOPLE = ('facescrub', 'celeb_a', 'celeb_a_1000')


class _Form(NamedTuple):
  """What images are turned into; None keeps what they have."""

  size: tuple[int, int] | None
  channels: int | None


def load(
  name: str,
  *,
  data_dir: str | os.PathLike | None = None,
  image_size: sizes.ImageSize | None = None,
  channels: int | None = None,
  test_share: float | None = None,
  aux_dataset: str | None = None,
  aux_exclude: str | os.PathLike | None = None,
  train_limit: int | None = None,
  val_limit: int | None = None,
  test_limit: int | None = None,
  aux_limit: int | None = None,
  aux_share: float | None = None,
  val_share: float = 0.05,
  validate_on_rest: bool = False,
  data_seed: int = 0,
  cache_dir: str | os.PathLike | None = None,
) -> types.Task:
  """Loads a dataset and divides it between the target's owner and the attacker.

  Args:
    name: A name as `sources.find` takes it, such as `shapes` or `./photos`.
    data_dir: The TFDS folder; $TFDS_DATA_DIR or ~/tensorflow_datasets by default.
    image_size: Side S of the (S, S) images, or height and width as '48x32' or (48, 32),
      by antialiased bilinear; None keeps sizes.
    channels: 1 reads images as grey, by luma, and 3 as colour. None keeps the dataset's
      own; images in a folder are grey where all of them are.
    test_share: Share of the train examples that is test instead, in (0, 1), where the
      dataset has no test subset. A folder of images is divided class by class, see
      `subsets.hold_out`. None takes the dataset's own share, and folders have none.
    aux_dataset: Dataset whose whole train subset is `aux` instead, see `_foreign_aux`.
      The owner's examples stay the same, so that the targets do too.
    aux_exclude: Text file with a class of the aux data on each line. Their examples are
      left out of `aux`. FaceScrub needs the CelebA identities that it shares.
    train_limit: Number of examples kept, from the start of the permuted subset; a
      smaller limit gives a prefix. The same holds for the other three limits.
    val_limit: See train_limit.
    test_limit: See train_limit.
    aux_limit: See train_limit.
    aux_share: The attacker's share of the examples that are not test, in [0, 1); None
      takes the dataset's own. 0 needs an aux_dataset.
    val_share: Share of the owner's train examples that is held out, in [0, 1).
    validate_on_rest: Whether the attacker's share joins `val`, behind the owner's,
      where an aux_dataset takes its place. Otherwise nobody sees it.
    data_seed: Seed of the permutations, >= 0.
    cache_dir: Folder for decoded images; `cache.default_dir()` by default.

  Raises:
    InputError: The name is unknown, the data is not prepared, an image is broken, or
      an option is out of range; or most test images are in another subset.
  """
  limits = {'train': train_limit, 'val': val_limit}
  limits |= {'test': test_limit, 'aux': aux_limit}
  form = _make_form(image_size, channels)
  _check_options(test_share, data_seed, limits)
  folder = sources.expand('data_dir', data_dir) if data_dir else sources.default_dir()
  store = sources.expand('cache_dir', cache_dir) if cache_dir else cache.default_dir()
  source = sources.find(name, folder, test_share=test_share)
  share = _aux_share(source, aux_share, has_aux_dataset=bool(aux_dataset))
  parts = _divide(source, form, store, share, val_share, data_seed)
  aux_source = source
  if aux_dataset:
    aux_source = sources.find(aux_dataset, folder, is_aux=True)
    _check_aux(source, aux_source, aux_exclude)
    if validate_on_rest:
      parts['val'] = parts['val'].append(parts['aux'])
    parts['aux'] = _foreign_aux(aux_source, parts['test'], store, data_seed)
  if aux_exclude:
    names = aux_source.class_names
    parts['aux'] = exclusions.without(parts['aux'], names, aux_exclude)
  official = source.counts.keys() & {'val', 'test'}
  if test_share is not None:  # a folder is divided where it is found
    official -= {'test'}
  if aux_dataset and validate_on_rest:
    official -= {'val'}
  task = _make_task(source, aux_source, parts, limits)
  return dataclasses.replace(task, official=tuple(sorted(official)))


def _make_task(
  source: sources.Source,
  aux_source: sources.Source,
  parts: dict[str, types.Dataset],
  limits: dict[str, int | None],
) -> types.Task:
  """The subsets, cut to their limits, under the names of their datasets."""
  kept: dict[str, Any] = {
    part: data.take(slice(limits[part])) for part, data in parts.items()
  }
  task = types.Task(
    name=source.name,
    aux_name=aux_source.name,
    num_classes=len(source.class_names),
    class_names=source.class_names,
    aux_class_names=() if aux_source is source else aux_source.class_names,
    **kept,
  )
  notes = (*source.notes, *(aux_source.notes if aux_source is not source else ()))
  notes = (*notes, *contents.describe(task, source), *overlaps.describe(task))
  notes = map(types.one_line, notes)
  return dataclasses.replace(task, notes=tuple(notes))


def _aux_share(
  source: sources.Source, asked: float | None, *, has_aux_dataset: bool
) -> float:
  """The share of the train subset that the owner does not have.

  It does not depend on the aux dataset: with one, this share is simply not used, and
  the targets train on the same examples as without one.
  """
  share = source.aux_share if asked is None else asked
  if not share and not has_aux_dataset:
    raise types.InputError(
      f'aux_share of {source.name} is 0, which leaves the attacker nothing; set '
      'aux_dataset (for facescrub the paper takes celeb_a) or aux_share'
    )
  return share


def _check_aux(
  source: sources.Source,
  other: sources.Source,
  exclude: str | os.PathLike | None,
) -> None:
  """Refuses the dataset itself as aux; warns where the same people are in both."""
  if other.key == source.key:
    raise types.InputError(
      f'aux_dataset {other.name!r} is the dataset itself; leave it out to take aux '
      'from a share of its train subset, which targets that are trained here never see'
    )
  if exclude:
    return
  if all(each.name.split('/')[0] in _SAME_PEOPLE for each in (source, other)):
    logging.getLogger(__name__).warning(
      '%s and %s show some of the same people; list them in aux_exclude, or take'
      ' other images',
      *(source.name, other.name),
    )
  role, other_role = portraits.role(source.name), portraits.role(other.name)
  if role and role == other_role:
    logging.getLogger(__name__).warning(
      '%s and %s show the same people; take one private and one public config',
      *(source.name, other.name),
    )


def _divide(
  source: sources.Source,
  form: _Form,
  store: pathlib.Path,
  aux_share: float,
  val_share: float,
  seed: int,
) -> dict[str, types.Dataset]:
  """The four subsets, in permuted order."""
  train = _decoded(source, 'train', form, store)
  has_test = 'test' in source.counts
  index = subsets.divide(
    len(train),
    test_share=0.0 if has_test else source.test_share,
    aux_share=aux_share,
    val_share=0.0 if 'val' in source.counts else val_share,
    seed=seed,
  )
  parts = {part: train.take(rows) for part, rows in index.items()}
  for part in source.counts.keys() & {'val', 'test'}:
    own = _decoded(source, part, form, store)
    if own.image.shape[1:] != train.image.shape[1:]:
      raise types.InputError(
        f'{source.name}: {part} images are {own.image.shape[1:3]} but train images '
        f'{train.image.shape[1:3]}; set image_size'
      )
    parts[part] = own.take(subsets.shuffled(len(own), seed))
  return parts


def _foreign_aux(
  source: sources.Source, like: types.Dataset, store: pathlib.Path, seed: int
) -> types.Dataset:
  """Another dataset's whole train subset, permuted, with its own labels.

  Its images take the shape of `like`: grey is repeated to RGB, and RGB becomes grey by
  luma.
  """
  height, width, channels = like.image.shape[1:]
  data = _decoded(source, 'train', _Form((height, width), None), store)
  data = data.take(subsets.shuffled(len(data), seed))
  return types.Dataset(images.to_channels(data.image, channels), data.label)


def _decoded(
  source: sources.Source,
  subset: str,
  form: _Form,
  store: pathlib.Path,
) -> types.Dataset:
  """One official subset as arrays, from the cache where it is there."""
  size, channels = form.size, form.channels or source.channels
  name = 'native' if size is None else f'{size[0]}x{size[1]}-bilinear'
  if channels != source.channels:
    name += f'-{channels}ch'
  data = cache.load_or_build(
    store / f'{source.key}{source.division}-{subset}-{name}.npz',
    lambda: images.decode(
      source.read(subset), source.counts[subset], channels=channels, size=size
    ),
  )
  if data.label.min() < 0 or data.label.max() >= len(source.class_names):
    raise types.InputError(
      f'{source.name}: labels of its {subset} subset run from {data.label.min()} to '
      f'{data.label.max()}, outside its {len(source.class_names)} classes'
    )
  return data


def _make_form(size: sizes.ImageSize | None, channels: int | None) -> _Form:
  if channels not in (None, 1, 3):
    raise types.InputError(f'channels {channels!r} is not 1 (grey) or 3 (colour)')
  if size is None:
    return _Form(None, channels)
  height, width = sizes.parse(size)
  if min(height, width) < 1:
    raise types.InputError(f'image_size {sizes.spell(height, width)} is not at least 1')
  return _Form((height, width), channels)


def _check_options(
  test_share: float | None, seed: int, limits: dict[str, int | None]
) -> None:
  if test_share is not None and not 0 < test_share < 1:
    raise types.InputError(f'test_share {test_share} is not between 0 and 1')
  if seed < 0:
    raise types.InputError(f'data_seed {seed} is not at least 0')
  for part, limit in limits.items():
    if limit is not None and limit < 1:
      raise types.InputError(f'{part}_limit {limit} is not at least 1')
