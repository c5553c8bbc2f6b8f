"""What a study takes of others: the evaluator and the prior that they have trained."""

import contextlib
import dataclasses
import pathlib
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from gpz_jax import checkpoints, results
from gpz_jax.generators import files as generator_files
from gpz_jax.model_inversion.config import GIVEN, ModelInversionConfig
from gpz_jax.study.borrowing import read_source
from gpz_jax.study.serialization import first_difference
from gpz_jax.study.workdir import Workdir
from gpz_jax.types import InputError

_IMAGES = ('dataset', 'image_size', 'channels', 'data_seed', 'precision')


class _Shared(NamedTuple):
  """What can be taken.

  Attributes:
    word: What it is called.
    depends_on: The fields of a config that it depends on.
    is_there: Whether a workdir has it.
  """

  word: str
  depends_on: tuple[str, ...]
  is_there: Callable[[Workdir], bool]


_SHARED = {
  'evaluator_from': _Shared(
    'evaluator',
    (
      *_IMAGES,
      *('test_share', 'train_limit', 'val_limit', 'test_limit', 'bn_refresh'),
      *('evaluator', 'evaluator_options', 'evaluator_weights', 'evaluator_size'),
      *('evaluator_recipe', 'evaluator_epochs', 'evaluator_batch_size'),
      *('evaluator_learning_rate', 'evaluator_seed'),
    ),
    lambda workdir: checkpoints.has_step(workdir.evaluator),
  ),
  'prior_from': _Shared(
    'generator',
    (
      *_IMAGES,
      *('public_dataset', 'public_limit', 'generator', 'prior_steps', 'prior_width'),
    ),
    lambda workdir: workdir.generator.is_file(),
  ),
}


def check(config: ModelInversionConfig) -> None:
  """Refuses sources that do not have what the study would train itself.

  Raises:
    InputError: There is no such study, it trains another evaluator or generator, or it
      has not trained it yet.
  """
  ours = Workdir(config.workdir)
  for flag, shared in _SHARED.items():
    named = getattr(config, flag)
    if named is None or shared.is_there(ours):
      continue
    _check_source(config, flag, Workdir(named))


def _check_source(config: ModelInversionConfig, flag: str, source: Workdir) -> None:
  shared = _SHARED[flag]
  theirs = read_source(flag, source)
  if difference := first_difference(config, theirs, shared.depends_on):
    raise InputError(f'--{flag}={source} has another {shared.word}: {difference}')
  if not shared.is_there(source):
    raise InputError(
      f'--{flag}={source} has trained no {shared.word} yet; leave it out, or finish'
      ' that study'
    )


def find_lent_prior(config: ModelInversionConfig) -> pathlib.Path | None:
  """The file of the generator that a study will borrow; None where it borrows none."""
  if config.prior_from is None or Workdir(config.workdir).generator.is_file():
    return None
  return Workdir(config.prior_from).generator


def check_trained_on(file: pathlib.Path, public: str) -> None:
  """Refuses a generator that was trained on other public images than there are now.

  What an earlier version trained does not say, and is taken as it is.

  Args:
    file: Its file.
    public: The checksum of the public images, see `Plan.public_digest`.

  Raises:
    InputError: They are others.
  """
  if generator_files.read_trained_on(file) not in ('', public):
    raise InputError(
      f'the generator in {file} was trained on other public images than there are now:'
      ' restore the images, or train one in another workdir without --prior_from'
    )


def borrow(
  config: ModelInversionConfig, folders: Iterable[pathlib.Path]
) -> ModelInversionConfig:
  """The config with the first studies that have what it would train itself.

  A study that was begun keeps those it began with.

  Args:
    config: A study that is to be run.
    folders: Workdirs of others.
  """
  begun = results.read_object(Workdir(config.workdir).config)
  found = {}
  for flag in _SHARED:
    if getattr(config, flag) is not None or getattr(config, GIVEN[flag]) is not None:
      continue
    if begun:
      found[flag] = begun.get(flag)
      continue
    for folder in folders:
      with contextlib.suppress(InputError):
        _check_source(config, flag, Workdir(folder))
        found[flag] = str(folder)
        break
  return dataclasses.replace(config, **found)


def identify(config: ModelInversionConfig) -> dict[str, tuple[Any, ...]]:
  """What can be taken by name, with what it depends on; equal if others have it."""
  return {
    shared.word: tuple(getattr(config, name) for name in shared.depends_on)
    for shared in _SHARED.values()
  }
