"""The theory beside the attacks: rows of quantities for every target and split."""

import pathlib
import time
from collections.abc import Callable

import jax.numpy as jnp
import numpy as np

import gpz_jax
from gpz_jax import atomic, interruption, report, results, theory
from gpz_jax import targets as targets_lib
from gpz_jax.partition import PREDICTION
from gpz_jax.study.progress import format_seconds
from gpz_jax.sweep import config as config_lib
from gpz_jax.sweep.attack import Context
from gpz_jax.sweep.plan import Plan
from gpz_jax.theory import embedding, trajectory
from gpz_jax.theory.quantity import Quantity
from gpz_jax.training import lanes as lanes_lib
from gpz_jax.training.state import FitState
from gpz_jax.types import Dataset, Lane

FINISHED = 0  # the epoch of the finished target
SUBSET = 'train'
EMBEDDED = 500  # images in the embeddings


def splits(plan: Plan) -> tuple[str, ...]:
  """Where it is measured: every attacked split but the prediction."""
  return tuple(split for split in plan.splits if split != PREDICTION)


def missing(plan: Plan, workdir: pathlib.Path) -> list[int]:
  """Targets, by number, of which the finished quantities are not all there."""
  have = {(r['lane_id'], r['split']) for r in read(workdir) if r['epoch'] == FINISHED}
  return [
    i
    for i, lane in enumerate(plan.lanes)
    if any((lane.lane_id, split) not in have for split in splits(plan))
  ]


def read(workdir: pathlib.Path) -> list[results.Row]:
  """The rows of the theory that are there already."""
  path = workdir / 'theory.jsonl'
  return results.read_rows(path, results.THEORY) if path.exists() else []


def run(context: Context, targets: targets_lib.Targets) -> None:
  """Measures what is missing and writes theory.parquet.

  The rows of a target are written together, with its decoders' errors in them: call it
  when the attacks are done.
  """
  plan, path = context.plan, context.workdir / 'theory.jsonl'
  dataset = _examples(plan)
  for i in missing(plan, context.workdir):
    lane, began = plan.lanes[i], time.monotonic()
    found = theory.measure(
      plan.model,
      lanes_lib.take(targets.best.variables, i),
      splits(plan),
      dataset,
      alpha=lane.treatment.alpha,
      convention=plan.config.smoothing,
      errors=_errors(context, lane),
      engine=context.engine,
    )
    rows = make_rows(plan, lane, found, len(dataset))
    results.append_rows(path, rows, results.THEORY)
    seconds = format_seconds(time.monotonic() - began)
    context.progress.say(
      f'theory of {lane}: {len(rows)} quantities at {len(found)} splits in {seconds}'
    )
  _embed(context, targets, dataset)
  parquet = context.workdir / 'theory.parquet'
  results.write_parquet(parquet, read(context.workdir), results.THEORY)


def make_rows(
  plan: Plan, lane: Lane, found: dict[str, list[Quantity]], examples: int
) -> list[results.Row]:
  """What `theory.measure` found of a finished target, as rows."""
  return [
    _row(plan, lane, split, FINISHED, examples, quantity)
    for split, quantities in found.items()
    for quantity in quantities
  ]


def follow(context: Context) -> Callable[[int, FitState], None]:
  """What `targets.train` is to call after each epoch, for --theory_every."""
  plan, every = context.plan, context.plan.config.theory_every
  if every is None:
    return lambda epoch, states: None
  dataset = _examples(plan)
  epochs = config_lib.target_recipe(plan.config).epochs
  ids = [lane.lane_id for lane in plan.lanes]
  done = {(row['lane_id'], row['epoch']) for row in read(context.workdir)}

  def after(epoch: int, states: FitState) -> None:
    if epoch % every and epoch != epochs:
      return
    if all((lane_id, epoch) in done for lane_id in ids):
      return  # of an epoch that was interrupted behind this one
    states = lanes_lib.take(states, slice(len(ids)))
    alphas = jnp.array([lane.treatment.alpha for lane in plan.lanes])
    progress = jnp.array(epoch / epochs)
    found = trajectory.snapshot(
      plan.model,
      states.train.variables,
      splits(plan),
      dataset.image,
      dataset.label,
      alphas=targets_lib.effective_alpha(alphas, progress),
      convention=plan.config.smoothing,
      engine=context.engine,
    )
    rows = [
      _row(plan, lane, split, epoch, len(dataset), Quantity(name, float(values[i])))
      for split, quantities in found.items()
      for name, values in quantities.items()
      for i, lane in enumerate(plan.lanes)
    ]
    results.append_rows(context.workdir / 'theory.jsonl', rows, results.THEORY)

  return after


def _examples(plan: Plan) -> Dataset:
  """The first images of the train subset."""
  return plan.task.train.take(slice(plan.config.theory_limit))


def _errors(context: Context, lane: Lane) -> dict[str, float] | None:
  """The strongest attack's test MSE at each split; None where one has none."""
  rows = results.read_rows(context.workdir / 'results.jsonl')
  found: dict[str, float] = {}
  for row in rows:
    if row['lane_id'] == lane.lane_id and np.isfinite(row['test_mse']):
      split = row['split']
      found[split] = min(row['test_mse'], found.get(split, np.inf))
  return found if all(split in found for split in splits(context.plan)) else None


def _embed(context: Context, targets: targets_lib.Targets, dataset: Dataset) -> None:
  """t-SNE of the activations of the first seed's targets, for the report."""
  plan = context.plan
  few = dataset.take(slice(EMBEDDED))
  (context.workdir / 'theory').mkdir(exist_ok=True)
  for i, lane in enumerate(plan.lanes):
    paths = {
      split: report.embedding_path(context.workdir, lane.lane_id, split)
      for split in splits(plan)
    }
    if lane.seed != plan.lanes[0].seed or all(path.exists() for path in paths.values()):
      continue
    variables = lanes_lib.take(targets.best.variables, i)
    sent = theory.capture(
      plan.model, variables, few.image, tuple(paths), context.engine
    )
    for split, path in paths.items():
      interruption.check()
      points = embedding.embed(sent[split], seed=lane.seed)
      atomic.write_array(path, np.column_stack([points, few.label]).astype(np.float32))


def _row(
  plan: Plan, lane: Lane, split: str, epoch: int, examples: int, quantity: Quantity
) -> results.Row:
  return {
    'model': lane.model,
    'dataset': plan.task.name,
    **lane.treatment.columns,
    'seed': lane.seed,
    'lane_id': lane.lane_id,
    'split': split,
    'split_index': list(plan.shapes).index(split),
    'epoch': epoch,
    'subset': SUBSET,
    'examples': examples,
    'quantity': quantity.name,
    'value': quantity.value,
    'low': quantity.low,
    'high': quantity.high,
    'unit': quantity.unit,
    'assumes': quantity.assumes,
    'version': gpz_jax.__version__,
  }
