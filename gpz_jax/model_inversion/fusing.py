"""The fused forms of a study's RepVGG, as studies of imported targets."""

import dataclasses
import pathlib
from collections.abc import Iterator

from gpz_jax.interop import export
from gpz_jax.model_inversion.config import ModelInversionConfig
from gpz_jax.model_inversion.plan import make_plan
from gpz_jax.models import repvgg
from gpz_jax.study import targets as study_targets
from gpz_jax.study.workdir import Workdir
from gpz_jax.training import lanes as lanes_lib
from gpz_jax.types import InputError, Treatment


def fuse(
  config: ModelInversionConfig, folder: pathlib.Path
) -> Iterator[tuple[int, ModelInversionConfig]]:
  """Writes the untreated targets of a finished study as one convolution a block.

  Args:
    config: A study of RepVGG.
    folder: Where the weights are written; it is made.

  Yields:
    The seed of a target and the study that attacks its fused form, whose workdir is
    still that of `config`.

  Raises:
    InputError: The targets are no RepVGG, or are not there.
  """
  plan = make_plan(config)
  if not isinstance(plan.model, repvgg.RepVGG):
    raise InputError(f'--model={config.model} has no fused form; give repvgg_a0')
  targets = study_targets.load(plan, Workdir(config.workdir))
  if targets is None:
    raise InputError(f'--workdir={config.workdir} has no targets; run that study first')
  folder.mkdir(parents=True, exist_ok=True)
  # Weights do not tell these, and those that are imported have other defaults.
  untold = (f'{name}={getattr(plan.model, name)}' for name in ('normalization', 'stem'))
  given = {option.partition('=')[0] for option in config.model_options}
  added = (option for option in untold if option.partition('=')[0] not in given)
  options = (*config.model_options, *added, 'fused=True')
  for i, lane in enumerate(plan.lanes):
    if lane.treatment != Treatment():
      continue
    variables = lanes_lib.take(targets.best.variables, i)
    model, fused = repvgg.fuse(plan.model, variables)
    path = folder / f'{lane.model}-{lane.lane_id}-fused.safetensors'
    export.export_weights(model, fused, path, image_shape=plan.task.image_shape)
    yield (
      lane.seed,
      dataclasses.replace(
        config,
        model_options=options,
        target_weights=str(path),
        targets_from=None,
        treatments=(),
        alphas=(0.0,),
        skips=('intact',),
        defence=('none',),
        one_at_a_time=False,
        seeds=(lane.seed,),
        keep_checkpoints=0,
        at_accuracy=None,
        finetune=False,
      ),
    )
