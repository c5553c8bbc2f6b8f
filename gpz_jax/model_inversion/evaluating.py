"""The evaluator of a study: from its workdir or another's, imported, or trained."""

import dataclasses
import math
import pathlib
from typing import Any

import jax
import jax.numpy as jnp

from gpz_jax import checkpoints, evaluators, metrics
from gpz_jax.evaluators import Evaluator, Preset
from gpz_jax.evaluators.evaluator import resize_all
from gpz_jax.evaluators.making import judging_engine
from gpz_jax.model_inversion.plan import Plan
from gpz_jax.models import calls
from gpz_jax.study import continuing
from gpz_jax.study.session import Session
from gpz_jax.study.workdir import Workdir
from gpz_jax.types import InputError


def obtain(session: Session[Plan]) -> Evaluator:
  """The evaluator of a study, with its accuracy on the private test images.

  Raises:
    InputError: Its training diverged; or one that is there already is damaged, was
      trained on other data, or is less accurate than it was.
    Interrupted: A signal came; the training goes on from its snapshot.
  """
  found = session.plan.imported or _restore(session, session.workdir.evaluator)
  found = found or _borrow(session) or _make(session)
  accuracy, config = found.accuracy or 0.0, session.plan.config
  session.say(f'evaluator {config.evaluator}: accuracy {accuracy:.3f} on test')
  chance = metrics.chance_accuracy(session.plan.task.test.label)
  if accuracy <= chance:
    session.say(
      f'WARNING: the evaluator is within reach of guessing ({accuracy:.3f}, where'
      f' guessing may reach {chance:.3f}): no AttAcc of this study means anything'
    )
  return found


def accuracy_at(
  session: Session[Plan], judge: Evaluator, size: tuple[int, int]
) -> float:
  """The accuracy of the evaluator on test images of the size of reconstructions.

  An evaluator of 64 pixels may know people by what an image of 32 pixels has not.

  Args:
    session: The study.
    judge: Its evaluator.
    size: Height and width of the reconstructions.

  Returns:
    A share; NaN where the accuracy is not known.
  """
  plan, key = session.plan, ('accuracy', size)
  if judge.accuracy is None:
    return math.nan
  test = (plan.evaluator_task if plan.imported is None else plan.task).test
  if min(size) >= min(test.image.shape[1:3]):
    return judge.accuracy
  if key not in judge.kept:
    judge.kept[key] = judge.measure_accuracy(
      dataclasses.replace(test, image=resize_all(test.image, size))
    )
    session.say(
      f'evaluator {judge.name}: accuracy {judge.kept[key]:.3f} on test images of the'
      f' {size[0]}x{size[1]} pixels that are reconstructed'
    )
  return judge.kept[key]


def make_preset(plan: Plan) -> Preset:
  """What the config says of the evaluator."""
  config = plan.config
  recipe = config.make_evaluator_recipe()
  return Preset(config.evaluator, config.parse_evaluator_options(), recipe)


def _make(session: Session[Plan]) -> Evaluator:
  plan, preset = session.plan, make_preset(session.plan)
  session.say(f'the evaluator trains by {preset.recipe.sentence()}')
  data = continuing.digest_data(plan.evaluator_task)
  snapshots = session.snapshots('evaluator', evaluator=_identity(plan), data=data)
  with session.progress.phase('evaluator') as phase:
    found = evaluators.train(
      plan.evaluator_task,
      preset,
      seed=plan.config.evaluator_seed,
      engine=session.engine,
      bn_refresh=plan.config.bn_refresh,
      snapshots=snapshots,
      on_progress=phase,
    )
  _save(session, found, data)
  snapshots.drop()
  return found


def _save(session: Session[Plan], found: Evaluator, data: dict[str, str]) -> None:
  identity = _identity(session.plan)
  meta = {
    'evaluator': identity,
    'accuracy': found.accuracy,
    'data': data,
    'image_shape': list(found.image_shape),
  }
  checkpoints.save(session.workdir.evaluator, found.variables, meta)


def _borrow(session: Session[Plan]) -> Evaluator | None:
  """The evaluator of the study that `evaluator_from` names; None without one."""
  source = session.plan.config.evaluator_from
  if source is None:
    return None
  found = _restore(session, Workdir(source).evaluator)
  if found is None:
    raise InputError(
      f'--evaluator_from={source}: its evaluator is damaged; run that study again'
    )
  data = continuing.digest_data(session.plan.evaluator_task)
  _save(session, found, data)  # the rest of the rows need it
  return found


def _restore(session: Session[Plan], folder: pathlib.Path) -> Evaluator | None:
  """The evaluator that was trained before; None where there is none that is intact."""
  plan = session.plan
  meta = checkpoints.read_meta(folder)
  if meta is None or meta['evaluator'] != _identity(plan):
    return None
  shape = plan.evaluator_task.image_shape
  like = jax.eval_shape(
    lambda: calls.init(plan.evaluator, jax.random.key(0), jnp.zeros((1, *shape)))
  )
  found = checkpoints.restore(folder, like, say=session.say)
  if found is None:
    return None
  session.say(f'the evaluator is there already: {folder}')
  variables: Any = jax.device_put(found[0])
  engine = judging_engine(session.engine)
  evaluator = Evaluator(
    plan.config.evaluator, plan.evaluator, variables, shape, engine=engine
  )
  now = evaluator.measure_accuracy(plan.evaluator_task.test)
  _check_unchanged(folder, meta, plan, now)
  return dataclasses.replace(evaluator, accuracy=now)


def _check_unchanged(
  folder: pathlib.Path, meta: dict[str, Any], plan: Plan, now: float
) -> None:
  """Refuses an evaluator of other data, whose verdict would be of other people."""
  before, task = meta.get('data'), plan.evaluator_task
  if before not in (None, continuing.digest_data(task)):
    raise InputError(
      f'the evaluator in {folder} was trained on other images or labels than there are'
      ' now: restore the data, or train one in another workdir without --evaluator_from'
    )
  if continuing.is_other_accuracy(meta['accuracy'], now, len(task.test)):
    raise InputError(
      f'the evaluator in {folder} had an accuracy of {meta["accuracy"]:.3f}, and has'
      f' {now:.3f} on the test images of now: restore the data, or train one in another'
      ' workdir without --evaluator_from'
    )


def _identity(plan: Plan) -> list[str]:
  """What tells one evaluator from another in the same workdir."""
  preset = make_preset(plan)
  options = sorted(f'{name}={value}' for name, value in preset.options.items())
  return [preset.model, *options, str(preset.recipe), str(plan.config.evaluator_seed)]
