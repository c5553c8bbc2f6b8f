"""The weights of an imported target, and the options of the model that they tell."""

import dataclasses
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from gpz_jax import skip_text
from gpz_jax.interop import torch as interop
from gpz_jax.models import calls
from gpz_jax.study.config import StudyConfig
from gpz_jax.types import InputError, Task


@dataclasses.dataclass(frozen=True)
class Weights:
  """What a study imports.

  Attributes:
    state_dict: Name -> array; None where targets start from random values.
    inferred: What the arrays tell of the model beyond the config; nothing where there
      are none.
  """

  state_dict: dict[str, np.ndarray] | None = None
  inferred: interop.Inferred = dataclasses.field(default_factory=interop.Inferred)

  def convert(self, config: StudyConfig, task: Task) -> Any:
    """The variables of the target; None where targets start from random values.

    Where they are the start of a training, they are those of a net with all of its
    skips, and a last layer that is to be drawn anew is not among them.

    Raises:
      InputError: The arrays do not fit the model.
    """
    if self.state_dict is None:
      return None
    options = {**config.parse_model_options(), **self.inferred.options}
    if config.skips != (skip_text.INTACT,) and not config.finetune:
      options['skips'] = config.skips[0]
    return interop.import_weights(
      config.model,
      self.state_dict,
      new_head=config.new_head,
      omits_new_head=config.finetune,
      **_sizes(task),
      **options,
    )


def read(config: StudyConfig, task: Task) -> Weights:
  """Reads what `target_weights` names, and finds what it tells of the model.

  Raises:
    InputError: There is no such file, it cannot be read, it contradicts an option of
      the model, or it is asked to be more than one target.
  """
  if config.target_weights is None:
    return Weights()
  if len(config.list_lanes()) != 1 and not config.finetune:
    raise InputError(
      f'--target_weights={config.target_weights} is one target; give one value each for'
      ' --alphas (what it was trained with), --skips, --defence and --seeds, or train'
      ' them on from it with --finetune'
    )
  state_dict = interop.load_state_dict(config.target_weights)
  given = config.parse_model_options()
  inferred = interop.infer_options(config.model, state_dict, **_sizes(task), **given)
  return Weights(state_dict, inferred)


def list_seen(task: Task) -> tuple[str, ...]:
  """What is to be said of subsets that imported weights may have been trained on.

  Whoever trained them elsewhere had the whole train subset, which is divided here.
  """
  seen = [part for part in ('val', 'test') if part not in task.official]
  if task.aux_name == task.name:
    seen.append('aux')
  if not seen:
    return ()
  *others, last = seen
  listed = (
    f'{", ".join(others)} and {last} are shares' if others else f'{last} is a share'
  )
  return (
    f'{listed} of the train subset of {task.name}: weights that were trained on all of'
    ' it have seen these images, so that accuracy and attacks may look better than on'
    ' fresh ones',
  )


def check_initial(
  config: StudyConfig, model: nn.Module, task: Task, initial: Any
) -> None:
  """Checks that a training of the model can begin with imported variables.

  Raises:
    InputError: The model lacks what they have, as one does whose skips change its
      shapes.
  """
  image = jax.ShapeDtypeStruct((1, *task.image_shape), jnp.float32)
  shapes = jax.eval_shape(lambda x: calls.init(model, jax.random.key(0), x), image)
  try:
    calls.overlay(shapes, initial)
  except InputError as error:
    raise InputError(
      f'--finetune: {error}; leave out --skips={",".join(config.skips)}, or give a'
      ' model whose skips keep its shapes (--model_options=skip_form=mask)'
    ) from None


def _sizes(task: Task) -> dict[str, Any]:
  return {'num_classes': task.num_classes, 'image_shape': task.image_shape}
