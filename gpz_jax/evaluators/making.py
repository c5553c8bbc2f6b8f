"""Where evaluators come from: trained on private images, or imported."""

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from gpz_jax import models, targets
from gpz_jax.evaluators.evaluator import Evaluator
from gpz_jax.interop import torch as interop
from gpz_jax.training import lanes as lanes_lib
from gpz_jax.training.engine import AUTO, Engine
from gpz_jax.training.loop import OnProgress
from gpz_jax.training.recipe import EVALUATOR, SKIPS, Recipe
from gpz_jax.training.snapshots import Snapshots
from gpz_jax.types import Dataset, InputError, Lane, Task, Treatment

INCEPTION_SIDE = 299


@dataclasses.dataclass(frozen=True)
class Preset:
  """An evaluator's architecture and how it is trained.

  Attributes:
    model: A name that `models.make` knows.
    options: The model's own options.
    recipe: How it is trained.
    side: Height and width of its images; None takes those of the data.
  """

  model: str
  options: Mapping[str, Any]
  recipe: Recipe
  side: int | None = None


# Source: docs/paper.md#metrics-of-model-inversion.
PAPER = Preset(
  'inception_v3',
  {'normalization': 'half'},
  dataclasses.replace(SKIPS, milestones=(0.8,)),
  INCEPTION_SIDE,
)
# For images of 32 pixels. On portraits/private32_50x60 it reaches a test accuracy of
# 0.977 in 222 seconds of CPU (one seed, 600 images).
SMALL = Preset('vgg11', {'width': 0.25}, EVALUATOR)


def train(
  task: Task,
  preset: Preset,
  *,
  seed: int = 0,
  engine: Engine = AUTO,
  bn_refresh: bool = False,
  on_progress: OnProgress = lambda done, total, values: None,
  snapshots: Snapshots | None = None,
) -> Evaluator:
  """Trains an evaluator on `task.train`; the epoch is chosen on `task.val`.

  Args:
    task: The private data, at the size that the evaluator takes.
    preset: What is trained and how.
    seed: Seed of its initial values and of the order of examples.
    engine: How its training is computed; it judges in float32.
    bn_refresh: Whether batch-norm averages are measured anew in the end.
    on_progress: Called after each segment, see `Trainer.fit`.
    snapshots: Where snapshots are kept, see `Trainer.fit`.

  Returns:
    The evaluator, with its accuracy on `task.test`.

  Raises:
    InputError: The model does not take the task's images, they have another size than
      the preset's, or the training diverged.
    Interrupted: A signal came.
  """
  shape = task.image_shape
  if preset.side is not None and shape[:2] != (preset.side, preset.side):
    raise InputError(
      f"an evaluator '{preset.model}' is trained at {preset.side} pixels, got"
      f' {shape[0]}x{shape[1]}; load the data with image_size={preset.side}'
    )
  models.check_image(preset.model, shape, preset.options)
  model = models.make(preset.model, num_classes=task.num_classes, **preset.options)
  # No target has this name, so that no evaluator is drawn as a target was.
  lane = Lane(f'evaluator {preset.model}', task.name, Treatment(), seed)
  found, _ = targets.train(
    model,
    task,
    [lane],
    preset.recipe,
    engine=engine,
    order_seed=seed,
    bn_refresh=bn_refresh,
    on_progress=on_progress,
    snapshots=snapshots,
  )
  if not bool(found.is_finite[0]):
    raise InputError(
      f"the training of evaluator '{preset.model}' diverged; lower the recipe's"
      f' learning_rate {preset.recipe.learning_rate:g}'
    )
  variables = lanes_lib.take(found.best.variables, 0)
  judging = judging_engine(engine)
  found = Evaluator(preset.model, model, variables, shape, None, engine=judging)
  return _measured(found, task.test)


def judging_engine(engine: Engine) -> Engine:
  """How an evaluator is computed in a study: in float32, whatever the study's own is.

  It is what everything is measured by, wherever it was trained.
  """
  return dataclasses.replace(engine, precision='float32')


def from_weights(
  name: str,
  state_dict: Mapping[str, np.ndarray],
  test: Dataset,
  *,
  num_classes: int,
  side: int | None = None,
  **options: Any,
) -> Evaluator:
  """An evaluator that was trained elsewhere.

  Args:
    name: A name that `models.make` knows.
    state_dict: Its weights, see `interop.torch.import_weights`.
    test: Private test images that it was not trained on, for its accuracy. They may
      have any size.
    num_classes: K, in the order of the targets' classes.
    side: Height and width of its images; None takes 299 for Inception-v3 and the size
      of the test images for others.
    **options: The model's own options; what weights tell need not be given.

  Raises:
    InputError: The weights do not fit the model, or an option is wrong.
  """
  height, width, channels = test.image.shape[1:]
  if side is None and name == 'inception_v3':
    side = INCEPTION_SIDE
  shape = (side or height, side or width, channels)
  models.check_image(name, shape, options)
  sizes = {'num_classes': num_classes, 'image_shape': shape}
  told = interop.infer_options(name, state_dict, **sizes, **options)
  options = {**options, **told.options}
  variables = interop.import_weights(name, state_dict, **sizes, **options)
  model = models.make(name, num_classes=num_classes, **options)
  return _measured(Evaluator(name, model, variables, shape), test)


def check_apart(evaluator: Evaluator, targets: Sequence[Any]) -> None:
  """Refuses an evaluator that is one of the targets, and would judge itself.

  Args:
    evaluator: The evaluator.
    targets: The variables of each target.

  Raises:
    InputError: The parameters are equal, whatever they are called.
  """
  own = _digest_params(evaluator.variables)
  if any(own == _digest_params(variables) for variables in targets):
    raise InputError(
      f"evaluator '{evaluator.name}' has the weights of a target, so that AttAcc would"
      " be that target's own opinion; train another, or give other --evaluator_weights"
    )


def _digest_params(variables: Any) -> list[str]:
  arrays = map(np.asarray, jax.tree.leaves(variables['params']))
  return sorted(
    hashlib.sha256(f'{each.shape}'.encode() + each.tobytes()).hexdigest()
    for each in arrays
  )


def _measured(evaluator: Evaluator, test: Dataset) -> Evaluator:
  """The evaluator with its accuracy on test images."""
  device = jax.device_put(evaluator.variables)
  evaluator = dataclasses.replace(evaluator, variables=device)
  return dataclasses.replace(evaluator, accuracy=evaluator.measure_accuracy(test))
