"""What judges a study of model inversion, as far as it is known before any training."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from gpz_jax import checkpoints, evaluators, models
from gpz_jax.evaluators import Evaluator
from gpz_jax.interop import torch as interop
from gpz_jax.model_inversion.config import ModelInversionConfig
from gpz_jax.models import calls, penultimate
from gpz_jax.study import plan as study_plan
from gpz_jax.study.workdir import Workdir
from gpz_jax.types import InputError, Task


def load_task(config: ModelInversionConfig, task: Task) -> Task:
  """The private data at the size of the evaluator.

  Args:
    config: The study.
    task: Its private data, at the size of the targets.
  """
  size, sides = config.evaluator_size, task.image_shape[:2]
  if size is None or sides == (size, size) or _was_of_height(config, task):
    return task
  return study_plan.load_task(
    config,
    size,
    aux_dataset=config.public_dataset,
    aux_limit=1,  # The evaluator is not trained on public images.
    validate_on_rest=True,
  )


def _was_of_height(config: ModelInversionConfig, task: Task) -> bool:
  """Whether the evaluator that is there is of the size of the targets all the same.

  Earlier versions compared `evaluator_size` with the height of the targets' images
  alone, and noted no shape. A study that they began goes on with what it was judged by.
  """
  if config.evaluator_size != task.image_shape[0]:
    return False
  lent = config.evaluator_from
  meta = checkpoints.read_meta(Workdir(config.workdir).evaluator)
  if meta is None and lent is not None:
    meta = checkpoints.read_meta(Workdir(lent).evaluator)
  shape = None if meta is None else meta.get('image_shape', task.image_shape)
  return shape is not None and tuple(shape) == task.image_shape


def make_model(config: ModelInversionConfig, task: Task) -> nn.Module:
  """The architecture of the evaluator.

  Args:
    config: The study.
    task: What `load_task` gave.

  Raises:
    InputError: It does not take these images, or it is the user's own and has no
      features that can be seen.
  """
  options, shape = config.parse_evaluator_options(), task.image_shape
  models.check_image(config.evaluator, shape, options)
  model = models.make(config.evaluator, num_classes=task.num_classes, **options)
  if config.evaluator not in models.MODELS:
    like = jax.eval_shape(
      lambda: calls.init(model, jax.random.key(0), jnp.zeros((1, *shape)))
    )
    penultimate.check(model, like, shape)
  return model


def import_evaluator(config: ModelInversionConfig, task: Task) -> Evaluator | None:
  """The evaluator whose weights are given; None where it is to be trained."""
  if config.evaluator_weights is None:
    return None
  return evaluators.from_weights(
    config.evaluator,
    interop.load_state_dict(config.evaluator_weights),
    task.test,
    num_classes=task.num_classes,
    side=config.evaluator_size,
    **config.parse_evaluator_options(),
  )


def load_face(config: ModelInversionConfig, task: Task) -> Evaluator | None:
  """The face embedding whose weights are given."""
  if config.face_embedding is None:
    return None
  if task.image_shape[-1] != 3:
    raise InputError(
      f'--face_embedding takes colour images, and {task.name} has'
      f' {task.image_shape[-1]} channels; set --channels=3, or leave it out'
    )
  return evaluators.load_face(config.face_embedding)
