"""The inversion attack: a decoder trained to turn activations back into images.

A lane is one target at one split. Lanes whose activations have one shape form a
cohort, trained by one compiled program. The edge is frozen and nothing is augmented,
so every activation is computed once and read in all epochs.
"""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from gpz_jax.attacks.activation import capture as capture_lib
from gpz_jax.attacks.activation import scores
from gpz_jax.attacks.activation.capture import Activations
from gpz_jax.attacks.activation.objective import (
  EVAL_BATCH,
  make_arguments,
  make_trainer,
)
from gpz_jax.training.engine import AUTO, Engine
from gpz_jax.training.loop import OnProgress, Trainer
from gpz_jax.training.recipe import Recipe
from gpz_jax.training.snapshots import History, Snapshots
from gpz_jax.training.state import Best
from gpz_jax.types import Dataset, Lane, Task, stable_hash

HELD_OUT_SHARE = 0.1  # of aux, for the plateau and the choice of the epoch
Selection = Literal['aux', 'test']


@dataclasses.dataclass(frozen=True)
class AttackLane:
  """One decoder: the target it attacks, as a lane and as an index, and the split."""

  target: int  # row of the stacked targets
  lane: Lane
  split: str

  def key(self) -> jax.Array:
    """The random key of this decoder."""
    return jax.random.fold_in(self.lane.key(), stable_hash(self.split))


class Decoders(NamedTuple):
  """Trained decoders, stacked over lanes."""

  best: Best  # [L] the chosen epoch's variables
  is_finite: jax.Array  # [L] bool
  step: jax.Array  # [L] int32, steps taken


def cohorts(
  shapes: dict[str, jax.ShapeDtypeStruct], splits: Sequence[str]
) -> dict[tuple[int, ...], tuple[str, ...]]:
  """Groups splits by the shape of their activation, both in forward order."""
  grouped: dict[tuple[int, ...], list[str]] = {}
  for split in splits:
    grouped.setdefault(shapes[split].shape, []).append(split)
  return {shape: tuple(names) for shape, names in grouped.items()}


def subsets(task: Task, selection: Selection) -> tuple[Dataset, Dataset]:
  """The attacker's training data, and what chooses the epoch.

  `aux` keeps the last tenth of aux for the choice; `test` trains on all of aux and
  chooses on the test subset, as the published numbers do
  (docs/paper.md#choice-of-the-epoch).
  """
  if selection == 'test':
    return task.aux, task.test
  cut = len(task.aux) - max(1, round(HELD_OUT_SHARE * len(task.aux)))
  return task.aux.take(slice(cut)), task.aux.take(slice(cut, None))


def capture(
  model: nn.Module,
  targets: Any,
  lanes: Sequence[AttackLane],
  images: np.ndarray,
  dtype: Any = jnp.float32,
  **options: Any,
) -> Activations:
  """The activations [L, N, ...] of images [N, H, W, C] for lanes of one shape.

  The model, its variables stacked over targets, and the options of `capture.capture`.
  """
  places = [(lane.target, lane.split) for lane in lanes]
  return capture_lib.capture(model, targets, places, images, dtype, **options)


