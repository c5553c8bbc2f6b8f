"""The judge of a sweep: an evaluator that says which reconstructions show their class.

It comes out of a study of model inversion, or from a file of weights. It was trained
apart from the targets and on no reconstruction.
"""

import os
import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gpz_jax import checkpoints, evaluators, metrics, models, results
from gpz_jax.data import sizes
from gpz_jax.evaluators import Evaluator
from gpz_jax.interop import torch as interop
from gpz_jax.models import calls
from gpz_jax.study.model_options import parse_model_options
from gpz_jax.study.workdir import Workdir
from gpz_jax.sweep.config import SweepConfig
from gpz_jax.types import InputError, Task
from gpz_jax.zone.doubts import is_guessing


def load(config: SweepConfig, task: Task) -> Evaluator | None:
  """The judge that a config names, with its accuracy on the test images; or None.

  Raises:
    InputError: There is none at that place, it does not fit the data, or it guesses.
  """
  if config.judge is None:
    return None
  if os.path.isdir(config.judge):
    found = _of_study(config, task)
  else:
    found = _of_file(config, task)
  chance = metrics.chance_accuracy(task.test.label)
  if is_guessing(found.accuracy or 0.0, chance):
    raise InputError(
      f'--judge={config.judge} names {found.accuracy:.1%} of the test images rightly,'
      f' which is within reach of guessing (up to {chance:.1%}); give an evaluator of'
      f" the classes of '{task.name}', in their order"
    )
  return found


def _of_file(config: SweepConfig, task: Task) -> Evaluator:
  assert config.judge is not None
  if config.judge_model is None:
    raise InputError(
      f'--judge={config.judge} is no folder of a study; say by --judge_model of which'
      ' model it holds the weights'
    )
  options = parse_model_options(config.judge_options, 'judge_options')
  try:
    return evaluators.from_weights(
      config.judge_model,
      interop.load_state_dict(config.judge),
      task.test,
      num_classes=task.num_classes,
      **options,
    )
  except InputError as error:
    raise InputError(f'--judge={config.judge}: {error}') from error


def _of_study(config: SweepConfig, task: Task) -> Evaluator:
  """The evaluator that a study of model inversion trained."""
  assert config.judge is not None
  folder = Workdir(pathlib.Path(config.judge))
  theirs = results.read_object(folder.config)
  meta = checkpoints.read_meta(folder.evaluator)
  name, options = theirs.get('evaluator'), theirs.get('evaluator_options')
  if meta is None or not isinstance(name, str) or not isinstance(options, list):
    raise InputError(
      f'--judge={config.judge} holds no evaluator; give the folder of a study of model'
      ' inversion that trained one, or a file of weights with --judge_model'
    )
  sides = _find_sides(folder, meta, theirs) or task.image_shape[:2]
  shape = (*sides, task.image_shape[-1])
  chosen = parse_model_options([str(option) for option in options])
  models.check_image(name, shape, chosen)
  model = models.make(name, num_classes=task.num_classes, **chosen)
  like = jax.eval_shape(
    lambda: calls.init(model, jax.random.key(0), jnp.zeros((1, *shape)))
  )
  found = checkpoints.restore(folder.evaluator, like, say=lambda text: None)
  if found is None:
    raise InputError(
      f'the evaluator of --judge={config.judge} is damaged, or not for images of'
      f' {"x".join(map(str, shape))} in {task.num_classes} classes; give one of'
      f" '{task.name}'"
    )
  variables: Any = jax.device_put(found[0])
  judge = Evaluator(name, model, variables, shape)
  return Evaluator(name, model, variables, shape, judge.measure_accuracy(task.test))


def _find_sides(
  folder: Workdir, meta: dict[str, Any], theirs: dict[str, Any]
) -> tuple[int, int] | None:
  """Height and width of the images that the evaluator of a study was trained on.

  Those of earlier versions do not say. They have `evaluator_size` for both, unless it
  was the height of the study's images, and else the size of these.

  Args:
    folder: The workdir of the study.
    meta: The plain values of its evaluator.
    theirs: Its config.

  Returns:
    None where nobody knows.
  """
  if 'image_shape' in meta:
    height, width, _ = meta['image_shape']
    return height, width
  own, size = _find_study_sides(folder, theirs), theirs.get('evaluator_size')
  if size is None or (own is not None and size == own[0]):
    return own
  return size, size


def _find_study_sides(
  folder: Workdir, theirs: dict[str, Any]
) -> tuple[int, int] | None:
  """Height and width of the images of a study; None where nobody knows."""
  if theirs.get('image_size') is not None:
    return sizes.parse(theirs['image_size'])
  try:
    found = np.load(folder.privates, mmap_mode='r', allow_pickle=False)
    height, width = found.shape[2:4]
  except (OSError, ValueError, EOFError):  # it is not there, or damaged
    return None
  return height, width
