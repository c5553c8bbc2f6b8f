"""The attacks on lanes whose activations have one shape, up to their rows."""

import collections
import math
import pathlib
import shutil
import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import gpz_jax
from gpz_jax import atomic, checkpoints, report, results
from gpz_jax.attacks import capture as capture_lib
from gpz_jax.attacks import enhance, inputs, inversion, optimisation, query_free
from gpz_jax.attacks.capture import Activations
from gpz_jax.attacks.inversion import AttackLane
from gpz_jax.attacks.specs import Attack, DecoderAttack, SearchAttack
from gpz_jax.partition import PREDICTION
from gpz_jax.sweep import config as config_lib
from gpz_jax.sweep import memory
from gpz_jax.sweep.plan import Plan, Shape
from gpz_jax.sweep.progress import Progress, format_seconds, write_events
from gpz_jax.training import lanes as lanes_lib
from gpz_jax.training.engine import Engine
from gpz_jax.types import stable_hash

NUM_SAMPLES = 8  # test images shown in the report
AUX_SCORES = ('mse', 'psnr', 'mse_paper', 'psnr_paper')


class Sent(NamedTuple):
  """What the attacker intercepts."""

  aux: Activations  # [L, N, ...] of the attacker's own images
  test: Activations  # [L, N, ...] of the user's


class Outcome(NamedTuple):
  """One attack on L lanes."""

  scores: dict[str, Any]  # column -> [L]
  decoder: str
  decoder_params: int
  epochs: int
  best_epoch: Any  # [L]
  alive: Any  # [L] bool
  n_test: int
  n_aux: int
  samples: Any  # [L, n, H, W, C] in [0, 1]


