"""The inversion attack: a decoder trained to turn activations back into images.

A lane is one target at one split. Lanes whose activations have one shape form a
cohort, trained by one compiled program. The edge is frozen and nothing is augmented,
so every activation is computed once and read in all epochs.
"""

import dataclasses
import functools
from collections.abc import Iterator, Sequence
from typing import Any, Literal, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from gpz_jax import metrics, partition
from gpz_jax.data import eval_order
from gpz_jax.targets import pixels
from gpz_jax.training import lanes as lanes_lib
from gpz_jax.training.loop import History, Objective, Report, Trainer
from gpz_jax.training.recipe import Recipe
from gpz_jax.training.state import Best
from gpz_jax.types import Dataset, Lane, Mean, Task, stable_hash

HELD_OUT_SHARE = 0.1  # of aux, for the plateau and the choice of the epoch
EVAL_BATCH = metrics.PAPER_BATCH
CAPTURE_BATCH = 128
CHUNK = 512  # examples the host hands over at a time
Selection = Literal['aux', 'test']
Activations = jax.Array  # [L, N, ...]


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
  alive: jax.Array  # [L] bool
  step: jax.Array  # [L] int32, steps taken


def cohorts(
  shapes: dict[str, jax.ShapeDtypeStruct], splits: Sequence[str]
) -> dict[tuple[int, ...], tuple[str, ...]]:
  """Groups splits by the shape of their activation, both in forward order."""
  grouped: dict[tuple[int, ...], list[str]] = {}
  for split in splits:
    grouped.setdefault(shapes[split].shape, []).append(split)
  return {shape: tuple(names) for shape, names in grouped.items()}


