"""One attack on the lanes of a cohort: what it trains or searches, and its scores."""

import dataclasses
import math
import pathlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import numpy as np

from gpz_jax import checkpoints, filenames
from gpz_jax.attacks.activation import capture as capture_lib
from gpz_jax.attacks.activation import (
  enhance,
  inputs,
  inversion,
  optimisation,
  query_free,
)
from gpz_jax.attacks.activation.capture import Activations
from gpz_jax.attacks.activation.inversion import AttackLane
from gpz_jax.attacks.activation.specs import DecoderAttack, SearchAttack
from gpz_jax.study.progress import Events, Progress
from gpz_jax.study.snapshots import SnapshotStore
from gpz_jax.sweep import config as config_lib
from gpz_jax.sweep import memory
from gpz_jax.sweep.plan import Plan
from gpz_jax.training import lanes as lanes_lib
from gpz_jax.training.engine import Engine
from gpz_jax.training.loop import Trainer
from gpz_jax.types import stable_hash

NUM_SAMPLES = 8  # test images shown in the report
AUX_SCORES = ('mse', 'psnr', 'mse_paper', 'psnr_paper')


@dataclasses.dataclass(frozen=True)
class Context:
  """What every part of a running sweep is handed."""

  plan: Plan
  engine: Engine
  workdir: pathlib.Path
  progress: Progress
  events: Events
  changed: str = ''  # conditions that changed since the targets were trained

  def snapshots(self, name: str, **identity: Any) -> SnapshotStore:
    """Of the snapshots of one training."""
    folder = self.workdir / 'running' / name
    seconds = self.plan.config.save_seconds
    return SnapshotStore(folder, identity, self.engine, seconds, self.progress.say)


class Sent(NamedTuple):
  """What the attacker intercepts."""

  aux: Activations  # [L, N, ...] of the attacker's own images
  test: Activations  # [L, N, ...] of the user's
  place: capture_lib.Place


class Outcome(NamedTuple):
  """One attack on L lanes."""

  scores: dict[str, Any]  # column -> [L]
  decoder: str
  decoder_params: int
  epochs: int
  steps: Any  # [L]
  best_epoch: Any  # [L]
  is_finite: Any  # [L] bool
  n_test: int
  n_aux: int
  snapshots: list[
    SnapshotStore
  ]  # of its trainings; to be dropped once rows are written
  samples: Any  # [L, n, H, W, C] in [0, 1]


def intercept(context: Context, lanes: Sequence[AttackLane], targets) -> Sent:
  """What an attacker of lanes of one activation shape sees."""
  plan = context.plan
  shape = plan.shapes[lanes[0].split].shape
  place = memory.choose_place(plan, shape, len(lanes))

  def capture(name: str, images: np.ndarray) -> Activations:
    return inversion.capture(
      plan.model,
      targets.best.variables,
      lanes,
      images,
      memory.activation_dtype(plan, shape),
      engine=context.engine,
      place=place,
      path=context.workdir / 'activations' / f'{name}.npy',
    )

  task = plan.task
  return Sent(capture('aux', task.aux.image), capture('test', task.test.image), place)


def convert(attack: DecoderAttack, sent: Sent) -> Sent:
  """What the attack's decoders are given of it."""
  if attack.input == 'activation':
    return sent
  read = inputs.make(attack.input)
  aux, test = (capture_lib.convert(a, read) for a in (sent.aux, sent.test))
  return sent._replace(aux=aux, test=test)


def score(
  plan: Plan, decoder: nn.Module, decoders: inversion.Decoders, sent: Sent, engine
) -> dict[str, np.ndarray]:
  """The scores of trained decoders, column of results -> [L]; `sent` is converted."""
  fit_on, _ = inversion.subsets(plan.task, plan.config.selection)
  fit, test = (sent.aux[:, : len(fit_on)], fit_on.image), plan.task.test.image
  on_aux = inversion.evaluate(decoder, decoders, *fit, engine=engine)
  on_test = inversion.evaluate(decoder, decoders, sent.test, test, engine=engine)
  return {f'test_{name}': value for name, value in on_test.items()} | {
    f'aux_{name}': on_aux[name] for name in AUX_SCORES
  }


