"""From images to the answer: targets, activations, decoders, rows, zone, report."""

import contextlib
import dataclasses
import itertools
import math
import pathlib
import time
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import tensorboardX

import gpz_jax
from gpz_jax import checkpoints, data, metrics, models, partition, report, results
from gpz_jax import targets as targets_lib
from gpz_jax import zone as zone_lib
from gpz_jax.attacks import decoders as decoders_lib
from gpz_jax.attacks import inversion
from gpz_jax.attacks.inversion import AttackLane
from gpz_jax.sweep import config as config_lib
from gpz_jax.sweep import workdir as workdir_lib
from gpz_jax.sweep.config import SweepConfig
from gpz_jax.sweep.progress import Progress, format_seconds, peak_gigabytes
from gpz_jax.training import lanes as lanes_lib
from gpz_jax.types import Lane, Task

NUM_SAMPLES = 8  # test images shown in the report


@dataclasses.dataclass(frozen=True)
class Results:
  """What a sweep found."""

  rows: list[results.Row]
  zone: zone_lib.Zone
  workdir: pathlib.Path
  report: pathlib.Path  # index.html


@dataclasses.dataclass(frozen=True)
class Plan:
  """A sweep, worked out: everything that is known before anything is trained."""

  config: SweepConfig
  task: Task
  model: nn.Module
  lanes: tuple[Lane, ...]  # of the targets
  shapes: dict[str, jax.ShapeDtypeStruct]  # of all splits of the model
  splits: tuple[str, ...]  # the chosen ones
  costs: dict[str, dict[str, float]]
  done: list[results.Row]

  def missing(self) -> dict[tuple[int, ...], list[AttackLane]]:
    """The attack lanes without a row, by cohort."""
    have = {results.row_key(row) for row in self.done}
    wanted = {
      shape: [
        AttackLane(i, lane, split)
        for split in splits
        for i, lane in enumerate(self.lanes)
        if (lane.lane_id, split, 'inversion') not in have
      ]
      for shape, splits in inversion.cohorts(self.shapes, self.splits).items()
    }
    return {shape: lanes for shape, lanes in wanted.items() if lanes}


