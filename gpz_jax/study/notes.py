"""What a study says of a model of the user's own before it begins."""

from collections.abc import Iterable

from gpz_jax import models, partition
from gpz_jax.study.plan import StudyPlan
from gpz_jax.types import PREDICTION


def describe_model(plan: StudyPlan, splits: Iterable[str]) -> list[str]:
  """Lines about a user's own model: how it is trained, and whose splits it has.

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
  splits = [name for name in splits if name != PREDICTION]
  wrapped = {path for name in splits if (path := name.rpartition('/')[0])}
  if len(wrapped) == 1:
    lines.append(f'the splits are those of {wrapped.pop()}, which the model wraps')
  elif len(splits) == 1 and _holds_more(plan, where := f'{splits[0]}/*'):
    lines.append(
      f'{splits[0]} is the only split; --split_where={where} lists those within it'
    )
  return lines


def _holds_more(plan: StudyPlan, where: str) -> bool:
  """Whether several splits are within a module."""
  found = partition.list_splits(plan.model, plan.task.image_shape, where=where)
  return len(found) > 1
