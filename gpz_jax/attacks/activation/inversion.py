"""The inversion attack: a decoder trained to turn activations back into images.

A lane is one target at one split. Lanes whose activations have the same shape form a
cohort, which one compiled program trains. The edge is frozen and nothing is augmented,
so every activation is computed once and read in all epochs. What is drawn, such as the
noise of a defence, is drawn anew for each epoch.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from gpz_jax.attacks.activation import interception, scores
from gpz_jax.attacks.activation.cohorts import AttackLane
from gpz_jax.attacks.activation.interception import Activations
from gpz_jax.attacks.activation.losses import Loss
from gpz_jax.attacks.activation.objective import (
  EVAL_BATCH,
  make_arguments,
  make_trainer,
)
from gpz_jax.models import calls
from gpz_jax.training import compiling
from gpz_jax.training.engine import AUTO, Engine
from gpz_jax.training.loop import OnProgress, Trainer
from gpz_jax.training.recipe import Recipe
from gpz_jax.training.snapshots import History, Snapshots
from gpz_jax.training.state import Best


class Decoders(NamedTuple):
  """Trained decoders, stacked over lanes."""

  best: Best  # [L] the variables of the chosen epoch
  is_finite: jax.Array  # [L] bool
  step: jax.Array  # [L] int32, the number of steps taken


def train(
  decoder: nn.Module,
  lanes: Sequence[AttackLane],
  train_data: tuple[Activations, np.ndarray],
  held_out: tuple[Activations, np.ndarray],
  recipe: Recipe,
  *,
  loss: str | Loss = 'mse',
  normalization_stats: Any = None,
  engine: Engine = AUTO,
  trainer: Trainer | None = None,
  order_seed: int = 0,
  on_progress: OnProgress = lambda done, total, values: None,
  snapshots: Snapshots | None = None,
  redraw: Callable[[int], Activations] | None = None,
) -> tuple[Decoders, History]:
  """Trains one decoder per lane.

  Args:
    decoder: The architecture, which `decoders.make` gives for the shapes of the cohort.
    lanes: The L lanes of the cohort.
    train_data: Activations [L, N, ...] and their images [N, H, W, C] uint8.
    held_out: The same for the data that drive the plateau and choose the epoch.
    recipe: How to train.
    loss: What is minimised, by name or as a function, see `losses`. The epoch is chosen
      by the squared error, whatever the loss.
    normalization_stats: What `enhance.normalization_stats` gives for the activations of
      `train_data`. None stands for an enhancement that needs none.
    engine: How lanes are computed.
    trainer: What `make_trainer` gives for the same shapes. None makes one here.
    order_seed: Seed of the order of examples, which all lanes share.
    on_progress: Called after each segment, see `Trainer.fit`.
    snapshots: Place where snapshots are kept, see `Trainer.fit`.
    redraw: Gives the activations of `train_data` as they are sent once more, for each
      epoch but the first, by its number from 1. None if nothing in them is drawn.

  Returns:
    The decoders [L] at their best epoch, and the history of loss and mse.

  Raises:
    AssertionError: An array does not have the shape that is said above.
    Interrupted: A signal came.
  """
  trainer = trainer or make_trainer(
    decoder, train_data, held_out, recipe, loss=loss, engine=engine
  )
  keys = jnp.stack([lane.key() for lane in lanes])
  stacked, shared = make_arguments(keys, train_data, held_out, normalization_stats)
  states, history = trainer.fit(
    stacked,
    jax.device_put(shared),
    num_examples=len(train_data[1]),
    order_seed=order_seed,
    on_progress=on_progress,
    snapshots=snapshots,
    renew=redraw,
  )
  return Decoders(states.best, states.train.is_finite, states.train.step), history


def blank(
  decoder: nn.Module, activation_shape: tuple[int, ...], num_lanes: int
) -> Decoders:
  """Decoders that have not been trained, into which a checkpoint is restored.

  Args:
    decoder: The architecture.
    activation_shape: Shape of one input, without lanes and batch.
    num_lanes: L, the number of decoders.
  """

  def one(_: jax.Array) -> Decoders:
    sample = jnp.zeros((1, *activation_shape))
    count = jnp.zeros((), jnp.int32)
    variables = calls.init(decoder, jax.random.key(0), sample)
    best = Best.create(jnp.zeros(()), count, variables)
    return Decoders(best, jnp.ones((), bool), count)

  return jax.vmap(one)(jnp.arange(num_lanes))


def reconstruct(
  decoder: nn.Module,
  decoders: Decoders,
  activations: Activations,
  *,
  engine: Engine = AUTO,
) -> np.ndarray:
  """The images that each lane's decoder makes of its activations.

  Args:
    decoder: The architecture.
    decoders: The trained decoders [L].
    activations: [L, N, ...].
    engine: How lanes are computed.

  Returns:
    [L, N, H, W, C] float32 in [0, 1].

  Raises:
    AssertionError: There are not as many lanes of activations as decoders.
    Interrupted: A signal came.
  """
  _check_lanes(decoders, activations)
  engine = engine.resolve()
  made = []
  for rows, mask in interception.chunks(activations.shape[1]):
    chunk = decode_rows(decoder, decoders, activations, engine, rows)
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
    decoder: The architecture.
    decoders: The trained decoders [L].
    activations: [L, N, ...].
    images: The N images to be rebuilt, [N, H, W, C] uint8.
    engine: How lanes are computed.

  Returns:
    mse, psnr, ssim, cosine, mse_paper and psnr_paper, each [L].

  Raises:
    AssertionError: The numbers of lanes or images differ between the arguments.
    Interrupted: A signal came.
  """
  _check_lanes(decoders, activations)
  message = 'activations [L, N, ...] and images [N, H, W, C]'
  chex.assert_rank(images, 4, custom_message=message)
  chex.assert_shape(activations, (None, len(images), ...), custom_message=message)
  engine = engine.resolve()
  decode = functools.partial(decode_rows, decoder, decoders, activations, engine)
  return scores.evaluate(images, decode, engine)


def _check_lanes(decoders: Decoders, activations: Activations) -> None:
  """Refuses activations of another number of lanes than there are decoders."""
  expected = (len(decoders.step), None, ...)
  message = 'activations [L, N, ...] of decoders [L]'
  chex.assert_shape(activations, expected, custom_message=message)


def decode_rows(
  decoder: nn.Module,
  decoders: Decoders,
  activations: Activations,
  engine: Engine,
  rows: np.ndarray,
) -> jax.Array:
  """The reconstructions [L, n, H, W, C] of some rows [n] of the activations.

  Rows come last so that the other arguments can be bound, see `scores.evaluate`.
  """
  sent = interception.read(activations, rows)
  return _decode(decoder, decoders.best, sent, engine)


@compiling.brief_jit(static_argnums=(0, 3))
def _decode(decoder, best, activations, engine) -> jax.Array:
  """[L, n, ...] -> [L, n, H, W, C], one batch at a time as in training."""

  def one(lane):
    best, activation = lane
    batches = activation.reshape(-1, EVAL_BATCH, *activation.shape[1:])
    made = lax.map(
      lambda batch: engine.apply(decoder, best.variables, batch, train=False), batches
    )
    # A decoder of the user's own may leave the range of an image.
    return jnp.clip(made.reshape(-1, *made.shape[2:]), 0, 1)

  return engine.over_lanes(one)((best, activations))
