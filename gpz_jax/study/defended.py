"""What defences ask of a study's targets: layers, batches, and what can be refused."""

import functools
from collections.abc import Iterator

import flax.linen as nn
import numpy as np

from gpz_jax import data, defences
from gpz_jax.data import order
from gpz_jax.defences import cuts, trials
from gpz_jax.study.config import StudyConfig
from gpz_jax.training.loop import MakeOrder
from gpz_jax.types import InputError, Task


def defend(model: nn.Module, config: StudyConfig, task: Task) -> nn.Module:
  """The model that targets with the defences of a config have.

  Raises:
    InputError: A defence reads, freezes or changes what is not in the model, needs a
      structure that others have not, or is asked of an imported target; or there are
      fewer classes than a batch is to have.
  """
  shape = task.image_shape
  wrapped = defences.wrap(model, shape, config.defence)
  if wrapped is not model and config.target_weights:
    raise InputError(
      f'--defence={config.defence[0]} adds layers to the model, which the weights of'
      f' --target_weights={config.target_weights} do not have; leave one out'
    )
  defences.prepare(wrapped, shape, config.defence)
  for text in config.defence:
    cuts.list_changed(text, wrapped, shape, ())
    trials.check(text, wrapped, shape, task.num_classes)
  if config.batches is not None:
    classes, _ = order.parse_batches(config.batches)
    found = len(np.unique(task.train.label))
    if found < classes:
      raise InputError(
        f'--batches={config.batches} asks for {classes} classes in a batch, and the'
        f' targets are trained on {found}; give {found} at most'
      )
  return wrapped


def choose_order(config: StudyConfig, task: Task) -> MakeOrder:
  """How the examples of an epoch are ordered: balanced where the config asks for it."""
  if config.batches is None:
    return data.epoch_order
  _, per_class = order.parse_batches(config.batches)
  labels = np.asarray(task.train.label)
  return functools.partial(data.balanced_order, labels, per_class)


def list_notes(model: nn.Module, config: StudyConfig, task: Task) -> Iterator[str]:
  """What is to be said of targets of which not all parameters are trained."""
  for text in config.defence:
    trained, every = defences.count_trained(model, task.image_shape, text)
    if trained < every:
      yield f"defence '{text}' trains {trained:,} of {every:,} parameters"
