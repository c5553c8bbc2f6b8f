"""A named dataset as a `Task`: train, val, test and aux, decoded and disjoint."""

import logging
import os
import pathlib

from gpz_jax import types
from gpz_jax.data import cache, exclusions, images, sources, subsets

_SAME_PEOPLE = {'facescrub', 'celeb_a'}  # whose identities overlap


def load(
  name: str,
  *,
  data_dir: str | os.PathLike | None = None,
  image_size: int | None = None,
  aux_dataset: str | None = None,
  aux_exclude: str | os.PathLike | None = None,
  train_limit: int | None = None,
  val_limit: int | None = None,
  test_limit: int | None = None,
  aux_limit: int | None = None,
  aux_share: float | None = None,
  val_share: float = 0.05,
  data_seed: int = 0,
  cache_dir: str | os.PathLike | None = None,
) -> types.Task:
  """Loads a dataset and divides it between the target's owner and the attacker.

  The official test subset is `test`. Of a seeded permutation of the official train
  subset the last `aux_share` is `aux` and the rest the owner's, of which `val_share`
  is `val`: for CIFAR-10 38,000 / 2,000 / 10,000 / 10,000 train / val / test / aux.
  Without an official test subset train and val / test / aux take 66.6 / 16.7 / 16.7 %;
  for `kuzushiji49` 70 / 15 / 15 % of all 270,912, and `facescrub` is divided 80 / 20 %
  between train and val / test and needs an `aux_dataset` (docs/paper.md#data).
  Images are decoded once and kept under `cache_dir`.

  Args:
    name: `shapes`, `shapes/<classes>_<variance>`, a prepared TFDS dataset with
      `image` and `label` (`cifar10`, `kuzushiji49`, `kuzushiji49/official`), or
      `folder:PATH` with PATH/{train,test}/<label>/*.{png,jpg,jpeg}. `emnist/...` is
      read upright, `emnist/letters` with 26 classes; `celeb_a` as the 108x108 pixels
      about the face, its classes the identity numbers.
    data_dir: the TFDS folder; $TFDS_DATA_DIR or ~/tensorflow_datasets by default.
    image_size: S, to resize to (S, S) by antialiased bilinear; None keeps the size.
    aux_dataset: takes `aux` from this dataset's whole train subset instead, in the
      image shape of `name` (grey repeated to RGB, RGB to grey by luma), with its own
      labels. The owner's examples stay the same, so that targets do too and attacks
      with different aux data compare like with like.
    aux_exclude: a text file with the name of a class of the aux data on each line:
      their examples are left out of `aux`. FaceScrub against `celeb_a` takes the
      numbers of the CelebA identities that are in FaceScrub.
    train_limit: keeps the first so many of the permuted train; so do `val_limit`,
      `test_limit` and `aux_limit`. A smaller limit gives a prefix of a larger one.
    val_limit: see train_limit.
    test_limit: see train_limit.
    aux_limit: see train_limit.
    aux_share: share of the examples that are not test that is the attacker's, in
      [0, 1); None takes the dataset's own: 0.2, or as above. 0 needs an aux_dataset.
    val_share: share of the owner's train examples held out, in [0, 1).
    data_seed: of the permutations, >= 0.
    cache_dir: for decoded images; $XDG_CACHE_HOME/gpz_jax/data or
      ~/.cache/gpz_jax/data by default.

  Raises:
    InputError: the name is unknown, the data is not prepared, an image is broken, or
      an option is out of range.
  """
  limits = {
    'train': train_limit,
    'val': val_limit,
    'test': test_limit,
    'aux': aux_limit,
  }
  _check_options(image_size, data_seed, limits)
  folder = sources.expand('data_dir', data_dir) if data_dir else sources.default_dir()
  store = sources.expand('cache_dir', cache_dir) if cache_dir else cache.default_dir()
  source = sources.find(name, folder)
  size = None if image_size is None else (image_size, image_size)
  if aux_share is None:
    aux_share = source.aux_share
  if not aux_share and not aux_dataset:
    raise types.InputError(
      f'aux_share of {source.name} is 0, which leaves the attacker nothing; set '
      'aux_dataset (for facescrub the paper takes celeb_a) or aux_share'
    )
  parts = _divide(source, size, store, aux_share, val_share, data_seed)
  aux_source = sources.find(aux_dataset, folder) if aux_dataset else source
  if aux_dataset:
    _check_aux(source, aux_source, aux_exclude)
    parts['aux'] = _foreign_aux(aux_source, parts['test'], store, data_seed)
  if aux_exclude:
    names = aux_source.class_names
    parts['aux'] = exclusions.without(parts['aux'], names, aux_exclude)
  return types.Task(
    name=source.name,
    aux_name=aux_source.name,
    num_classes=len(source.class_names),
    class_names=source.class_names,
    **{part: data.take(slice(limits[part])) for part, data in parts.items()},
  )


