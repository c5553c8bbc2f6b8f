"""What a study attacks, worked out before anything is trained."""

import dataclasses
import os
from typing import Any

import flax.linen as nn
import numpy as np

from gpz_jax import data, models, skip_text
from gpz_jax.data.sizes import ImageSize
from gpz_jax.interop.inference import Inferred
from gpz_jax.models import own_models, skip_lanes, skips
from gpz_jax.study import borrowing, defended, model_check, weights
from gpz_jax.study.config import StudyConfig
from gpz_jax.training.engine import split_host
from gpz_jax.types import InputError, Lane, Task


@dataclasses.dataclass(frozen=True)
class StudyPlan:
  """The targets of a study and the data.

  Attributes:
    config: What was asked for.
    task: The data.
    model: The architecture of the targets. Where their skip connections differ, it
      carries the factors.
    weights: Variables of an imported target; None where targets are trained.
    initial: Imported variables that all targets are trained on from; None where they
      start from random values.
    inferred: What imported weights told of the model's options.
    borrowed: Rows [L] of the targets in the study that `targets_from` names; None where
      none are borrowed.
    lanes: The L targets.
  """

  config: StudyConfig
  task: Task
  model: nn.Module
  weights: Any
  inferred: Inferred
  borrowed: np.ndarray | None
  lanes: tuple[Lane, ...]
  initial: Any = dataclasses.field(default=None, kw_only=True)

  @property
  def finetuned_from(self) -> str:
    """The name of the file that targets are trained on from; '' without one."""
    given = self.config.target_weights if self.config.finetune else None
    return os.path.basename(given or '')

  @property
  def model_options(self) -> str:
    """The options as given or inferred, and the normalization and stem of the model.

    Weights that fit by name and shape compute something else where these differ.
    """
    found = {
      name: str(value)
      for name in ('normalization', 'stem')
      if (value := getattr(own_models.unwrap(self.model), name, None)) is not None
    }
    given = dict(entry.split('=', 1) for entry in self.config.model_options)
    options = {**found, **self.inferred.options, **given}
    return ','.join(f'{name}={options[name]}' for name in sorted(options))

  def paper_splits(self) -> tuple[str, ...]:
    """The splits of the model that the paper attacks.

    Raises:
      InputError: The model is not in the paper.
    """
    found = models.info(self.config.model).paper_splits
    if not found:
      raise InputError(
        f'--splits=paper: the paper attacks {", ".join(models.paper_models())}, not'
        f" {self.config.model}; give names or globs, such as '*'"
      )
    return found


def load_task(
  config: StudyConfig, image_size: ImageSize | None, **options: Any
) -> Task:
  """The data of a study, divided in the same way at every size of its images.

  Args:
    config: What was asked for.
    image_size: The size, as of `data.load`; that of the evaluator may be another.
    **options: Further arguments of `data.load`.

  Raises:
    InputError: The data are not usable.
  """
  return data.load(
    config.dataset,
    data_dir=config.data_dir,
    image_size=image_size,
    channels=config.channels,
    test_share=config.test_share,
    train_limit=config.train_limit,
    val_limit=config.val_limit,
    test_limit=config.test_limit,
    data_seed=config.data_seed,
    **options,
  )


def plan_study(config: StudyConfig, **options: Any) -> StudyPlan:
  """Loads the data and checks what a study of it attacks.

  It writes nothing but the cache of decoded images.

  Args:
    config: What was asked for.
    **options: Further arguments of `data.load`.

  Raises:
    InputError: The data, the model, the weights or the targets of another study are not
      usable.
  """
  split_host(config.devices)
  config.make_engine()  # are there so many devices?
  task = load_task(config, config.image_size, **options)
  given = config.parse_model_options()
  sizes = {'num_classes': task.num_classes, 'model_output': config.model_output}
  models.make(config.model, **sizes, **given)  # are they known?
  model_check.check_images(config, task)
  imported = weights.read(config, task)
  options = {**given, **imported.inferred.options}
  model = models.make(config.model, **sizes, **options)
  is_imported = imported.state_dict is not None and not config.finetune
  if is_imported:
    notes = (*task.notes, *weights.list_seen(task))
    task = dataclasses.replace(task, notes=notes)
  model = treat(model, config, is_imported=is_imported)
  model = defended.defend(model, config, task)
  model_check.check_model(config, model, task)
  variables = imported.convert(config, task)
  if config.finetune:
    weights.check_initial(config, model, task, variables)
  return StudyPlan(
    config=config,
    task=task,
    model=model,
    weights=None if config.finetune else variables,
    initial=variables if config.finetune else None,
    inferred=imported.inferred,
    borrowed=borrowing.locate(config),
    lanes=config.list_lanes(),
  )


def treat(model: nn.Module, config: StudyConfig, *, is_imported: bool) -> nn.Module:
  """The model that targets with the skips of a config have.

  Factors of targets that are trained are variables, so that lanes may differ in them.
  An imported target is a single lane, whose weights hold no shortcut that is removed.

  Raises:
    InputError: The model has no skip connections with a factor, or other stages; or a
      schedule does not fit the epochs.
  """
  if is_imported:
    (text,) = config.skips
    if any(skip_text.parse(text).is_learned):
      raise InputError(
        f'--skips={text} are learned, and an imported target is not trained; give the'
        ' factors that it was trained with'
      )
    return model if text == skip_text.INTACT else skips.make(model, text)
  treated = skips.carry(model, config.skips)
  epochs = config.make_target_recipe().epochs
  skip_lanes.lane_arrays(treated, config.skips, epochs)
  return treated
