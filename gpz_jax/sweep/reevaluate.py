"""Rows computed again from what the sweep saved: targets, decoders and the data."""

import dataclasses
import math
import pathlib
import random
import tempfile
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

import gpz_jax
from gpz_jax import checkpoints, results
from gpz_jax import targets as targets_lib
from gpz_jax.attacks.activation import inputs, inversion
from gpz_jax.attacks.activation.inversion import AttackLane
from gpz_jax.attacks.activation.specs import DecoderAttack
from gpz_jax.study.progress import Events, Progress
from gpz_jax.sweep import attack as attack_lib
from gpz_jax.sweep import tuning
from gpz_jax.sweep.config import SweepConfig
from gpz_jax.sweep.plan import Plan, make_plan
from gpz_jax.training.engine import Engine

# Least relative difference that is reported where the machine, a version or the way
# lanes run is not what it was; on the same ones every bit must be.
TOLERANCE = {'float32': 1e-3, 'bfloat16': 3e-2}


@dataclasses.dataclass
class Recomputed:
  """How many rows were computed again, of how many that can be."""

  done: int = 0
  possible: int = 0
  inexact: int = 0  # compared within the tolerance

  def sentence(self) -> str:
    """As part of another one."""
    how = 'bit for bit'
    if self.inexact:
      how = f'{self.inexact} of them within {TOLERANCE["float32"]:g} (other conditions)'
    text = f'{self.done} of {self.possible} rows with a decoder computed again'
    return f'{text}, {how}' if self.done else text


def reevaluate(
  workdir: pathlib.Path,
  config: SweepConfig,
  rows: list[results.Row],
  sample: int,
  recomputed: Recomputed,
) -> Iterator[str]:
  """Differences between a sample of rows and their decoders' scores, one line each.

  All lanes of a checkpoint are evaluated together, as they were: only then can the
  result be the same bit for bit whatever the strategy.
  """
  rows = [row for row in rows if row['decoder'] != 'none']
  recomputed.possible = len(rows)
  places = _find_decoders(workdir)
  if lost := [row for row in rows if results.row_key(row) not in places]:
    yield from (f'{describe(row)} has no checkpoint in decoders/' for row in lost)
    return
  chosen = random.Random(0).sample(rows, min(sample, len(rows)))
  if not chosen:
    return
  plan = make_plan(config)
  with tempfile.TemporaryDirectory(prefix='gpz_jax_verify_') as scratch:
    progress = Progress(quiet=True)
    engine = tuning.make_engine(plan, workdir, progress)
    folder = pathlib.Path(scratch)
    events = Events(folder / 'tb')
    context = attack_lib.Context(plan, engine, folder, progress, events)
    targets = _load_targets(plan, workdir)
    if targets is None:
      yield 'targets/ has no intact checkpoint'
      return
    accuracy = {
      name: targets_lib.evaluate(plan.model, targets, subset, engine=engine)['accuracy']
      for name, subset in (
        ('target_accuracy', plan.task.test),
        ('target_val_accuracy', plan.task.val),
      )
    }
    found: dict[pathlib.Path, list[dict[str, Any]]] = {}
    for row in chosen:
      folder, i = places[results.row_key(row)]
      if folder not in found:
        found[folder] = _score(context, targets, folder)
      target = [lane.lane_id for lane in plan.lanes].index(row['lane_id'])
      now = found[folder][i] | {name: a[target] for name, a in accuracy.items()}
      tolerance = _tolerance(workdir, engine, row)
      recomputed.done += 1
      recomputed.inexact += tolerance > 0
      yield from _compare(row, now, tolerance)


def _find_decoders(
  workdir: pathlib.Path,
) -> dict[tuple[str, str, str], tuple[pathlib.Path, int]]:
  """Key of a row -> the checkpoint of its decoder, and which of its lanes it is."""
  places = {}
  folders = (workdir / 'decoders').glob('*')
  for folder in sorted(folders, key=lambda path: path.stat().st_mtime_ns):
    meta = checkpoints.read_meta(folder) or {'lanes': []}
    for i, name in enumerate(meta['lanes']):
      lane_id, _, split = name.partition('-')
      places[lane_id, split, meta['attack']] = folder, i
  return places


def _load_targets(plan: Plan, workdir: pathlib.Path) -> targets_lib.Targets | None:
  if plan.weights is not None:
    return targets_lib.from_variables(plan.weights)
  shape, count = plan.task.image_shape, len(plan.lanes)
  like = jax.eval_shape(lambda: targets_lib.blank(plan.model, shape, count))
  found = checkpoints.restore(workdir / 'targets', like)
  return None if found is None else found[0]


def _score(
  context: attack_lib.Context, targets, folder: pathlib.Path
) -> list[dict[str, Any]]:
  """What rows say of each lane of a decoders' checkpoint: column -> value."""
  plan = context.plan
  meta = checkpoints.read_meta(folder)
  assert meta is not None, 'checked before'
  attack = next(a for a in plan.attacked if a.text == meta['attack'])
  assert isinstance(attack, DecoderAttack)
  lanes = [_find_lane(plan, name) for name in meta['lanes']]
  shape = plan.shapes[lanes[0].split].shape
  decoder = attack.make(shape, plan.task.image_shape)
  given = inputs.shape(attack.input, shape)
  like = jax.eval_shape(lambda: inversion.blank(decoder, given, len(lanes)))
  found = checkpoints.restore(folder, like)
  assert found is not None, 'checked before'
  decoders = found[0]
  sent = attack_lib.convert(attack, attack_lib.intercept(context, lanes, targets))
  scores = attack_lib.score(plan, decoder, decoders, sent, context.engine)
  scores |= {'best_epoch': decoders.best.epoch, 'steps': decoders.step}
  return [
    {name: np.asarray(value)[i].item() for name, value in scores.items()}
    for i in range(len(lanes))
  ]


def _find_lane(plan: Plan, name: str) -> AttackLane:
  """The lane of a name in a checkpoint, `lane_id-split`."""
  lane_id, _, split = name.partition('-')
  target = [lane.lane_id for lane in plan.lanes].index(lane_id)
  return AttackLane(target, plan.lanes[target], split)


def _tolerance(workdir: pathlib.Path, engine: Engine, row: results.Row) -> float:
  """0 where the row must be met bit for bit."""
  env = results.read_object(workdir / 'env.json')
  here = {
    'strategy': engine.strategy,
    'conv': engine.conv_name,
    'precision': engine.precision,
    'devices': engine.devices,
    'device': jax.devices()[0].device_kind,
    'version': gpz_jax.__version__,
    'changed': '',
  }
  is_same = all(row[column] == value for column, value in here.items())
  if is_same and env.get('versions') == results.provenance()['versions']:
    return 0.0
  return TOLERANCE[row['precision']]


def _compare(row: results.Row, now: dict[str, Any], tolerance: float) -> Iterator[str]:
  for column, value in now.items():
    written, value = float(row[column]), float(value)
    is_equal = math.isclose(written, value, rel_tol=tolerance, abs_tol=tolerance * 1e-3)
    if not is_equal and not (math.isnan(written) and math.isnan(value)):
      yield f'{describe(row)}: {column} is {written!r}, but its decoder gives {value!r}'


def describe(row: results.Row) -> str:
  """Which row it is."""
  return f'row {row["split"]} alpha {row["alpha"]:g} seed {row["seed"]} {row["attack"]}'
