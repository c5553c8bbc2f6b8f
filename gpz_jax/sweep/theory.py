"""The theory beside the attacks: rows of quantities for every target and split."""

import pathlib
import time
from collections.abc import Callable, Mapping

import numpy as np

import gpz_jax
from gpz_jax import results, theory
from gpz_jax.partition import PREDICTION
from gpz_jax.study import pictures
from gpz_jax.study.progress import format_seconds
from gpz_jax.study.session import Session, check_interrupted
from gpz_jax.study.targets import Targets, effective_alphas
from gpz_jax.study.workdir import Workdir
from gpz_jax.sweep import measurable
from gpz_jax.sweep.plan import Plan
from gpz_jax.theory import embedding, trajectory
from gpz_jax.theory.information import kinds
from gpz_jax.theory.quantity import Quantity
from gpz_jax.training import lanes as lanes_lib
from gpz_jax.training.state import FitState
from gpz_jax.types import Dataset, InputError, Lane

FINISHED = 0  # the epoch of the finished target
SUBSET = 'train'
EMBEDDED = 500  # images in the embeddings
OF_ATTACKS = ('conditional_entropy_decoder', 'information_decoder')


def splits(plan: Plan) -> tuple[str, ...]:
  """Where it is measured: every attacked split but the prediction."""
  return tuple(split for split in plan.splits if split != PREDICTION)


def missing(plan: Plan, workdir: Workdir) -> list[int]:
  """Targets, by number, of which the finished quantities are not all there.

  Those of another number of images do not count, because nothing compares them.
  """
  count = measurable.count_examples(plan.config, plan.task)
  have = {
    (r['lane_id'], r['split'])
    for r in workdir.read_rows(results.THEORY)
    if r['epoch'] == FINISHED and r['examples'] == count
  }
  return [
    i
    for i, lane in enumerate(plan.lanes)
    if any((lane.lane_id, split) not in have for split in splits(plan))
  ]


def is_incomplete(plan: Plan, workdir: Workdir) -> bool:
  """Whether quantities are missing, or an embedding is not what was written."""
  return bool(missing(plan, workdir)) or bool(_damaged_embeddings(workdir))


def run(session: Session[Plan], targets: Targets) -> None:
  """Measures what is missing and writes theory.parquet.

  What was measured on another number of images is removed first, so that at no time
  quantities of several numbers stand in one table.
  The rows of a target are written together, with its decoders' errors in them: call it
  when the attacks are done.
  """
  plan, workdir = session.plan, session.workdir
  dataset = _examples(plan)
  _remove_others(session)
  for i in missing(plan, workdir):
    lane, began = plan.lanes[i], time.monotonic()
    strongest = _strongest(session, lane)
    found = theory.measure(
      plan.model,
      lanes_lib.take(targets.best.variables, i),
      splits(plan),
      dataset,
      alpha=lane.treatment.alpha,
      convention=plan.config.smoothing,
      errors={split: row['test_mse'] for split, row in strongest.items()} or None,
      engine=session.engine,
    )
    rows = make_rows(plan, lane, _name_attacks(found, strongest), len(dataset))
    workdir.append_rows(rows, results.THEORY)
    seconds = format_seconds(time.monotonic() - began)
    session.say(
      f'theory of {lane}: {len(rows)} quantities at {len(found)} splits in {seconds}'
    )
  _embed(session, targets, dataset)
  rows = workdir.read_rows(results.THEORY)
  results.write_parquet(workdir.table(results.THEORY), rows, results.THEORY)


def make_rows(
  plan: Plan, lane: Lane, found: dict[str, list[Quantity]], examples: int
) -> list[results.Row]:
  """What `theory.measure` found of a finished target, as rows."""
  return [
    _row(plan, lane, split, FINISHED, examples, quantity)
    for split, quantities in found.items()
    for quantity in quantities
  ]


