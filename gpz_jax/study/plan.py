"""What a study attacks, worked out before anything is trained."""

import dataclasses
import math
import os
import pathlib
from collections.abc import Iterable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from gpz_jax import checkpoints, data, models, results, skip_text
from gpz_jax.interop.inference import Inferred
from gpz_jax.models import calls, own_models, skip_lanes, skips
from gpz_jax.study import defended, fields, weights
from gpz_jax.study.config import StudyConfig
from gpz_jax.study.serialization import first_difference
from gpz_jax.study.target_config import LEAST_SIZE
from gpz_jax.study.workdir import Workdir
from gpz_jax.training.engine import split_host
from gpz_jax.types import InputError, Lane, Task, first_line

MOST_PARAMS = 10**9  # of a target: ten times the largest that was published


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
  task = data.load(
    config.dataset,
    data_dir=config.data_dir,
    image_size=config.image_size,
    channels=config.channels,
    test_share=config.test_share,
    train_limit=config.train_limit,
    val_limit=config.val_limit,
    test_limit=config.test_limit,
    data_seed=config.data_seed,
    **options,
  )
  given = config.parse_model_options()
  sizes = {'num_classes': task.num_classes, 'model_output': config.model_output}
  models.make(config.model, **sizes, **given)  # are they known?
  _check_images(config, task)
  imported = weights.read(config, task)
  options = {**given, **imported.inferred.options}
  model = models.make(config.model, **sizes, **options)
  is_imported = imported.state_dict is not None and not config.finetune
  model = treat(model, config, is_imported=is_imported)
  model = defended.defend(model, config, task)
  _check_model(config, model, task)
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
    borrowed=locate_borrowed(config),
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


def _check_images(config: StudyConfig, task: Task) -> None:
  height, width, _ = task.image_shape
  if min(height, width) < LEAST_SIZE:
    raise InputError(
      f'--dataset={config.dataset} has images of {height}x{width}; set --image_size to'
      f' {LEAST_SIZE} at least'
    )
  models.check_image(config.model, task.image_shape, config.parse_model_options())


def _check_model(config: StudyConfig, model: nn.Module, task: Task) -> None:
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


def has_targets(config: StudyConfig) -> bool:
  """Whether the workdir holds this study's trained targets."""
  meta = checkpoints.read_meta(Workdir(config.workdir).targets)
  ids = [lane.lane_id for lane in config.list_lanes()]
  return meta is not None and meta.get('lanes') == ids


def locate_borrowed(config: StudyConfig) -> np.ndarray | None:
  """Where in the study `targets_from` the targets of this one are: rows [L].

  None without `targets_from`, or where the workdir has targets of its own. Their
  precision may differ, because parameters are float32 in any.

  Raises:
    InputError: There is no such study, its targets are others, or one is missing.
  """
  if config.targets_from is None or has_targets(config):
    return None
  return _locate(config, Workdir(config.targets_from), ignored=('precision',))


def read_source(flag: str, source: Workdir) -> dict[str, Any]:
  """The config.json of another study, which a flag names to take something of it.

  Raises:
    InputError: There is no such study.
  """
  try:
    theirs = results.read_object(source.config)
  except (OSError, InputError) as error:
    raise InputError(
      f'--{flag}={source} holds no study ({error}); give the workdir of one'
    ) from error
  if not theirs:
    raise InputError(
      f'--{flag}={source} holds no study (there is no config.json); give the'
      ' workdir of one'
    )
  return theirs


def _locate(
  config: StudyConfig, source: Workdir, ignored: tuple[str, ...] = ()
) -> np.ndarray:
  theirs = read_source('targets_from', source)
  names = fields.in_scope(type(config), 'targets')
  names = tuple(name for name in names if name not in ignored)
  if difference := first_difference(config, theirs, names):
    raise InputError(f'--targets_from={source} has other targets: {difference}')
  if theirs.get('public_dataset') and getattr(config, 'aux_dataset', '') is None:
    raise InputError(
      f'--targets_from={source} is a study of model inversion, which chose epochs on'
      " the images that would be the attacker's; give --aux_dataset"
    )
  ids = [lane.lane_id for lane in config.list_lanes()]
  there = (checkpoints.read_meta(source.targets) or {}).get('lanes', [])
  if absent := [lane_id for lane_id in ids if lane_id not in there]:
    raise InputError(
      f'--targets_from={source} lacks the targets of {len(absent)} of {len(ids)} alphas'
      ' and seeds; leave it out, or finish that study with them'
    )
  return np.array([there.index(lane_id) for lane_id in ids])


def find_targets(config: StudyConfig, workdirs: Iterable[pathlib.Path]) -> str | None:
  """The first of `workdirs` whose targets `targets_from` could name."""
  if has_targets(config):
    return None
  for workdir in workdirs:
    try:
      _locate(config, Workdir(workdir))
      return str(workdir)
    except InputError:
      continue
  return None