def _check_aux(
  source: sources.Source,
  other: sources.Source,
  exclude: str | os.PathLike | None,
) -> None:
  """Refuses the dataset itself as aux; warns where the same people are in both."""
  if other.key == source.key:
    raise types.InputError(
      f'aux_dataset {other.name!r} is the dataset itself; leave it out to take aux '
      'from a share of its train subset that the target never sees'
    )
  if {source.name, other.name} == _SAME_PEOPLE and not exclude:
    logging.getLogger(__name__).warning(
      'facescrub and celeb_a show some of the same people; list them in aux_exclude'
    )


def _divide(
  source: sources.Source,
  size: tuple[int, int] | None,
  store: pathlib.Path,
  aux_share: float,
  val_share: float,
  seed: int,
) -> dict[str, types.Dataset]:
  """The four subsets, in permuted order."""
  train = _decoded(source, 'train', size, store)
  has_test = 'test' in source.counts
  index = subsets.divide(
    len(train),
    test_share=0.0 if has_test else source.test_share,
    aux_share=aux_share,
    val_share=val_share,
    seed=seed,
  )
  parts = {part: train.take(rows) for part, rows in index.items()}
  if has_test:
    test = _decoded(source, 'test', size, store)
    if test.image.shape[1:] != train.image.shape[1:]:
      raise types.InputError(
        f'{source.name}: test images are {test.image.shape[1:3]} but train images '
        f'{train.image.shape[1:3]}; set image_size'
      )
    parts['test'] = test.take(subsets.shuffled(len(test), seed))
  return parts


def _foreign_aux(
  source: sources.Source, like: types.Dataset, store: pathlib.Path, seed: int
) -> types.Dataset:
  """Another dataset's train subset in the image shape of `like`, permuted."""
  height, width, channels = like.image.shape[1:]
  data = _decoded(source, 'train', (height, width), store)
  data = data.take(subsets.shuffled(len(data), seed))
  return types.Dataset(images.to_channels(data.image, channels), data.label)


def _decoded(
  source: sources.Source,
  subset: str,
  size: tuple[int, int] | None,
  store: pathlib.Path,
) -> types.Dataset:
  """One official subset as arrays, from the cache where it is there."""
  size_name = 'native' if size is None else f'{size[0]}x{size[1]}-bilinear'
  data = cache.load_or_build(
    store / f'{source.key}-{subset}-{size_name}.npz',
    lambda: images.decode(
      source.read(subset),
      source.counts[subset],
      channels=source.channels,
      size=size,
    ),
  )
  if data.label.min() < 0 or data.label.max() >= len(source.class_names):
    raise types.InputError(
      f'{source.name}: labels of its {subset} subset run from {data.label.min()} to '
      f'{data.label.max()}, outside its {len(source.class_names)} classes'
    )
  return data


def _check_options(
  image_size: int | None, seed: int, limits: dict[str, int | None]
) -> None:
  if image_size is not None and image_size < 1:
    raise types.InputError(f'image_size {image_size} is not at least 1')
  if seed < 0:
    raise types.InputError(f'data_seed {seed} is not at least 0')
  for part, limit in limits.items():
    if limit is not None and limit < 1:
      raise types.InputError(f'{part}_limit {limit} is not at least 1')
