"""The weights of an imported target, and the options of the model that they tell."""

import dataclasses
from typing import Any

import numpy as np

from gpz_jax import skip_text
from gpz_jax.interop import torch as interop
from gpz_jax.study.config import StudyConfig
from gpz_jax.types import InputError, Task


@dataclasses.dataclass(frozen=True)
class Weights:
  """What a study imports.

  Attributes:
    state_dict: Name -> array; None where targets are trained.
    inferred: What the arrays tell of the model beyond the config; nothing where there
      are none.
  """

  state_dict: dict[str, np.ndarray] | None = None
  inferred: interop.Inferred = dataclasses.field(default_factory=interop.Inferred)

  def convert(self, config: StudyConfig, task: Task) -> Any:
    """The variables of the target; None where targets are trained.

    Raises:
      InputError: The arrays do not fit the model.
    """
    if self.state_dict is None:
      return None
    options = {**config.parse_model_options(), **self.inferred.options}
    if config.skips != (skip_text.INTACT,):
      options['skips'] = config.skips[0]
    return interop.import_weights(
      config.model,
      self.state_dict,
      new_head=config.new_head,
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
  if len(config.list_lanes()) != 1:
    raise InputError(
      f'--target_weights={config.target_weights} is one target; give one value each for'
      ' --alphas (what it was trained with), --skips, --defence and --seeds'
    )
  state_dict = interop.load_state_dict(config.target_weights)
  given = config.parse_model_options()
  inferred = interop.infer_options(config.model, state_dict, **_sizes(task), **given)
  return Weights(state_dict, inferred)


def _sizes(task: Task) -> dict[str, Any]:
  return {'num_classes': task.num_classes, 'image_shape': task.image_shape}