def waves(
  lanes: Sequence[AttackLane], bytes_per_lane: int, budget_bytes: float
) -> Iterator[Sequence[AttackLane]]:
  """Cuts a cohort's lanes so that the activations of each part fit the budget."""
  size = max(1, int(budget_bytes // max(bytes_per_lane, 1)))
  for start in range(0, len(lanes), size):
    yield lanes[start : start + size]


def subsets(task: Task, selection: Selection) -> tuple[Dataset, Dataset]:
  """The attacker's training data, and what chooses the epoch.

  `aux` keeps the last tenth of aux for the choice; `test` trains on all of aux and
  chooses on the test subset, as the published numbers do (spec D7).
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
) -> Activations:
  """The activations of every image for each lane, computed once.

  Args:
    model: the target.
    targets: variables of the targets, stacked.
    lanes: which target at which split; one activation shape.
    images: [N, H, W, C] uint8.
    dtype: to store them in.

  Returns:
    [L, N, ...].
  """
  places = tuple((lane.target, lane.split) for lane in lanes)
  chunks = [
    _capture_chunk(model, targets, chunk, places, jnp.dtype(dtype))
    for chunk, _ in _chunks(images)
  ]
  return jnp.concatenate(chunks, axis=1)[:, : len(images)]


@functools.partial(jax.jit, static_argnums=(0, 3, 4))
def _capture_chunk(model, targets, images, places, dtype) -> Activations:
  """[CHUNK, H, W, C] -> [L, CHUNK, ...]; each target runs once for all its splits."""
  used = sorted({target for target, _ in places})
  splits = tuple(dict.fromkeys(split for _, split in places))

  def batch(variables, rows):
    _, found = partition.capture(
      model, variables, rows.astype(jnp.float32) / 255, splits
    )
    return {split: value.astype(dtype) for split, value in found.items()}

  def one(variables):
    rows = images.reshape(-1, CAPTURE_BATCH, *images.shape[1:])
    found = lax.map(functools.partial(batch, variables), rows)
    return jax.tree.map(lambda a: a.reshape(-1, *a.shape[2:]), found)

  found = lax.map(one, lanes_lib.take(targets, np.array(used)))
  return jnp.stack([found[split][used.index(target)] for target, split in places])


def _chunks(images: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
  """Equal pieces, so that one compiled program serves every subset.

  Yields:
    Images [CHUNK, H, W, C], the last piece filled up, and their numbers [CHUNK] in
    the subset, -1 for filling.
  """
  index, masks = eval_order(len(images), CHUNK)
  for rows, mask in zip(index, masks, strict=True):
    yield images[rows], np.where(mask == 1, rows, -1)


def train(
  decoder: nn.Module,
  lanes: Sequence[AttackLane],
  fit_on: tuple[Activations, np.ndarray],
  choose_on: tuple[Activations, np.ndarray],
  recipe: Recipe,
  *,
  constants: Any = None,
  strategy: str = 'auto',
  order_seed: int = 0,
  report: Report = lambda done, total, values: None,
) -> tuple[Decoders, History]:
  """Trains one decoder per lane by the per-element squared error.

  Args:
    decoder: the architecture, `decoders.make` of the cohort's shapes.
    lanes: the cohort's lanes, L of them.
    fit_on: activations [L, N, ...] and their images [N, H, W, C] uint8.
    choose_on: the same for the data that drive the plateau and choose the epoch.
    recipe: how to train.
    constants: what the decoder must know of its lane's data, see `enhance.constants`.
    strategy: how lanes run, see `training.lanes`.
    order_seed: of the order of examples, shared by all lanes.
    report: progress, see `Trainer.fit`.

  Returns:
    The decoders [L] at their best epoch, and the history: loss and mse.
  """
  objective = Objective(
    model=decoder,
    sample_shape=fit_on[0].shape[2:],
    loss=_make_loss(decoder),
    evaluate=_make_evaluate(decoder, len(choose_on[1])),
    plateau_on='mse',
    select_on='mse',
  )
  trainer = Trainer(objective, recipe, lanes_lib.resolve(strategy))
  stacked = {
    'key': jnp.stack([lane.key() for lane in lanes]),
    'train': fit_on[0],
    'held_out': choose_on[0],
    'constants': constants or {},
  }
  states, history = trainer.fit(
    stacked,
    jax.device_put({'train': fit_on[1], 'held_out': choose_on[1]}),
    num_examples=len(fit_on[1]),
    order_seed=order_seed,
    report=report,
  )
  return Decoders(states.best, states.train.alive, states.train.step), history


def reconstruct(
  decoder: nn.Module,
  decoders: Decoders,
  activations: Activations,
  *,
  strategy: str = 'auto',
) -> jax.Array:
  """The images each lane's decoder makes of its activations [L, B, ...].

  Returns:
    [L, B, H, W, C] float32 in [0, 1].
  """

  def one(lane):
    best, activation = lane
    return decoder.apply(best.variables, activation.astype(jnp.float32), train=False)

  run = lanes_lib.over_lanes(one, lanes_lib.resolve(strategy))
  return jax.jit(run)((decoders.best, activations))


def evaluate(
  decoder: nn.Module,
  decoders: Decoders,
  activations: Activations,
  images: np.ndarray,
  *,
  strategy: str = 'auto',
) -> dict[str, np.ndarray]:
  """Scores each lane's decoder on a subset, in batches of 32.

  Args:
    decoder: the architecture.
    decoders: [L].
    activations: [L, N, ...].
    images: [N, H, W, C] uint8, what was to be rebuilt.
    strategy: how lanes run.

  Returns:
    mse, psnr, ssim, cosine, mse_paper and psnr_paper, each [L].
  """
  strategy = lanes_lib.resolve(strategy)
  means = None
  for chunk, number in _chunks(images):
    found = _evaluate_chunk(
      decoder, decoders.best, activations, chunk, number, strategy
    )
    found = jax.device_get(found)
    means = found if means is None else {k: m.merge(found[k]) for k, m in means.items()}
  assert means is not None, 'a subset has at least one example'
  seen = means['mse'].count
  assert (seen == len(images)).all(), 'examples seen != size of the subset'
  values = {name: mean.compute() for name, mean in means.items()}
  return values | {'mse_paper': metrics.paper_mse(values['mse'], images.shape[-1])}


@functools.partial(jax.jit, static_argnums=(0, 5))
def _evaluate_chunk(decoder, best, activations, images, number, strategy):
  """Means [L] over the examples of one chunk."""
  shape = (-1, EVAL_BATCH)
  batches = (images.reshape(*shape, *images.shape[1:]), number.reshape(shape))

  def one(lane):
    best, activation = lane

    def batch(batch):
      images, number = batch
      sent = activation[number].astype(jnp.float32)
      reconstruction = decoder.apply(best.variables, sent, train=False)
      mask = (number >= 0).astype(jnp.float32)
      return metrics.evaluate_batch(
        images.astype(jnp.float32) / 255, reconstruction, mask
      )

    return jax.tree.map(lambda sums: sums.sum(axis=0), lax.map(batch, batches))

  return lanes_lib.over_lanes(one, strategy)((best, activations))


def _make_loss(decoder: nn.Module):
  def loss(params, batch_stats, lane, shared, index, mask, key, progress):
    del progress
    reconstruction, updated = decoder.apply(
      {'params': params, 'batch_stats': {**batch_stats, **lane['constants']}},
      lane['train'][index].astype(jnp.float32),
      train=True,
      mutable=['batch_stats'],
      rngs={'dropout': key},
    )
    errors = metrics.mse(pixels(shared['train'], index), reconstruction)
    return Mean.of(errors, mask).compute(), updated.get('batch_stats', {})

  return loss


def _make_evaluate(decoder: nn.Module, num_examples: int):
  index, masks = eval_order(num_examples, EVAL_BATCH)

  def evaluate(variables, lane, shared) -> dict[str, Mean]:
    def body(total, batch):
      index, mask = batch
      activation = lane['held_out'][index].astype(jnp.float32)
      reconstruction = jnp.asarray(decoder.apply(variables, activation, train=False))
      errors = metrics.mse(pixels(shared['held_out'], index), reconstruction)
      return total.merge(Mean.of(errors, mask)), None

    batches = (jnp.asarray(index), jnp.asarray(masks))
    return {'mse': lax.scan(body, Mean.zero(), batches)[0]}

  return evaluate
