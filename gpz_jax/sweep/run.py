"""From images to the answer: targets, activations, decoders, rows, zone, report."""

import contextlib
import dataclasses
import pathlib
import time
from collections.abc import Iterator

import jax
import numpy as np
from jax.experimental.compilation_cache import compilation_cache

from gpz_jax import atomic, checkpoints, interruption, metrics, report, results
from gpz_jax import targets as targets_lib
from gpz_jax import zone as zone_lib
from gpz_jax.study.progress import (
  Events,
  Progress,
  format_seconds,
  peak_gigabytes,
)
from gpz_jax.study.snapshots import contrast, environment
from gpz_jax.sweep import config as config_lib
from gpz_jax.sweep import memory, theory, tuning
from gpz_jax.sweep import workdir as workdir_lib
from gpz_jax.sweep.ahead import Ahead, list_jobs
from gpz_jax.sweep.attack import NUM_SAMPLES, Context
from gpz_jax.sweep.cohort import Cohort
from gpz_jax.sweep.config import SweepConfig
from gpz_jax.sweep.plan import Plan, make_plan
from gpz_jax.training import lanes as lanes_lib
from gpz_jax.types import InputError

_CACHE = ('jax_compilation_cache_dir', 'jax_persistent_cache_min_compile_time_secs')


@dataclasses.dataclass(frozen=True)
class Results:
  """What a sweep found."""

  rows: list[results.Row]
  zone: zone_lib.Zone
  workdir: pathlib.Path
  report: pathlib.Path  # index.html


def run(config: SweepConfig, *, quiet: bool = False) -> Results:
  """Runs a sweep, or what is missing of it, and writes its workdir.

  Args:
    config: what to sweep; a workdir that holds the same config is continued.
    quiet: print nothing.

  Returns:
    The rows, the zone and the path of the report.

  Raises:
    InputError: see `make_plan`; nothing is written then. Or another process is writing
      the workdir.
    Interrupted: a signal came; the same call goes on where it ended.
  """
  config = config_lib.validate(config)
  with contextlib.ExitStack() as stack:
    progress = stack.enter_context(Progress(quiet))
    stack.enter_context(_observed(config))
    stack.enter_context(interruption.handled())
    progress.say(f'loading {config.dataset}')
    plan = make_plan(config)
    for name, reason in plan.dropped.items():
      progress.say(f'left out {name}: {reason}')
    for line in memory.notes(plan):
      progress.say(line)
    interruption.check()
    workdir = pathlib.Path(config.workdir)
    stack.enter_context(workdir_lib.locked(workdir, progress.say))
    # Until now another process may have written it.
    plan = dataclasses.replace(plan, done=workdir_lib.check(config))
    workdir_lib.write_identity(config)
    missing = plan.missing()
    progress.say(
      f'{len(plan.lanes)} targets, {plan.total} attacks at {len(plan.splits)} splits of'
      f' {config.model}; {len(plan.done)} rows are there already'
    )
    with contextlib.closing(Events(workdir / 'tb')) as events:
      wants_theory = config.theory and theory.missing(plan, workdir)
      if missing or wants_theory:
        _fill_in(plan, missing, workdir, progress, events)
    rows = results.read_rows(workdir / 'results.jsonl')
    results.write_parquet(workdir / 'results.parquet', rows)
    page = report.build(workdir)
    zone = zone_lib.golden_zone(rows)
    workdir_lib.tidy(workdir)
    progress.say(f'done; peak memory {peak_gigabytes():.1f} GiB')
  return Results(results.read_parquet(workdir / 'results.parquet'), zone, workdir, page)


@contextlib.contextmanager
def _observed(config: SweepConfig) -> Iterator[None]:
  """Keeps compiled programs, and a trace, where the config says."""
  with contextlib.ExitStack() as stack:
    for name in ('compile_cache', 'profile'):
      _make_folder(name, getattr(config, name))
    if config.compile_cache:
      stack.callback(_cache_programs, *(jax.config.values[key] for key in _CACHE))
      _cache_programs(config.compile_cache, 0.0)  # hundreds of small ones, 0.1 s each
    if config.profile:
      stack.enter_context(jax.profiler.trace(config.profile))
    yield


def _make_folder(name: str, folder: str | None) -> None:
  """Makes a folder now that JAX would miss at the end only."""
  if not folder:
    return
  try:
    pathlib.Path(folder).mkdir(parents=True, exist_ok=True)
  except OSError as error:
    raise InputError(
      f'--{name}={folder} cannot be made: {error.strerror}; name another folder'
    ) from error


def _cache_programs(folder: str | None, least_seconds: float) -> None:
  for key, value in zip(_CACHE, (folder, least_seconds), strict=True):
    jax.config.update(key, value)
  compilation_cache.reset_cache()  # it looks at its folder once