def follow(session: Session[Plan]) -> Callable[[int, FitState], None]:
  """What `targets.train` is to call after each epoch, for --theory_every."""
  plan, every = session.plan, session.plan.config.theory_every
  if every is None:
    return lambda epoch, states: None
  dataset = _examples(plan)
  epochs = plan.config.make_target_recipe().epochs
  ids = [lane.lane_id for lane in plan.lanes]
  done = {
    (row['lane_id'], row['epoch']) for row in session.workdir.read_rows(results.THEORY)
  }

  def after(epoch: int, states: FitState) -> None:
    if epoch % every and epoch != epochs:
      return
    if all((lane_id, epoch) in done for lane_id in ids):
      return  # of an epoch that was interrupted behind this one
    states = lanes_lib.take(states, slice(len(ids)))
    found = trajectory.snapshot(
      plan.model,
      states.train.variables,
      splits(plan),
      dataset.image,
      dataset.label,
      alphas=effective_alphas(plan, epoch / epochs),
      convention=plan.config.smoothing,
      engine=session.engine,
    )
    rows = [
      _row(plan, lane, split, epoch, len(dataset), Quantity(name, float(values[i])))
      for split, quantities in found.items()
      for name, values in quantities.items()
      for i, lane in enumerate(plan.lanes)
    ]
    session.workdir.append_rows(rows, results.THEORY)

  return after


def _examples(plan: Plan) -> Dataset:
  """The first images of the train subset."""
  return plan.task.train.take(slice(plan.config.theory_limit))


def _remove_others(session: Session[Plan]) -> None:
  """Removes the finished quantities of another number of images, if there are any."""
  plan, workdir, schema = session.plan, session.workdir, results.THEORY
  count = measurable.count_examples(plan.config, plan.task)
  rows = workdir.read_rows(schema)
  kept = [r for r in rows if r['epoch'] != FINISHED or r['examples'] == count]
  if len(kept) == len(rows):
    return
  others = {r['examples'] for r in rows if r['epoch'] == FINISHED} - {count}
  numbers = ' and '.join(f'{number:,}' for number in sorted(others))
  session.say(
    f'the theory was measured on {numbers} images and is measured again on {count:,}'
  )
  # A reader takes the table first, so the lines may not differ from it.
  workdir.table(schema).unlink(missing_ok=True)
  results.write_rows(workdir.lines(schema), kept, schema)


def _strongest(session: Session[Plan], lane: Lane) -> dict[str, results.Row]:
  """The row of the strongest attack at each split; {} where a split has none."""
  rows = session.workdir.read_rows()
  found = {
    row['split']: row
    for row in results.strongest(row for row in rows if row['lane_id'] == lane.lane_id)
    if row['status'] == 'done' and np.isfinite(row['test_mse'])
  }
  return found if all(split in found for split in splits(session.plan)) else {}


def _name_attacks(
  found: Mapping[str, list[Quantity]], strongest: Mapping[str, results.Row]
) -> dict[str, list[Quantity]]:
  """The quantities, with the attack and images that a decoder's bound rests on.

  Its row is among those of the train subset, whose images the attack is not scored on.
  """
  return {
    split: [
      kinds.with_note(
        quantity,
        f'MSE of {strongest[split]["attack"]} on {strongest[split]["n_test"]} test'
        ' images',
      )
      if quantity.name in OF_ATTACKS and split in strongest
      else quantity
      for quantity in quantities
    ]
    for split, quantities in found.items()
  }


def _embed(session: Session[Plan], targets: Targets, dataset: Dataset) -> None:
  """t-SNE of the activations of the first seed's targets, for the report."""
  plan = session.plan
  few = dataset.take(slice(EMBEDDED))
  session.workdir.embeddings.mkdir(exist_ok=True)
  for path in _damaged_embeddings(session.workdir):
    session.say(f'embedding {path.name} is damaged or gone: made again')
    path.unlink(missing_ok=True)
  for i, lane in enumerate(plan.lanes):
    paths = {
      split: session.workdir.embedding(lane.lane_id, split) for split in splits(plan)
    }
    if lane.seed != plan.lanes[0].seed or all(path.exists() for path in paths.values()):
      continue
    variables = lanes_lib.take(targets.best.variables, i)
    sent = theory.capture_on_host(
      plan.model, variables, few.image, tuple(paths), session.engine
    )
    for split, path in paths.items():
      check_interrupted()
      points = embedding.embed(sent[split], seed=lane.seed)
      session.workdir.save_embedding(path, points, few.label)


def _damaged_embeddings(workdir: Workdir) -> list[pathlib.Path]:
  """The embeddings whose checksum is known and differs, and those that are gone."""
  folder = workdir.embeddings
  try:
    checksums = pictures.read_checksums(folder)
  except InputError:  # of none is it known what it should be
    return sorted(folder.glob('*.npy'))
  paths = [folder / name for name in checksums]
  return [path for path in paths if pictures.find_state(path, checksums) != 'intact']


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
