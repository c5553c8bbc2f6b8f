"""The targets of a study: taken from its workdir, imported, borrowed, or trained."""

import dataclasses
import time
from collections.abc import Callable
from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np

import gpz_jax
from gpz_jax import checkpoints, label_smoothing
from gpz_jax import targets as targets_lib
from gpz_jax.models import skip_lanes, skips
from gpz_jax.study import borrowing, conditions, continuing, defended, kept_epochs
from gpz_jax.study.events import name_run
from gpz_jax.study.notes import describe_start
from gpz_jax.study.plan import StudyPlan
from gpz_jax.study.progress import format_seconds
from gpz_jax.study.session import Session
from gpz_jax.study.snapshots import SnapshotStore
from gpz_jax.study.workdir import Workdir
from gpz_jax.targets import Targets
from gpz_jax.training import lanes as lanes_lib
from gpz_jax.training.state import FitState
from gpz_jax.types import InputError

AnySession = TypeVar('AnySession', bound=Session)
EachEpoch = Callable[[int, FitState], None]


def obtain(
  session: AnySession, each_epoch: EachEpoch = lambda epoch, states: None
) -> tuple[Targets, AnySession]:
  """The targets [L], and the session, which says what changed since their training.

  What changed is what bit-for-bit equality with an uninterrupted run depends on.

  Args:
    session: The running study.
    each_epoch: Called after each epoch where targets are trained, see `Trainer.fit`.

  Raises:
    InputError: The targets that are to be borrowed are damaged; or the workdir holds
      rows of other targets.
    Interrupted: A signal came; the training goes on from its snapshot.
  """
  plan = session.plan
  targets, changed = take(session, each_epoch)
  now = continuing.digest_targets(plan.lanes, targets)
  continuing.keep_targets(session.workdir, plan.lanes, now)
  if plan.config.at_accuracy is not None:
    for lane, epoch in zip(plan.lanes, targets.best.epoch, strict=True):
      session.say(f'target {lane} is that of epoch {epoch}, by --at_accuracy')
  targets = kept_epochs.refresh(plan, session.engine, targets)
  return targets, dataclasses.replace(session, changed=changed)


def take(
  session: Session, each_epoch: EachEpoch = lambda epoch, states: None
) -> tuple[Targets, str]:
  """The targets [L] before `kept_epochs.refresh`, and what changed; as `obtain`.

  It is not asked of which targets the rows are.
  """
  targets, changed = _obtain(session, each_epoch)
  plan, workdir = session.plan, session.workdir
  return kept_epochs.choose(plan, workdir, session.engine, targets), changed


def _obtain(session: Session, each_epoch: EachEpoch) -> tuple[Targets, str]:
  plan, folder = session.plan, session.workdir.targets
  if plan.weights is not None:
    return targets_lib.from_variables(plan.weights), ''
  now, data = conditions.environment(session.engine), continuing.digest_data(plan.task)
  if borrowing.has_targets(plan.config) and (
    found := restore(plan, folder, session.say)
  ):
    targets, meta = found
    whose = f'--workdir={session.workdir.path}'
    continuing.check_data(whose, meta.get('data'), data)
    session.say('targets are there already')
    changed = conditions.contrast(meta.get('environment', {}), now)
    if changed:
      session.say(
        f'warning: the targets were trained under other conditions ({changed})'
      )
    return targets, '; '.join(filter(None, (meta.get('changed'), changed)))
  ids = [lane.lane_id for lane in plan.lanes]
  # `restore` must know what the lanes of a checkpoint carry.
  skips_of = [lane.treatment.skips for lane in plan.lanes]
  meta = {'lanes': ids, 'skips': skips_of, 'environment': now, 'data': data}
  rows = plan.borrowed
  if rows is None:  # an own copy of what was borrowed is damaged, or nothing is lent
    rows = borrowing.locate(plan.config, is_damaged=True)
  if rows is not None:
    targets, changed = _borrow(session, rows, data)
    # the rest of the rows need them
    checkpoints.save(folder, targets, meta | {'changed': changed})
    return targets, changed
  snapshots = session.snapshots('targets', lanes=ids, data=data)
  targets = _train(session, snapshots, each_epoch)
  checkpoints.save(folder, targets, meta | {'changed': snapshots.changed})
  snapshots.drop()
  return targets, snapshots.changed