class Cohort:
  """Lanes of one activation shape, attacked wave by wave."""

  def __init__(
    self,
    plan: Plan,
    shape: Shape,
    engine: Engine,
    workdir: pathlib.Path,
    progress: Progress,
    events: Any,
  ):
    self.plan, self.shape, self.engine, self.workdir = plan, shape, engine, workdir
    self.progress, self.events = progress, events
    self.name = 'x'.join(map(str, shape))
    self.place: capture_lib.Place = 'device'

  def run(
    self, wanted: dict[AttackLane, list[Attack]], targets, quality
  ) -> Iterator[results.Row]:
    """Attacks every lane as wanted; yields rows as they are there.

    Activations are captured once for all attacks, in waves that fit the budget.
    """
    budget = memory.budget_bytes(self.plan)
    per_lane = memory.bytes_per_lane(self.plan, self.shape)
    waves = collections.deque(inversion.waves(list(wanted), per_lane, budget))
    try:
      yield from self._run_waves(waves, wanted, targets, quality)
    finally:
      shutil.rmtree(self.workdir / 'activations', ignore_errors=True)

  def _run_waves(self, waves, wanted, targets, quality) -> Iterator[results.Row]:
    """One wave after another; one that is too much for the device is halved."""
    while waves:
      wave = waves.popleft()
      try:
        yield from self._attack_wave(wave, wanted, targets, quality)
      except jax.errors.JaxRuntimeError as error:
        if 'RESOURCE_EXHAUSTED' not in str(error) or len(wave) == 1:
          raise
        half = len(wave) // 2
        self.progress.say(
          f'{self.name}: {len(wave)} lanes do not fit the device; {half} at a time'
        )
        waves.extendleft((wave[half:], wave[:half]))

  def _attack_wave(self, wave, wanted, targets, quality) -> Iterator[results.Row]:
    """Every attack wanted of lanes that fit at a time."""
    sent = None
    for attack in self.plan.attacked:
      index = [i for i, lane in enumerate(wave) if attack in wanted[lane]]
      if not index:
        continue
      sent = sent or self._capture(wave, targets)
      lanes = [wave[i] for i in index]
      intercepted = sent
      if len(index) < len(wave):
        intercepted = Sent(*lanes_lib.take(tuple(sent), np.array(index)))
      rows = self._attack(attack, lanes, intercepted, targets, quality)
      for lane in lanes:  # done: not again, should a later attack run out of memory
        wanted[lane] = [a for a in wanted[lane] if a is not attack]
      yield from rows

  def _capture(self, wave: Sequence[AttackLane], targets) -> Sent:
    plan = self.plan
    self.place = memory.choose_place(plan, self.shape, len(wave))

    def capture(name: str, images: np.ndarray) -> Activations:
      return inversion.capture(
        plan.model,
        targets.best.variables,
        wave,
        images,
        jnp.dtype(self._dtype()),
        engine=self.engine,
        place=self.place,
        path=self.workdir / 'activations' / f'{name}.npy',
      )

    task = plan.task
    return Sent(capture('aux', task.aux.image), capture('test', task.test.image))

  def _dtype(self) -> str:
    """What activations are kept in; logits in float32, for their logarithm's sake."""
    may_be_logits = self.shape == self.plan.shapes[PREDICTION].shape
    return 'float32' if may_be_logits else self.plan.config.activation_dtype

  def _attack(self, attack, lanes, sent: Sent, targets, quality) -> list[results.Row]:
    """Runs one attack on its lanes and saves what it leaves; returns the rows."""
    began = time.monotonic()
    if isinstance(attack, DecoderAttack):
      outcome = self._train_decoders(attack, lanes, sent)
    else:
      outcome = self._search(attack, lanes, sent, targets)
    for lane, images in zip(lanes, np.asarray(outcome.samples), strict=True):
      path = report.sample_path(
        self.workdir, lane.lane.lane_id, lane.split, attack.text
      )
      atomic.write_array(path, np.round(255 * images).astype(np.uint8))
    seconds = time.monotonic() - began
    errors = ' '.join(f'{mse:.4f}' for mse in outcome.scores['test_mse'])
    self.progress.say(
      f'{self.name} {attack.text}: {len(lanes)} lanes in {format_seconds(seconds)};'
      f' test MSE {errors}'
    )
    return [
      self._row(attack, lane, outcome, i, seconds / len(lanes), quality)
      for i, lane in enumerate(lanes)
    ]

  def _train_decoders(self, attack: DecoderAttack, lanes, sent: Sent) -> Outcome:
    config, task = self.plan.config, self.plan.task
    recipe = config_lib.decoder_recipe(config)
    decoder = attack.make(self.shape, task.image_shape)
    if attack.input != 'activation':
      read = inputs.make(attack.input)
      sent = Sent(*(capture_lib.convert(activations, read) for activations in sent))
    fit_on, choose_on = inversion.subsets(task, config.selection)
    fit = (sent.aux[:, : len(fit_on)], fit_on.image)
    held_out = sent.test if config.selection == 'test' else sent.aux[:, len(fit_on) :]
    title = f'{self.name} {attack.text}: {len(lanes)} decoders'
    with self.progress.phase(title) as phase:
      decoders, history = inversion.train(
        decoder,
        lanes,
        fit,
        (held_out, choose_on.image),
        recipe,
        constants=enhance.constants(attack.enhance, fit[0]),
        engine=self.engine,
        order_seed=config.data_seed,
        report=phase,
      )
    on_aux = inversion.evaluate(decoder, decoders, *fit, engine=self.engine)
    on_test = inversion.evaluate(
      decoder, decoders, sent.test, task.test.image, engine=self.engine
    )
    ids = [f'{lane.lane.lane_id}-{lane.split}' for lane in lanes]
    write_events(self.events, f'decoder {attack.text}', ids, history)
    folder = f'{self.name}-{ids[0]}-{stable_hash(attack.text):08x}'.replace('/', '.')
    meta = {'lanes': ids, 'attack': attack.text}
    checkpoints.save(self.workdir / 'decoders' / folder, decoders, meta)
    params = jax.tree.leaves(decoders.best.params)
    return Outcome(
      scores={f'test_{name}': value for name, value in on_test.items()}
      | {f'aux_{name}': on_aux[name] for name in AUX_SCORES},
      decoder=_class_name(decoder),
      decoder_params=sum(math.prod(leaf.shape[1:]) for leaf in params),
      epochs=recipe.epochs,
      best_epoch=decoders.best.epoch,
      alive=decoders.alive,
      n_test=len(task.test),
      n_aux=len(fit_on),
      samples=inversion.reconstruct(
        decoder, decoders, sent.test[:, :NUM_SAMPLES], engine=self.engine
      ),
    )

  def _search(self, attack: SearchAttack, lanes, sent: Sent, targets) -> Outcome:
    config, task = self.plan.config, self.plan.task
    rows = np.array([lane.target for lane in lanes])
    edges = lanes_lib.take(targets.best.variables, rows)
    alive, best_epoch = np.ones(len(lanes), bool), np.zeros(len(lanes), int)
    title = f'{self.name} {attack.text}: {len(lanes)}'
    fit_on, choose_on = inversion.subsets(task, config.selection)
    if attack.shadow:
      with self.progress.phase(f'{title} shadow edges') as phase:
        shadows, _ = query_free.train(
          self.plan.model,
          edges,
          lanes,
          fit_on,
          choose_on,
          config_lib.target_recipe(config),
          engine=self.engine,
          order_seed=config.data_seed,
          report=phase,
        )
      edges, alive = shadows.best.variables, np.asarray(shadows.alive)
      best_epoch = shadows.best.epoch
    wanted = task.test.image[: attack.images]
    with self.progress.phase(f'{title} searches') as phase:
      found = optimisation.reconstruct(
        self.plan.model,
        edges,
        lanes,
        sent.test[:, : len(wanted)],
        task.image_shape,
        attack.search,
        engine=self.engine,
        report=phase,
      )
    scores = optimisation.evaluate(found.reconstructions, wanted)
    nothing = np.full(len(lanes), math.nan)  # the search learns from no images
    return Outcome(
      scores={f'test_{name}': value for name, value in scores.items()}
      | {f'aux_{name}': nothing for name in AUX_SCORES},
      decoder='none',
      decoder_params=0,
      epochs=attack.steps,
      best_epoch=best_epoch,
      alive=alive & np.isfinite(found.errors).all(axis=1),
      n_test=len(wanted),
      n_aux=len(fit_on) if attack.shadow else 0,
      samples=found.reconstructions[:, :NUM_SAMPLES],
    )

  def _row(
    self, attack, attack_lane: AttackLane, outcome: Outcome, i, seconds, quality
  ) -> results.Row:
    config, task, lane = self.plan.config, self.plan.task, attack_lane.lane
    return {
      'model': lane.model,
      'dataset': task.name,
      'aux_dataset': task.aux_name,
      'alpha': lane.alpha,
      'seed': lane.seed,
      'split': attack_lane.split,
      'split_index': list(self.plan.shapes).index(attack_lane.split),
      'attack': attack.text,
      'decoder': outcome.decoder,
      'selection': config.selection,
      'activation_shape': self.name,
      **self.plan.costs[attack_lane.split],
      'target_accuracy': quality['test'][attack_lane.target],
      'target_val_accuracy': quality['val'][attack_lane.target],
      **{name: value[i] for name, value in outcome.scores.items()},
      'decoder_params': outcome.decoder_params,
      'epochs': outcome.epochs,
      'best_epoch': outcome.best_epoch[i],
      'n_test': outcome.n_test,
      'n_aux': outcome.n_aux,
      'status': 'done' if outcome.alive[i] else 'diverged',
      'lane_id': lane.lane_id,
      'strategy': self.engine.strategy,
      'conv': self.engine.conv_name,
      'precision': self.engine.precision,
      'devices': self.engine.devices,
      'activation_dtype': self._dtype(),
      'cache': self.place,
      'wall_seconds': seconds,
      'version': gpz_jax.__version__,
    }


def _class_name(decoder: Any) -> str:
  """The architecture's name, that of what is inside an enhancement."""
  return type(getattr(decoder, 'decoder', decoder)).__name__
