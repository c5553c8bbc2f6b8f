"""What a study says of its targets before it begins."""

from collections.abc import Iterable, Iterator

from flax import traverse_util

from gpz_jax import models, partition
from gpz_jax.interop import torch as interop
from gpz_jax.models import calls, own_models
from gpz_jax.study import borrowing, kept_epochs
from gpz_jax.study.plan import StudyPlan
from gpz_jax.study.workdir import Workdir
from gpz_jax.types import PREDICTION


def describe_training(plan: StudyPlan) -> Iterator[str]:
  """A line on flags of a training that come where no target is trained any more."""
  config = plan.config
  if idle := [f'--{name}={getattr(config, name)}' for name in config.list_idle()]:
    yield (
      f'WARNING: of no effect, because the target of --target_weights is attacked as it'
      f' is: {", ".join(idle)}; give --finetune to train it on'
    )
  if plan.weights is None and _keeps_too_late(plan):
    yield (
      f'WARNING: --keep_checkpoints={config.keep_checkpoints} keeps nothing, because'
      ' the targets are trained already; give it where they are trained, in a new'
      ' --workdir'
    )


def _keeps_too_late(plan: StudyPlan) -> bool:
  """Whether epochs are asked for of targets that were trained without keeping any."""
  config = plan.config
  if not config.keep_checkpoints:
    return False
  if plan.borrowed is None and not borrowing.has_targets(config):
    return False
  folder = Workdir(config.targets_from or config.workdir).epochs
  return not any(kept_epochs.list_kept(folder, lane) for lane in plan.lanes)


def describe_model(plan: StudyPlan, splits: Iterable[str]) -> list[str]:
  """Lines about a user's own model: its training, its noise, and whose splits it has.

  Args:
    plan: The study.
    splits: Names of the splits, where the config leaves open how deep they are.
  """
  config, lines = plan.config, []
  if models.info(config.model).factory is not None:
    return lines
  if plan.weights is None:
    lines.append(
      f'targets of {config.model} train by the recipe {config.recipe_name()}:'
      f' {config.make_target_recipe().sentence()}'
    )
    lines += _describe_training(plan)
  lines += _describe_noise(plan)
  splits = [name for name in splits if name != PREDICTION]
  wrapped = {path for name in splits if (path := name.rpartition('/')[0])}
  if len(wrapped) == 1:
    lines.append(f'the splits are those of {wrapped.pop()}, which the model wraps')
  elif len(splits) == 1 and _holds_more(plan, where := f'{splits[0]}/*'):
    lines.append(
      f'{splits[0]} is the only split; --split_where={where} lists those within it'
    )
  return lines


def describe_start(plan: StudyPlan) -> str:
  """The line that says what targets begin with that are trained on from weights."""
  wanted = interop.variable_shapes(plan.model, plan.task.image_shape)
  given = traverse_util.flatten_dict(plan.initial, sep='/')
  lacking = [
    name
    for name in wanted.keys() - given.keys()
    if name.startswith('params/') and not name.startswith('params/skip_logits')
  ]
  drawn = ', with a new last layer' if lacking else ''
  return f'all targets start from {plan.config.target_weights}{drawn}'


def _describe_training(plan: StudyPlan) -> Iterator[str]:
  """Lines on a model that seems not to be told that it trains.

  A batch norm may be frozen by intent, so that nothing is refused.
  """
  name, model = plan.config.model, plan.model
  unknown = own_models.list_unknown(model)
  if unknown and not own_models.is_told(model):
    yield (
      f'{name} is trained as it is evaluated: its __call__ is never given'
      f' {_name_switches(unknown)}'
    )
  if calls.has_still_statistics(model, plan.task.image_shape):
    yield (
      f'no step of training changes the batch_stats of {name}: they stay as they are'
      ' initialised, which is right only for a batch norm that is frozen by intent'
    )


def _name_switches(unknown: list[str]) -> str:
  return (
    f'{", ".join(unknown)}; what tells it whether it trains must be called one of'
    f' {", ".join(calls.SWITCHES)}'
  )


def _describe_noise(plan: StudyPlan) -> Iterator[str]:
  """A line on a model that is random in evaluation, by intent or by mistake."""
  config, task = plan.config, plan.task
  sizes = {'num_classes': task.num_classes, 'model_output': config.model_output}
  # Made again, because a defence may have added noise that is wanted.
  model = models.make(config.model, **sizes, **config.parse_model_options())
  if not (streams := calls.list_drawn(model, task.image_shape)):
    return
  line = (
    f'{config.model} draws from the random stream {" and ".join(streams)} in'
    ' evaluation: its targets are scored and attacked under that noise'
  )
  if unknown := own_models.list_unknown(model):
    line += f'; its __call__ is never given {_name_switches(unknown)}'
  yield line


def _holds_more(plan: StudyPlan, where: str) -> bool:
  """Whether several splits are within a module."""
  found = partition.list_splits(plan.model, plan.task.image_shape, where=where)
  return len(found) > 1
