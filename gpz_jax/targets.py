"""Targets: the classifiers under attack, one lane per treatment and seed."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from gpz_jax import classification, defences, partition
from gpz_jax.data import epoch_order
from gpz_jax.models import calls, skip_lanes, skips
from gpz_jax.training import batch_norm
from gpz_jax.training import lanes as lanes_lib
from gpz_jax.training.engine import AUTO, Engine
from gpz_jax.training.evaluation import HELD_OUT, Evaluator
from gpz_jax.training.loop import MakeOrder, OnProgress, Trainer
from gpz_jax.training.recipe import Recipe
from gpz_jax.training.snapshots import History, Snapshots
from gpz_jax.training.state import Best, FitState
from gpz_jax.types import Dataset, Lane, Task, Treatment
from gpz_jax.vocabulary import Convention


class Targets(NamedTuple):
  """Trained targets, stacked over lanes."""

  best: Best  # [L] the chosen epoch's variables
  is_finite: jax.Array  # [L] bool, False where a step was not finite


def train(
  model: nn.Module,
  task: Task,
  lanes: Sequence[Lane],
  recipe: Recipe,
  *,
  convention: Convention = 'standard',
  engine: Engine = AUTO,
  order_seed: int = 0,
  bn_refresh: bool = False,
  on_progress: OnProgress = lambda done, total, values: None,
  snapshots: Snapshots | None = None,
  each_epoch: Callable[[int, FitState], None] = lambda epoch, states: None,
  make_order: MakeOrder = epoch_order,
  initial: dict[str, Any] | None = None,
  is_paired: bool = False,
) -> tuple[Targets, History]:
  """Trains one target per lane on `task.train`; the epoch is chosen on `task.val`.

  Args:
    model: The classifier. Where skips of a lane are not intact, it is what
      `skips.carry` gives; where a defence adds layers, what `defences.wrap` gives.
      Alpha, factors and weights are traced: all lanes are one program.
    task: The data.
    lanes: The treatment and the seed of each target.
    recipe: How to train.
    convention: The convention of the smoothed labels.
    engine: How lanes are computed.
    order_seed: The seed of the order of examples, which all lanes share.
    bn_refresh: Whether batch-norm averages are measured anew in the end, see
      `training.batch_norm`.
    on_progress: Called after each segment, see `Trainer.fit`.
    snapshots: Where snapshots are kept, see `Trainer.fit`.
    each_epoch: Called after each epoch, see `Trainer.fit`.
    make_order: Makes the batches of an epoch, see `Trainer.fit`.
    initial: Variables that all lanes begin with instead of those drawn, as of a net
      that was trained elsewhere. What it lacks is drawn.
    is_paired: Whether lanes of one seed draw alike, see `stack_lanes`.

  Returns:
    The targets [L] and the history of loss, nll and error. Each target is that of its
    epoch of highest validation accuracy; epochs before a negative alpha has ramped in,
    or before the lane's skip connections are those of its treatment, are not chosen.
  """
  engine = engine.resolve()
  texts = [lane.treatment.skips for lane in lanes]
  names = [lane.treatment.defence for lane in lanes]
  defended = defences.prepare(model, task.image_shape, names)
  objective = classification.make_objective(
    model,
    task.image_shape,
    task.num_classes,
    recipe,
    num_val=len(task.val),
    convention=convention,
    engine=engine,
    defended=defended,
  )
  trainer = Trainer(objective, recipe, engine, initial=initial)
  shared = jax.device_put(
    {
      'train': (task.train.image, task.train.label),
      HELD_OUT: (task.val.image, task.val.label),
    }
  )
  states, history = trainer.fit(
    stack_lanes(lanes, is_paired=is_paired)
    | skip_lanes.lane_arrays(model, texts, recipe.epochs)
    | defended.lane_arrays(names),
    shared,
    num_examples=len(task.train),
    order_seed=order_seed,
    on_progress=on_progress,
    snapshots=snapshots,
    each_epoch=each_epoch,
    make_order=make_order,
  )
  found = Targets(states.best, states.train.is_finite)
  if bn_refresh:
    found = refresh_batch_norm(model, found, task.train, engine=engine)
  return found, history


def refresh_batch_norm(
  model: nn.Module, targets: Targets, dataset: Dataset, *, engine: Engine = AUTO
) -> Targets:
  """Targets whose batch-norm averages were measured anew, see `training.batch_norm`.

  Args:
    model: The classifier.
    targets: The targets [L].
    dataset: Images that the targets were trained on.
    engine: How lanes are computed.
  """
  engine = engine.resolve()
  variables = batch_norm.refresh(model, targets.best.variables, dataset.image, engine)
  best = dataclasses.replace(targets.best, batch_stats=calls.pack(variables))
  return targets._replace(best=best)


def stack_lanes(
  lanes: Sequence[Lane], *, is_paired: bool = False
) -> dict[str, jax.Array]:
  """The arrays of target lanes: 'key' [L] and 'alpha' [L].

  Args:
    lanes: The L lanes.
    is_paired: Whether each has the key of the untreated lane of its seed. Lanes of one
      seed then begin with the same values, and draw the same augmentation.
  """
  keyed = [
    dataclasses.replace(lane, treatment=Treatment()) if is_paired else lane
    for lane in lanes
  ]
  return {
    'key': jnp.stack([lane.key() for lane in keyed]),
    'alpha': jnp.array([lane.treatment.alpha for lane in lanes], jnp.float32),
  }


def blank(
  model: nn.Module, image_shape: tuple[int, int, int], num_lanes: int
) -> Targets:
  """Makes targets of the right structure and shapes to restore a checkpoint into."""

  def one(_: jax.Array) -> Targets:
    variables = calls.init(model, jax.random.key(0), jnp.zeros((1, *image_shape)))
    return lanes_lib.take(from_variables(variables), 0)

  return jax.vmap(one)(jnp.arange(num_lanes))


def from_variables(variables: Any) -> Targets:
  """Makes Targets of a single lane from one target that was trained elsewhere."""
  best = Best.create(jnp.zeros(()), 0, nn.meta.unbox(variables))
  return lanes_lib.stack([Targets(best, jnp.ones((), bool))])


def evaluate(
  model: nn.Module, targets: Targets, dataset: Dataset, *, engine: Engine = AUTO
) -> dict[str, np.ndarray]:
  """Accuracy and cross-entropy (nats) of each target on a subset: name -> [L].

  Raises:
    Interrupted: A signal came.
  """
  engine = engine.resolve()
  skips.check_variables(model, targets.best.variables)
  shared = {HELD_OUT: (jnp.asarray(dataset.image), jnp.asarray(dataset.label))}
  evaluator = _make_evaluator(model, len(dataset), engine)
  means = evaluator.run(targets.best.variables, {}, shared)
  for mean in means.values():
    assert (mean.count == len(dataset)).all(), 'examples seen != size of the subset'
  return {
    'accuracy': np.asarray(1 - means['error'].compute()),
    'nll': np.asarray(means['nll'].compute()),
  }


@functools.lru_cache(maxsize=4)  # for targets that are measured one after another
def _make_evaluator(model: nn.Module, num_examples: int, engine: Engine) -> Evaluator:
  """The program that evaluates targets, which compiles when it is first run."""
  classify = classification.make_classify(model, engine)
  return Evaluator(classification.make_evaluation(classify, num_examples), engine)


def capture(
  model: nn.Module, targets: Targets, images: jax.Array, splits: Sequence[str]
) -> tuple[jax.Array, dict[str, jax.Array]]:
  """The forward pass of every target, with its activations at `splits`.

  Args:
    model: Architecture of the targets.
    targets: The trained targets [L].
    images: [B, H, W, C] float32 in [0, 1].
    splits: Names from `partition.list_splits`.

  Returns:
    Logits [L, B, K] and name -> activation [L, B, ...].
  """
  return jax.lax.map(
    lambda variables: partition.capture(model, variables, images, splits),
    targets.best.variables,
  )