def _fill_in(plan: Plan, missing, workdir: pathlib.Path, progress, events) -> None:
  """Trains what the missing rows need, appending each row as its lane ends."""
  (workdir / 'results.parquet').unlink(missing_ok=True)  # no longer all there is
  _describe_data(plan, workdir)
  engine = tuning.make_engine(plan, workdir, progress)
  context = Context(plan, engine, workdir, progress, events)
  with contextlib.closing(Ahead(plan, engine, list_jobs(plan, missing))) as ahead:
    targets, changed = obtain_targets(context)
    context = dataclasses.replace(context, changed=changed)
    quality = _evaluate_targets(context, targets)
    for shape, wanted in missing.items():
      for rows in Cohort(context, shape, ahead).run(wanted, targets, quality):
        results.append_rows(workdir / 'results.jsonl', rows)
  if plan.config.theory:
    theory.run(context, targets)


def _evaluate_targets(
  context: Context, targets: targets_lib.Targets
) -> dict[str, np.ndarray]:
  """Accuracy [L] on val and test, and whether training went well [L], `is_finite`."""
  plan = context.plan
  quality = {
    subset: targets_lib.evaluate(
      plan.model, targets, getattr(plan.task, subset), engine=context.engine
    )['accuracy']
    for subset in ('val', 'test')
  }
  quality['is_finite'] = np.asarray(targets.is_finite)
  for i, lane in enumerate(plan.lanes):
    diverged = '' if quality['is_finite'][i] else '; it diverged'
    context.progress.say(
      f'target {lane}: test accuracy {quality["test"][i]:.3f}{diverged}'
    )
  return quality


def _describe_data(plan: Plan, workdir: pathlib.Path) -> None:
  """The ladder and the sample images: what the report shows of the data itself."""
  if not (workdir / 'ladder.json').exists():
    task = plan.task
    ladder = metrics.ladder(
      task.aux, task.test, shared_labels=task.aux_name == task.name
    )
    atomic.write_json(workdir / 'ladder.json', ladder)
  originals = plan.task.test.image[:NUM_SAMPLES]
  atomic.write_array(workdir / 'samples' / 'originals.npy', originals)


def obtain_targets(context: Context) -> tuple[targets_lib.Targets, str]:
  """The trained targets, from their checkpoint or trained now, and what changed since.

  That is what bit-for-bit equality with an uninterrupted run depends on.
  """
  plan, folder, say = context.plan, context.workdir / 'targets', context.progress.say
  if plan.weights is not None:
    return targets_lib.from_variables(plan.weights), ''
  ids = [lane.lane_id for lane in plan.lanes]
  conditions = environment(context.engine)
  if workdir_lib.has_targets(plan.config) and (found := _restore(plan, folder, say)):
    targets, meta = found
    say('targets are there already')
    changed = contrast(meta.get('environment', {}), conditions)
    if changed:
      say(f'warning: the targets were trained under other conditions ({changed})')
    return targets, '; '.join(filter(None, (meta.get('changed'), changed)))
  if plan.borrowed is not None:
    targets = _borrow(context)
    meta = {'lanes': ids, 'environment': conditions, 'changed': ''}
    checkpoints.save(folder, targets, meta)  # the rest of the rows need them
    return targets, ''
  snapshots = context.snapshots('targets', lanes=ids)
  targets = _train_targets(context, ids, snapshots)
  meta = {'lanes': ids, 'environment': conditions, 'changed': snapshots.changed}
  checkpoints.save(folder, targets, meta)
  snapshots.drop()
  return targets, snapshots.changed


def _borrow(context: Context) -> targets_lib.Targets:
  """The targets of the sweep that `targets_from` names."""
  plan = context.plan
  source = plan.config.targets_from
  assert source is not None
  assert plan.borrowed is not None
  context.progress.say(f'targets are those of {source}')
  found = _restore(plan, pathlib.Path(source) / 'targets', context.progress.say)
  if found is None:
    raise InputError(
      f'--targets_from={source}: its targets are damaged; run that sweep again'
    )
  return lanes_lib.take(found[0], plan.borrowed)


def _train_targets(context: Context, ids: list[str], snapshots) -> targets_lib.Targets:
  plan, began = context.plan, time.monotonic()
  with context.progress.phase('targets') as phase:
    targets, history = targets_lib.train(
      plan.model,
      plan.task,
      plan.lanes,
      config_lib.target_recipe(plan.config),
      convention=plan.config.smoothing,
      engine=context.engine,
      order_seed=plan.config.data_seed,
      on_progress=phase,
      snapshots=snapshots,
      each_epoch=theory.follow(context),
    )
  jax.block_until_ready(targets)
  context.events.write('target', ids, history)
  context.progress.say(f'targets trained in {format_seconds(time.monotonic() - began)}')
  return targets


def _restore(plan: Plan, folder: pathlib.Path, say: checkpoints.Say):
  """The targets of a checkpoint and its plain values; None if none is intact."""
  meta = checkpoints.read_meta(folder)
  if meta is None:
    return None
  count = len(meta['lanes'])
  like = jax.eval_shape(
    lambda: targets_lib.blank(plan.model, plan.task.image_shape, count)
  )
  return checkpoints.restore(folder, like, say=say)