def train_decoders(
  context: Context, attack: DecoderAttack, lanes, sent: Sent, trainer: Trainer | None
) -> Outcome:
  """Trains a decoder for each lane, scores it on aux and test, and saves it.

  Args:
    context: of the sweep.
    attack: which decoder, and of what.
    lanes: of one activation shape.
    sent: what they are trained on and scored with.
    trainer: compiled for them, or None.
  """
  config, task, engine = context.plan.config, context.plan.task, context.engine
  shape = sent.aux.shape[2:]
  name = cohort_name(shape)
  recipe = config_lib.decoder_recipe(config)
  decoder = attack.make(shape, task.image_shape)
  sent = convert(attack, sent)
  fit_on, choose_on = inversion.subsets(task, config.selection)
  fit = (sent.aux[:, : len(fit_on)], fit_on.image)
  held_out = sent.test if config.selection == 'test' else sent.aux[:, len(fit_on) :]
  ids = [f'{lane.lane.lane_id}-{lane.split}' for lane in lanes]
  folder = decoder_folder(name, ids[0], attack.text)
  meta = {'lanes': ids, 'attack': attack.text}
  snapshots = context.snapshots(folder, **meta, sent=fingerprint(fit[0]))
  title = f'{name} {attack.text}: {len(lanes)} decoders'
  with context.progress.phase(title) as phase:
    decoders, history = inversion.train(
      decoder,
      lanes,
      fit,
      (held_out, choose_on.image),
      recipe,
      constants=enhance.constants(attack.enhance, fit[0]),
      engine=engine,
      trainer=trainer,
      order_seed=config.data_seed,
      on_progress=phase,
      snapshots=snapshots,
    )
  scores = score(context.plan, decoder, decoders, sent, engine)
  context.events.write(f'decoder {attack.text}', ids, history)
  checkpoints.save(context.workdir / 'decoders' / folder, decoders, meta)
  params = jax.tree.leaves(decoders.best.params)
  return Outcome(
    scores=scores,
    decoder=_class_name(decoder),
    decoder_params=sum(math.prod(leaf.shape[1:]) for leaf in params),
    epochs=recipe.epochs,
    steps=decoders.step,
    best_epoch=decoders.best.epoch,
    is_finite=decoders.is_finite,
    n_test=len(task.test),
    n_aux=len(fit_on),
    snapshots=[snapshots],
    samples=inversion.reconstruct(
      decoder, decoders, sent.test[:, :NUM_SAMPLES], engine=engine
    ),
  )


def search(
  context: Context, attack: SearchAttack, lanes, sent: Sent, targets
) -> Outcome:
  """Searches for the images of each lane through its edge, or a shadow of it."""
  config, task, engine = context.plan.config, context.plan.task, context.engine
  name = cohort_name(sent.test.shape[2:])
  rows = np.array([lane.target for lane in lanes])
  edges = lanes_lib.take(targets.best.variables, rows)
  is_finite, best_epoch = np.ones(len(lanes), bool), np.zeros(len(lanes), int)
  title = f'{name} {attack.text}: {len(lanes)}'
  fit_on, choose_on = inversion.subsets(task, config.selection)
  snapshots = {}
  if attack.shadow:

    def make_snapshots(split: str) -> SnapshotStore:
      here = [lane.lane.lane_id for lane in lanes if lane.split == split]
      folder = shadow_folder(split, attack.text)
      sent_here = fingerprint(sent.test)
      snapshots[split] = context.snapshots(folder, lanes=here, sent=sent_here)
      return snapshots[split]

    with context.progress.phase(f'{title} shadow edges') as phase:
      shadows, _ = query_free.train(
        context.plan.model,
        edges,
        lanes,
        fit_on,
        choose_on,
        config_lib.target_recipe(config),
        engine=engine,
        order_seed=config.data_seed,
        on_progress=phase,
        make_snapshots=make_snapshots,
      )
    edges, is_finite = shadows.best.variables, np.asarray(shadows.is_finite)
    best_epoch = shadows.best.epoch
  wanted = task.test.image[: attack.images]
  with context.progress.phase(f'{title} searches') as phase:
    found = optimisation.reconstruct(
      context.plan.model,
      edges,
      lanes,
      sent.test[:, : len(wanted)],
      task.image_shape,
      attack.search,
      engine=engine,
      on_progress=phase,
    )
  scores = optimisation.evaluate(found.reconstructions, wanted)
  nothing = np.full(len(lanes), math.nan)  # the search learns from no images
  return Outcome(
    scores={f'test_{name}': value for name, value in scores.items()}
    | {f'aux_{name}': nothing for name in AUX_SCORES},
    decoder='none',
    decoder_params=0,
    epochs=attack.steps,
    steps=np.full(len(lanes), attack.steps),
    best_epoch=best_epoch,
    is_finite=is_finite & np.isfinite(found.errors).all(axis=1),
    n_test=len(wanted),
    n_aux=len(fit_on) if attack.shadow else 0,
    snapshots=list(snapshots.values()),
    samples=found.reconstructions[:, :NUM_SAMPLES],
  )


def fingerprint(activations: Activations) -> str:
  """Of what is trained on: other targets send other activations."""
  first = np.asarray(activations[:, 0])
  return checkpoints.checksums(first)['']


def decoder_folder(cohort: str, first: str, attack: str) -> str:
  """The name of the folder of the decoders of an attack, by their first lane."""
  return filenames.safe(f'{cohort}-{first}-{stable_hash(attack):08x}')


def shadow_folder(split: str, attack: str) -> str:
  """The name of the folder of the shadow edges of an attack."""
  return filenames.safe(f'shadow-{split}-{stable_hash(attack):08x}')


def cohort_name(shape) -> str:
  """As in the rows: 4x4x128."""
  return 'x'.join(map(str, shape))


def _class_name(decoder: Any) -> str:
  """The architecture's name, that of what is inside an enhancement."""
  return type(getattr(decoder, 'decoder', decoder)).__name__