def make_plan(config: SweepConfig) -> Plan:
  """Checks everything a sweep needs; writes nothing but the cache of decoded images.

  Raises:
    InputError: a field, the data, a split or the workdir is not usable.
  """
  config_lib.validate(config)
  done = workdir_lib.check(config)
  task = data.load(
    config.dataset,
    data_dir=config.data_dir,
    image_size=config.image_size,
    aux_dataset=config.aux_dataset,
    aux_exclude=config.aux_exclude,
    train_limit=config.train_limit,
    val_limit=config.val_limit,
    test_limit=config.test_limit,
    aux_limit=config.aux_limit,
    data_seed=config.data_seed,
  )
  options = config_lib.parse_model_options(config.model_options)
  model = models.make(config.model, num_classes=task.num_classes, **options)
  shapes = partition.list_splits(model, task.image_shape)
  splits = partition.select_splits(config.splits, tuple(shapes))
  for split in splits:
    decoders_lib.make(shapes[split].shape, task.image_shape)
  sample = jnp.asarray(task.test.image[:2], jnp.float32) / 255
  variables = partition.arbitrary_variables(model, task.image_shape)
  partition.check_cuts(model, variables, sample, splits)
  lanes = tuple(
    Lane(config.model, config.dataset, alpha, seed)
    for alpha, seed in itertools.product(config.alphas, config.seeds)
  )
  costs = partition.split_costs(model, task.image_shape, task.num_classes, splits)
  return Plan(config, task, model, lanes, shapes, splits, costs, done)


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
  with Progress(quiet) as progress:
    progress.say(f'loading {config.dataset}')
    plan = make_plan(config)
    workdir = workdir_lib.create(config)
    missing = plan.missing()
    total = len(plan.lanes) * len(plan.splits)
    progress.say(
      f'{len(plan.lanes)} targets, {total} decoders at {len(plan.splits)} splits of'
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


def _fill_in(plan: Plan, missing, workdir: pathlib.Path, progress, events) -> None:
  """Trains what the missing rows need, appending each row as its lane ends."""
  (workdir / 'results.parquet').unlink(missing_ok=True)  # no longer all there is
  _describe_data(plan, workdir)
  targets = _obtain_targets(plan, workdir, progress, events)
  quality = {
    subset: targets_lib.evaluate(
      plan.model, targets, getattr(plan.task, subset), strategy=plan.config.strategy
    )['accuracy']
    for subset in ('val', 'test')
  }
  for lane, accuracy in zip(plan.lanes, quality['test'], strict=True):
    progress.say(
      f'target alpha {lane.alpha:g} seed {lane.seed}: test accuracy {accuracy:.3f}'
    )
  for shape, lanes in missing.items():
    attack = _Attack(plan, shape, workdir, progress, events)
    for wave in attack.waves(lanes):
      for row in attack.run(wave, targets, quality):
        results.append_row(workdir / 'results.jsonl', row)


def _describe_data(plan: Plan, workdir: pathlib.Path) -> None:
  """The ladder and the sample images: what the report shows of the data itself."""
  if not (workdir / 'ladder.json').exists():
    task = plan.task
    ladder = metrics.ladder(
      task.aux, task.test, shared_labels=task.aux_name == task.name
    )
    workdir_lib.write_json(workdir / 'ladder.json', ladder)
  originals = plan.task.test.image[:NUM_SAMPLES]
  workdir_lib.write_array(workdir / 'samples' / 'originals.npy', originals)


def _obtain_targets(
  plan: Plan, workdir: pathlib.Path, progress: Progress, events: Any
) -> targets_lib.Targets:
  """The trained targets: from their checkpoint, or trained now."""
  config, folder = plan.config, workdir / 'targets'
  ids = [lane.lane_id for lane in plan.lanes]
  meta = checkpoints.read_meta(folder)
  if meta is not None and meta['lanes'] == ids:
    progress.say('targets are there already')
    like = jax.eval_shape(
      lambda: targets_lib.blank(plan.model, plan.task.image_shape, len(ids))
    )
    return checkpoints.restore(folder, like)
  began = time.monotonic()
  targets, history = targets_lib.train(
    plan.model,
    plan.task,
    plan.lanes,
    config_lib.target_recipe(config),
    convention=config.smoothing,  # pyright: ignore[reportArgumentType] validated
    strategy=config.strategy,
    order_seed=config.data_seed,
    report=progress.phase('targets'),
  )
  jax.block_until_ready(targets)
  _write_events(events, 'target', ids, history)
  checkpoints.save(folder, targets, {'lanes': ids})
  progress.say(f'targets trained in {format_seconds(time.monotonic() - began)}')
  return targets


class _Attack:
  """The inversion attack on one cohort."""

  def __init__(self, plan: Plan, shape: tuple[int, ...], workdir, progress, events):
    self.plan, self.shape, self.workdir = plan, shape, workdir
    self.progress, self.events = progress, events
    config = plan.config
    act = None if config.decoder_act == 'auto' else config.decoder_act
    self.decoder = decoders_lib.make(
      shape,
      plan.task.image_shape,
      act=act,  # pyright: ignore[reportArgumentType] validated
    )
    self.recipe = config_lib.decoder_recipe(config)
    self.strategy = lanes_lib.resolve(config.strategy)
    self.name = 'x'.join(map(str, shape))

  def waves(self, lanes: list[AttackLane]):
    """The lanes in parts whose activations fit the budget."""
    images = len(self.plan.task.aux) + len(self.plan.task.test)
    item = np.dtype(self.plan.config.activation_dtype).itemsize
    per_lane = images * math.prod(self.shape) * item
    return inversion.waves(lanes, per_lane, self.plan.config.cache_budget_gb * 2**30)

  def run(self, wave, targets, quality) -> list[results.Row]:
    """Trains and scores the decoders of one wave; saves them; returns their rows."""
    began = time.monotonic()
    config, task = self.plan.config, self.plan.task
    fit_on, choose_on = inversion.subsets(task, config.selection)  # pyright: ignore[reportArgumentType] validated
    aux = self._capture(wave, targets, task.aux.image)
    held_out = aux[:, len(fit_on) :]
    if config.selection == 'test':
      held_out = self._capture(wave, targets, task.test.image)
    fit = (aux[:, : len(fit_on)], fit_on.image)
    decoders, history = inversion.train(
      self.decoder,
      wave,
      fit,
      (held_out, choose_on.image),
      self.recipe,
      strategy=self.strategy,
      order_seed=config.data_seed,
      report=self.progress.phase(f'{self.name}: {len(wave)} decoders'),
    )
    del aux, held_out
    on_aux = self._evaluate(decoders, *fit)
    del fit
    test = (self._capture(wave, targets, task.test.image), task.test.image)
    on_test = self._evaluate(decoders, *test)
    self._save(wave, decoders, history, test[0][:, :NUM_SAMPLES])
    seconds = time.monotonic() - began
    scores = {f'test_{name}': value for name, value in on_test.items()}
    for name in ('mse', 'psnr', 'mse_paper', 'psnr_paper'):
      scores[f'aux_{name}'] = on_aux[name]
    shares = seconds / len(wave)
    errors = ' '.join(f'{mse:.4f}' for mse in on_test['mse'])
    self.progress.say(
      f'{self.name}: {len(wave)} decoders in {format_seconds(seconds)};'
      f' test MSE {errors}'
    )
    return [
      self._row(lane, decoders, scores, quality, i, shares, len(fit_on))
      for i, lane in enumerate(wave)
    ]

  def _capture(self, wave, targets, images: np.ndarray) -> jax.Array:
    dtype = jnp.dtype(self.plan.config.activation_dtype)
    return inversion.capture(
      self.plan.model, targets.best.variables, wave, images, dtype
    )

  def _evaluate(self, decoders, activations, images):
    return inversion.evaluate(
      self.decoder, decoders, activations, images, strategy=self.strategy
    )

  def _save(self, wave, decoders, history, activations) -> None:
    """The decoders, their curves and their sample reconstructions."""
    ids = [f'{lane.lane.lane_id}-{lane.split}' for lane in wave]
    _write_events(self.events, 'decoder', ids, history)
    folder = self.workdir / 'decoders' / f'{self.name}-{ids[0].replace("/", ".")}'
    checkpoints.save(folder, decoders, {'lanes': ids})
    images = inversion.reconstruct(
      self.decoder, decoders, activations, strategy=self.strategy
    )
    for lane, image in zip(wave, np.asarray(images), strict=True):
      path = report.sample_path(self.workdir, lane.lane.lane_id, lane.split)
      workdir_lib.write_array(path, np.round(255 * image).astype(np.uint8))

  def _row(
    self, attack_lane: AttackLane, decoders, scores, quality, i, seconds, n_aux
  ) -> results.Row:
    config, task, lane = self.plan.config, self.plan.task, attack_lane.lane
    params = jax.tree.leaves(decoders.best.params)
    return {
      'model': lane.model,
      'dataset': task.name,
      'aux_dataset': task.aux_name,
      'alpha': lane.alpha,
      'seed': lane.seed,
      'split': attack_lane.split,
      'split_index': list(self.plan.shapes).index(attack_lane.split),
      'attack': 'inversion',
      'decoder': type(self.decoder).__name__,
      'selection': config.selection,
      'activation_shape': self.name,
      **self.plan.costs[attack_lane.split],
      'target_accuracy': quality['test'][attack_lane.target],
      'target_val_accuracy': quality['val'][attack_lane.target],
      **{name: value[i] for name, value in scores.items()},
      'decoder_params': sum(math.prod(leaf.shape[1:]) for leaf in params),
      'epochs': self.recipe.epochs,
      'best_epoch': decoders.best.epoch[i],
      'n_test': len(task.test),
      'n_aux': n_aux,
      'status': 'done' if decoders.alive[i] else 'diverged',
      'lane_id': lane.lane_id,
      'strategy': self.strategy,
      'precision': config.activation_dtype,
      'wall_seconds': seconds,
      'version': gpz_jax.__version__,
    }


def _write_events(events: Any, kind: str, ids: list[str], history) -> None:
  """Curves over epochs, one line a lane, for TensorBoard."""
  for name, rows in history.items():
    for epoch, values in enumerate(rows, 1):
      for lane, value in zip(ids, values, strict=True):
        events.add_scalar(f'{kind}/{name}/{lane}', float(value), epoch)
