"""Whether a model can be called as a study calls it, before anything is trained."""

import math
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from gpz_jax import models
from gpz_jax.models import calls, own_models
from gpz_jax.study.config import StudyConfig
from gpz_jax.study.target_config import LEAST_SIZE
from gpz_jax.types import InputError, Task, first_line

_MOST_CHANGE = 0.01  # of an image's logits beside another image, of the largest
MOST_PARAMS = 10**9  # of a target: ten times the largest that was published


def check_images(config: StudyConfig, task: Task) -> None:
  """Raises InputError unless a study can use images of this size."""
  height, width, _ = task.image_shape
  if min(height, width) < LEAST_SIZE:
    raise InputError(
      f'--dataset={config.dataset} has images of {height}x{width}; set --image_size to'
      f' {LEAST_SIZE} at least'
    )
  if config.shift is not None and config.shift > (most := min(height, width) // 2):
    raise InputError(
      f'--shift={config.shift} can move three quarters of an image of {height}x{width}'
      f' out of sight; give at most {most}'
    )
  models.check_image(config.model, task.image_shape, config.parse_model_options())


def check_model(config: StudyConfig, model: nn.Module, task: Task) -> None:
  """Raises InputError unless the model can be called as the built-in ones are."""
  image = jax.ShapeDtypeStruct((2, *task.image_shape), jnp.float32)
  outputs = []

  def call(images):
    found, variables = model.init_with_output(jax.random.key(0), images, train=False)
    outputs.append(own_models.describe_outputs(found))
    return None if outputs[0] else found, variables  # it may hold anything

  try:
    logits, variables = jax.eval_shape(call, image)
  except InputError:
    raise
  except Exception as error:  # anything may go wrong in a foreign module
    raise InputError(
      f'--model={config.model} cannot be called as {own_models.describe_call(model)} on'
      f' images {task.image_shape} ({first_line(error)}); choose another model,'
      ' --model_options or --image_size'
    ) from error
  if outputs[0]:
    raise InputError(f'--model={config.model} {outputs[0]}')
  wanted = (2, task.num_classes)
  if getattr(logits, 'shape', None) != wanted or 'params' not in variables:
    found = getattr(logits, 'shape', type(logits).__name__)
    raise InputError(
      f'--model={config.model} must have parameters and return logits'
      f' [B, {task.num_classes}]; it returns {found} for two images'
    )
  count = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(variables['params']))
  if count > MOST_PARAMS:
    raise InputError(
      f'--model={config.model} has {count:,} parameters with'
      f' --model_options={",".join(config.model_options)}, more than {MOST_PARAMS:,};'
      ' make it smaller'
    )
  _check_passes(config, model, variables, image)
  if ':' in config.model:  # one of the user's own
    _check_logits(config, model, task)


def _check_logits(config: StudyConfig, model: nn.Module, task: Task) -> None:
  """Refuses a model whose logits are not what losses and attacks take them for.

  Raises:
    InputError: What it returns of noise, with arbitrary parameters, are probabilities,
      of which losses would take the softmax once more; or the logits of an image depend
      on the image beside it.
  """
  variables = calls.arbitrary_variables(model, task.image_shape)

  def evaluate(images: jax.Array) -> np.ndarray:
    found = calls.lend_keys(
      lambda rngs: model.apply(variables, images, train=False, rngs=rngs)
    )
    return np.asarray(found, np.float32)

  images = jax.random.uniform(jax.random.key(0), (2, *task.image_shape))
  logits = evaluate(images)
  if task.num_classes > 1 and logits.min() >= 0 and np.allclose(logits.sum(1), 1):
    raise InputError(
      f'--model={config.model} returns probabilities, which are at least 0 and sum to'
      ' 1; return the logits before the softmax, or the logarithm of the probabilities'
    )
  # Both batches have one size, so that sums are rounded alike and keys draw alike.
  beside = evaluate(images.at[1].multiply(0.25))
  with np.errstate(invalid='ignore'):  # arbitrary parameters may give infinities
    change = np.abs(beside[0] - logits[0]).max()
  if change > _MOST_CHANGE * np.abs(logits[0]).max():
    raise InputError(
      f'--model={config.model} gives an image other logits in evaluation where another'
      ' image is beside it; normalise by running averages, or each image by itself'
    )


def _check_passes(
  config: StudyConfig, model: nn.Module, variables: Any, image: Any
) -> None:
  """Traces the model as training and evaluation will call it.

  `init` makes every collection and lets the model write to it; these calls do not.

  Raises:
    InputError: The model writes in evaluation, or anything but batch_stats in training;
      it makes a collection only then; or its constants are no plain arrays.
  """
  variables = jax.eval_shape(nn.meta.unbox, variables)
  if calls.constants(variables):  # made for one image, and then given many
    one = jax.ShapeDtypeStruct((1, *image.shape[1:]), image.dtype)
    variables = jax.eval_shape(lambda x: calls.init(model, jax.random.key(0), x), one)
  for leaf in jax.tree.leaves(calls.constants(variables)):
    if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
      raise InputError(
        f'--model={config.model} keeps a random key in a collection, which no'
        ' checkpoint can hold; keep jax.random.key_data of it'
      )

  def evaluate(variables, images):
    return calls.lend_keys(
      lambda rngs: model.apply(variables, images, train=False, rngs=rngs)
    )

  def train(variables, images):
    def apply(rngs):
      return model.apply(
        variables, images, train=True, mutable=['batch_stats'], rngs=rngs
      )

    return calls.lend_keys(apply, dropout=jax.random.key(0))

  for name, call in (('evaluation', evaluate), ('training', train)):
    try:
      found = jax.eval_shape(call, variables, image)
    except Exception as error:  # anything may go wrong in a foreign module
      raise InputError(
        f'--model={config.model} can be initialised, but not called in {name}'
        f' ({first_line(error)}); in evaluation it may write nothing, in training only'
        ' batch_stats, and every collection must be there after initialisation'
      ) from error
  if _forms(found[1].get('batch_stats')) != _forms(variables.get('batch_stats')):
    raise InputError(
      f'--model={config.model} has other batch_stats in training than after'
      ' initialisation; make all of them in both, of one shape and dtype'
    )


def _forms(tree: Any) -> Any:
  """The shape and dtype of each leaf; {} where there is no tree."""
  return jax.tree.map(lambda leaf: (leaf.shape, str(leaf.dtype)), tree or {})
