"""From images to the answer: targets, activations, decoders, rows, zone, report."""

import contextlib
import dataclasses
import pathlib
import time
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
import tensorboardX
from jax.experimental.compilation_cache import compilation_cache

from gpz_jax import atomic, checkpoints, metrics, report, results
from gpz_jax import targets as targets_lib
from gpz_jax import zone as zone_lib
from gpz_jax.sweep import config as config_lib
from gpz_jax.sweep import memory, tuning
from gpz_jax.sweep import workdir as workdir_lib
from gpz_jax.sweep.ahead import Ahead, list_jobs
from gpz_jax.sweep.attack import NUM_SAMPLES, Context
from gpz_jax.sweep.cohort import Cohort
from gpz_jax.sweep.config import SweepConfig
from gpz_jax.sweep.plan import Plan, make_plan
from gpz_jax.sweep.progress import (
  Progress,
  format_seconds,
  peak_gigabytes,
  write_events,
)
from gpz_jax.training import lanes as lanes_lib
from gpz_jax.training.engine import Engine


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
    InputError: see `make_plan`; nothing is written then.
  """
  with Progress(quiet) as progress, _observed(config):
    progress.say(f'loading {config.dataset}')
    plan = make_plan(config)
    for name, reason in plan.dropped.items():
      progress.say(f'left out {name}: {reason}')
    for line in memory.notes(plan):
      progress.say(line)
    workdir = workdir_lib.create(config)
    missing = plan.missing()
    progress.say(
      f'{len(plan.lanes)} targets, {plan.total} attacks at {len(plan.splits)} splits of'
      f' {config.model}; {len(plan.done)} rows are there already'
    )
    with contextlib.closing(tensorboardX.SummaryWriter(str(workdir / 'tb'))) as events:
      if missing:
        _fill_in(plan, missing, workdir, progress, events)
    rows = results.read_rows(workdir / 'results.jsonl')
    results.write_parquet(workdir / 'results.parquet', rows)
    page = report.build(workdir)
    zone = zone_lib.golden_zone(rows)
    progress.say(f'done; peak memory {peak_gigabytes():.1f} GiB')
  return Results(results.read_parquet(workdir / 'results.parquet'), zone, workdir, page)


@contextlib.contextmanager
def _observed(config: SweepConfig) -> Iterator[None]:
  """Keeps compiled programs, and a trace, where the config says."""
  with contextlib.ExitStack() as stack:
    if config.compile_cache:
      stack.callback(_cache_programs, jax.config.values['jax_compilation_cache_dir'])
      _cache_programs(config.compile_cache)
    if config.profile:
      stack.enter_context(jax.profiler.trace(config.profile))
    yield


def _cache_programs(folder: str | None) -> None:
  jax.config.update('jax_compilation_cache_dir', folder)
  compilation_cache.reset_cache()  # it looks at its folder once


def _fill_in(plan: Plan, missing, workdir: pathlib.Path, progress, events) -> None:
  """Trains what the missing rows need, appending each row as its lane ends."""
  (workdir / 'results.parquet').unlink(missing_ok=True)  # no longer all there is
  _describe_data(plan, workdir)
  engine = tuning.make_engine(plan, workdir, progress)
  context = Context(plan, engine, workdir, progress, events)
  with contextlib.closing(Ahead(plan, engine, list_jobs(plan, missing))) as ahead:
    targets = _obtain_targets(plan, engine, workdir, progress, events)
    quality = _evaluate_targets(context, targets)
    for shape, wanted in missing.items():
      for row in Cohort(context, shape, ahead).run(wanted, targets, quality):
        results.append_row(workdir / 'results.jsonl', row)


def _evaluate_targets(
  context: Context, targets: targets_lib.Targets
) -> dict[str, np.ndarray]:
  """Accuracy [L] on val and test."""
  plan = context.plan
  quality = {
    subset: targets_lib.evaluate(
      plan.model, targets, getattr(plan.task, subset), engine=context.engine
    )['accuracy']
    for subset in ('val', 'test')
  }
  for lane, accuracy in zip(plan.lanes, quality['test'], strict=True):
    context.progress.say(
      f'target alpha {lane.alpha:g} seed {lane.seed}: test accuracy {accuracy:.3f}'
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


def _obtain_targets(
  plan: Plan, engine: Engine, workdir: pathlib.Path, progress: Progress, events: Any
) -> targets_lib.Targets:
  """The trained targets: from their checkpoint, or trained now."""
  config, folder = plan.config, workdir / 'targets'
  if plan.weights is not None:
    return targets_lib.from_variables(plan.weights)
  ids = [lane.lane_id for lane in plan.lanes]
  if workdir_lib.has_targets(config):
    progress.say('targets are there already')
    return _restore_targets(plan, folder)
  if plan.borrowed is not None:
    assert config.targets_from is not None
    progress.say(f'targets are those of {config.targets_from}')
    theirs = _restore_targets(plan, pathlib.Path(config.targets_from) / 'targets')
    targets = lanes_lib.take(theirs, plan.borrowed)
    checkpoints.save(folder, targets, {'lanes': ids})  # the rest of the rows need them
    return targets
  began = time.monotonic()
  with progress.phase('targets') as phase:
    targets, history = targets_lib.train(
      plan.model,
      plan.task,
      plan.lanes,
      config_lib.target_recipe(config),
      convention=config.smoothing,
      engine=engine,
      order_seed=config.data_seed,
      report=phase,
    )
  jax.block_until_ready(targets)
  write_events(events, 'target', ids, history)
  checkpoints.save(folder, targets, {'lanes': ids})
  progress.say(f'targets trained in {format_seconds(time.monotonic() - began)}')
  return targets


def _restore_targets(plan: Plan, folder: pathlib.Path) -> targets_lib.Targets:
  meta = checkpoints.read_meta(folder)
  assert meta is not None
  count = len(meta['lanes'])
  like = jax.eval_shape(
    lambda: targets_lib.blank(plan.model, plan.task.image_shape, count)
  )
  return checkpoints.restore(folder, like)