def train(
  decoder: nn.Module,
  lanes: Sequence[AttackLane],
  fit_on: tuple[Activations, np.ndarray],
  choose_on: tuple[Activations, np.ndarray],
  recipe: Recipe,
  *,
  constants: Any = None,
  engine: Engine = AUTO,
  trainer: Trainer | None = None,
  order_seed: int = 0,
  on_progress: OnProgress = lambda done, total, values: None,
  snapshots: Snapshots | None = None,
) -> tuple[Decoders, History]:
  """Trains one decoder per lane by the per-element squared error.

  Args:
    decoder: the architecture, `decoders.make` of the cohort's shapes.
    lanes: the cohort's lanes, L of them.
    fit_on: activations [L, N, ...] and their images [N, H, W, C] uint8.
    choose_on: the same for the data that drive the plateau and choose the epoch.
    recipe: how to train.
    constants: what the decoder must know of its lane's data, see `enhance.constants`.
    engine: how lanes are computed.
    trainer: of `make_trainer` for the same shapes; made here where None.
    order_seed: of the order of examples, shared by all lanes.
    on_progress: progress, see `Trainer.fit`.
    snapshots: where snapshots are kept, likewise.

  Returns:
    The decoders [L] at their best epoch, and the history: loss and mse.
  """
  trainer = trainer or make_trainer(decoder, fit_on, choose_on, recipe, engine=engine)
  keys = jnp.stack([lane.key() for lane in lanes])
  stacked, shared = make_arguments(keys, fit_on, choose_on, constants)
  states, history = trainer.fit(
    stacked,
    jax.device_put(shared),
    num_examples=len(fit_on[1]),
    order_seed=order_seed,
    on_progress=on_progress,
    snapshots=snapshots,
  )
  return Decoders(states.best, states.train.is_finite, states.train.step), history


def blank(
  decoder: nn.Module, activation_shape: tuple[int, ...], num_lanes: int
) -> Decoders:
  """Decoders of the right structure and shapes, to restore a checkpoint into."""

  def one(_: jax.Array) -> Decoders:
    sample = jnp.zeros((1, *activation_shape))
    variables = decoder.init(jax.random.key(0), sample, train=False)
    count = jnp.zeros((), jnp.int32)
    best = Best(
      jnp.zeros(()), count, variables['params'], variables.get('batch_stats', {})
    )
    return Decoders(best, jnp.ones((), bool), count)

  return jax.vmap(one)(jnp.arange(num_lanes))


def reconstruct(
  decoder: nn.Module,
  decoders: Decoders,
  activations: Activations,
  *,
  engine: Engine = AUTO,
) -> np.ndarray:
  """The images each lane's decoder makes of its activations [L, N, ...].

  Returns:
    [L, N, H, W, C] float32 in [0, 1].

  Raises:
    Interrupted: a signal came.
  """
  engine = engine.resolve()
  made = []
  for rows, mask in capture_lib.chunks(activations.shape[1]):
    chunk = _decode_rows(decoder, decoders, activations, engine, rows)
    made.append(np.asarray(chunk)[:, mask == 1])
  return np.concatenate(made, axis=1)


def evaluate(
  decoder: nn.Module,
  decoders: Decoders,
  activations: Activations,
  images: np.ndarray,
  *,
  engine: Engine = AUTO,
) -> dict[str, np.ndarray]:
  """Scores each lane's decoder on a subset, in batches of 32.

  Args:
    decoder: the architecture.
    decoders: [L].
    activations: [L, N, ...].
    images: [N, H, W, C] uint8, what was to be rebuilt.
    engine: how lanes are computed.

  Returns:
    mse, psnr, ssim, cosine, mse_paper and psnr_paper, each [L].

  Raises:
    Interrupted: a signal came.
  """
  engine = engine.resolve()
  decode = functools.partial(_decode_rows, decoder, decoders, activations, engine)
  return scores.evaluate(images, decode, engine)


def _decode_rows(decoder, decoders, activations, engine, rows) -> jax.Array:
  """The reconstructions [L, n, H, W, C] of rows [n]."""
  sent = capture_lib.read(activations, rows)
  return _decode(decoder, decoders.best, sent, engine)


@functools.partial(jax.jit, static_argnums=(0, 3))
def _decode(decoder, best, activations, engine) -> jax.Array:
  """[L, n, ...] -> [L, n, H, W, C], a batch at a time as in training."""

  def one(lane):
    best, activation = lane
    batches = activation.reshape(-1, EVAL_BATCH, *activation.shape[1:])
    made = lax.map(
      lambda batch: engine.apply(decoder, best.variables, batch, train=False), batches
    )
    return made.reshape(-1, *made.shape[2:])

  return engine.over_lanes(one)((best, activations))