def _borrow(
  session: Session, rows: np.ndarray, data: dict[str, str]
) -> tuple[Targets, str]:
  """The targets of the study that `targets_from` names, and what is other here."""
  plan = session.plan
  source = plan.config.targets_from
  assert source is not None
  session.say(f'targets are those of {source}')
  found = restore(plan, Workdir(source).targets, session.say)
  if found is None:
    raise InputError(
      f'--targets_from={source}: its targets are damaged; run that'
      f' {plan.config.word} again'
    )
  targets, meta = found
  continuing.check_trained_on(f'--targets_from={source}', meta.get('data'), data)
  environment = meta.get('environment', {})
  changed, precision = '', session.engine.precision
  if (trained_in := environment.get('precision', precision)) != precision:
    changed = conditions.contrast(environment, {'precision': precision})
    session.say(f'they were trained in {trained_in}, and are attacked in {precision}')
  theirs = environment.get('version')
  if theirs != gpz_jax.__version__:
    # Arrays of the same names and shapes may belong to a model that computes otherwise.
    session.say(
      f'warning: the targets of {source} were trained by gpz_jax {theirs}, and this is'
      f' {gpz_jax.__version__}; compare their accuracy with the one noted there'
    )
  return skip_lanes.adopt(plan.model, lanes_lib.take(targets, rows)), changed


def _train(
  session: Session, snapshots: SnapshotStore, each_epoch: EachEpoch
) -> Targets:
  plan, began = session.plan, time.monotonic()
  recipe = plan.config.make_target_recipe()
  name = plan.config.recipe_name()
  keeper = kept_epochs.Keeper(
    session.workdir.epochs, plan.lanes, plan.config.keep_checkpoints, recipe.epochs
  )
  session.say(f"targets train by the recipe '{name}': {recipe.sentence()}")
  if plan.initial is not None:
    session.say(describe_start(plan))
  for line in defended.list_notes(plan.model, plan.config, plan.task):
    session.say(line)
  with session.progress.phase('targets') as phase:

    def on_progress(done, total, values):
      keeper.watch(values)
      phase(done, total, values)

    def end_epoch(epoch, states):
      keeper.keep(epoch, states)
      each_epoch(epoch, states)

    targets, history = targets_lib.train(
      plan.model,
      plan.task,
      plan.lanes,
      recipe,
      convention=plan.config.smoothing,
      engine=session.engine,
      order_seed=plan.config.data_seed,
      bn_refresh=plan.config.bn_refresh,
      on_progress=on_progress,
      snapshots=snapshots,
      each_epoch=end_epoch,
      make_order=defended.choose_order(plan.config, plan.task),
      initial=plan.initial,
      is_paired=plan.config.paired,
    )
  jax.block_until_ready(targets)
  session.events.write('target', [name_run(lane) for lane in plan.lanes], history)
  session.say(f'targets trained in {format_seconds(time.monotonic() - began)}')
  return targets


def restore(plan: StudyPlan, folder, say: checkpoints.Say):
  """The targets of a checkpoint and its plain values; None if no step is intact."""
  meta = checkpoints.read_meta(folder)
  if meta is None:
    return None
  model, count = plan.model, len(meta['lanes'])
  if skips.has_skips(model) and 'skips' in meta:
    # Targets that are borrowed may carry more than those of this study do.
    model = skips.carry(model.clone(skips=None), meta['skips'])
  like = jax.eval_shape(lambda: targets_lib.blank(model, plan.task.image_shape, count))
  return checkpoints.restore(folder, like, say=say)


def load(
  plan: StudyPlan, workdir: Workdir, say: checkpoints.Say = lambda text: None
) -> Targets | None:
  """The targets that a finished study used; None where no checkpoint is intact.

  Args:
    plan: The study.
    workdir: Its workdir.
    say: Told of targets that are others than those of the rows.
  """
  engine = plan.config.make_engine()
  if plan.weights is not None:
    targets = targets_lib.from_variables(plan.weights)
  elif found := restore(plan, workdir.targets, lambda text: None):
    targets = kept_epochs.choose(plan, workdir, engine, found[0])
  else:
    return None
  now = continuing.digest_targets(plan.lanes, targets)
  for lane in continuing.find_replaced(workdir, plan.lanes, now):
    say(f'the target {lane} is another one now than when it was attacked')
  return kept_epochs.refresh(plan, engine, targets)


def effective_alphas(plan: StudyPlan, progress: float) -> jax.Array:
  """The label smoothing [L] of each target at a share `progress` of its training."""
  alphas = jnp.array([lane.treatment.alpha for lane in plan.lanes])
  return label_smoothing.effective_alpha(alphas, jnp.array(progress))
