"""The attacks on lanes whose activations have one shape, up to their rows."""

import collections
import shutil
import time
from collections.abc import Iterator

import jax
import numpy as np

import gpz_jax
from gpz_jax import atomic, report, results
from gpz_jax.attacks.activation.inversion import AttackLane
from gpz_jax.attacks.activation.specs import Attack, DecoderAttack
from gpz_jax.study.progress import format_seconds
from gpz_jax.study.snapshots import SnapshotStore
from gpz_jax.sweep import attack as attack_lib
from gpz_jax.sweep import memory
from gpz_jax.sweep.ahead import Ahead, Job
from gpz_jax.sweep.attack import Context, Outcome, Sent
from gpz_jax.sweep.plan import Shape


class Cohort:
  """Lanes of one activation shape, attacked chunk by chunk."""

  def __init__(self, context: Context, shape: Shape, ahead: Ahead):
    self.context, self.plan = context, context.plan
    self.shape, self.ahead = shape, ahead
    self.name = attack_lib.cohort_name(shape)

  def run(
    self, wanted: dict[AttackLane, list[Attack]], targets, quality
  ) -> Iterator[list[results.Row]]:
    """Attacks every lane as wanted; yields the rows of each attack as they are there.

    Activations are captured once for all attacks, in chunks that fit the budget.
    """
    chunks = collections.deque(memory.lane_chunks(self.plan, self.shape, list(wanted)))
    try:
      yield from self._run_lane_chunks(chunks, wanted, targets, quality)
    finally:
      shutil.rmtree(self.context.workdir / 'activations', ignore_errors=True)

  def _run_lane_chunks(
    self, chunks, wanted, targets, quality
  ) -> Iterator[list[results.Row]]:
    """One chunk after another; one that is too much for the device is halved."""
    while chunks:
      chunk = chunks.popleft()
      try:
        yield from self._attack_lane_chunk(chunk, wanted, targets, quality)
      except (memory.TooLargeError, jax.errors.JaxRuntimeError) as error:
        is_large = isinstance(error, memory.TooLargeError) or memory.is_exhausted(error)
        if not is_large or len(chunk) == 1:
          raise
        half = len(chunk) // 2
        self.context.progress.say(
          f'{self.name}: {len(chunk)} lanes do not fit the device; {half} at a time'
        )
        chunks.extendleft((chunk[half:], chunk[:half]))

  def _attack_lane_chunk(
    self, chunk, wanted, targets, quality
  ) -> Iterator[list[results.Row]]:
    """Every attack wanted of lanes that fit at a time."""
    sent = None
    for attack in self.plan.attacked:
      index = [i for i, lane in enumerate(chunk) if attack in wanted[lane]]
      if not index:
        continue
      sent = sent or attack_lib.intercept(self.context, chunk, targets)
      lanes = [chunk[i] for i in index]
      intercepted = sent
      if len(index) < len(chunk):
        chosen = np.array(index)
        intercepted = sent._replace(aux=sent.aux[chosen], test=sent.test[chosen])
      rows, stores = self._attack(attack, lanes, intercepted, targets, quality)
      for lane in lanes:  # done: not again, should a later attack run out of memory
        wanted[lane] = [a for a in wanted[lane] if a is not attack]
      yield rows
      for store in stores:  # not before the rows are written
        store.drop()

  def _attack(
    self, attack, lanes, sent: Sent, targets, quality
  ) -> tuple[list[results.Row], list[SnapshotStore]]:
    """Runs one attack on its lanes and saves what it leaves; its rows and snapshots."""
    began = time.monotonic()
    if isinstance(attack, DecoderAttack):
      trainer = self.ahead.take(Job(self.shape, attack, len(lanes)))
      if trainer is not None:
        memory.check_fits(trainer)
      outcome = attack_lib.train_decoders(self.context, attack, lanes, sent, trainer)
    else:
      outcome = attack_lib.search(self.context, attack, lanes, sent, targets)
    for lane, images in zip(lanes, np.asarray(outcome.samples), strict=True):
      path = report.sample_path(
        self.context.workdir, lane.lane.lane_id, lane.split, attack.text
      )
      atomic.write_array(path, np.round(255 * images).astype(np.uint8))
    seconds = time.monotonic() - began
    errors = ' '.join(f'{mse:.4f}' for mse in outcome.scores['test_mse'])
    self.context.progress.say(
      f'{self.name} {attack.text}: {len(lanes)} lanes in {format_seconds(seconds)};'
      f' test MSE {errors}'
    )
    common = self._common(attack, sent, outcome) | {
      'wave': len(lanes),
      'wall_seconds': seconds / len(lanes),
    }
    rows = [
      self._row(lane, outcome, i, quality) | common for i, lane in enumerate(lanes)
    ]
    return rows, outcome.snapshots

  def _common(self, attack: Attack, sent: Sent, outcome: Outcome) -> results.Row:
    """What the rows of one attack share."""
    config, task, engine = self.plan.config, self.plan.task, self.context.engine
    changes = (
      self.context.changed,
      *(store.changed for store in outcome.snapshots),
    )
    return {
      'dataset': task.name,
      'aux_dataset': task.aux_name,
      'attack': attack.text,
      'decoder': outcome.decoder,
      'selection': config.selection,
      'activation_shape': self.name,
      'decoder_params': outcome.decoder_params,
      'epochs': outcome.epochs,
      'n_test': outcome.n_test,
      'n_aux': outcome.n_aux,
      'device': jax.devices()[0].device_kind,
      'changed': '; '.join(filter(None, changes)),
      'strategy': engine.strategy,
      'conv': engine.conv_name,
      'precision': engine.precision,
      'devices': engine.devices,
      'activation_dtype': memory.activation_dtype(self.plan, self.shape).name,
      'cache': sent.place,
      'version': gpz_jax.__version__,
    }

  def _row(self, attack_lane: AttackLane, outcome: Outcome, i, quality) -> results.Row:
    """What is a lane's own."""
    lane = attack_lane.lane
    is_done = outcome.is_finite[i] and quality['is_finite'][attack_lane.target]
    return {
      'model': lane.model,
      **lane.treatment.columns,
      'seed': lane.seed,
      'split': attack_lane.split,
      'split_index': list(self.plan.shapes).index(attack_lane.split),
      **self.plan.costs[attack_lane.split],
      'target_accuracy': quality['test'][attack_lane.target],
      'target_val_accuracy': quality['val'][attack_lane.target],
      **{name: value[i] for name, value in outcome.scores.items()},
      'best_epoch': outcome.best_epoch[i],
      'steps': outcome.steps[i],
      'status': 'done' if is_done else 'diverged',
      'lane_id': lane.lane_id,
    }
