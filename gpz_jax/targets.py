"""Targets: the label-smoothed classifiers under attack, one lane per alpha and seed."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from gpz_jax import defences, partition, skip_text
from gpz_jax.data import epoch_order
from gpz_jax.means import Mean
from gpz_jax.models import calls, skip_lanes, skips
from gpz_jax.training import augment, batch_norm
from gpz_jax.training import lanes as lanes_lib
from gpz_jax.training.engine import AUTO, Engine
from gpz_jax.training.evaluation import HELD_OUT, Evaluation, Evaluator, Means
from gpz_jax.training.loop import MakeOrder, OnProgress, Trainer
from gpz_jax.training.objective import Objective
from gpz_jax.training.recipe import Recipe
from gpz_jax.training.snapshots import History, Snapshots
from gpz_jax.training.state import Best, FitState
from gpz_jax.training.step import Batch, LaneArrays, Shared, StepInfo
from gpz_jax.types import Dataset, Lane, Task, Treatment
from gpz_jax.vocabulary import Convention

# Shares of the training between which a negative alpha grows from 0 to its value
# (Struppek et al. 2024: epochs 50 to 75 of 100; without it the target trains badly).
NEGATIVE_ALPHA_RAMP = (0.5, 0.75)
EVAL_BATCH = 128
_UNDEFENDED = defences.Training()


class Targets(NamedTuple):
  """Trained targets, stacked over lanes."""

  best: Best  # [L] the chosen epoch's variables
  is_finite: jax.Array  # [L] bool, False where a step was not finite


def smooth_labels(
  labels: jax.Array, alpha: jax.Array, num_classes: int, convention: Convention
) -> jax.Array:
  """Label-smoothed target distributions.

  Args:
    labels: [B] int32.
    alpha: [], may be traced. A negative one takes weight from the other classes.
    num_classes: K.
    convention: `standard` is (1 - a) onehot + a / K. `code` puts 1 - a on the label and
      a / (K - 1) elsewhere. `table1` puts 1 - a and a / K, which sums to 1 - a / K.

  Returns:
    [B, K] float32.

  Source: docs/paper.md#label-smoothing. `code` at a is `standard` at a K / (K - 1).
  """
  chex.assert_rank(labels, 1, custom_message='labels [B]')
  chex.assert_rank(alpha, 0, custom_message='alpha []')
  onehot = jax.nn.one_hot(labels, num_classes)
  if convention == 'standard':
    return optax.smooth_labels(onehot, alpha)
  others = num_classes - 1 if convention == 'code' else num_classes
  return onehot * (1 - alpha) + (1 - onehot) * (alpha / others)


def effective_alpha(alpha: jax.Array, progress: jax.Array) -> jax.Array:
  """Alpha at a share `progress` in [0, 1] of the training: negative ones ramp in."""
  start, stop = NEGATIVE_ALPHA_RAMP
  ramp = jnp.clip((progress - start) / (stop - start), 0.0, 1.0)
  return jnp.where(alpha < 0, alpha * ramp, alpha)


def pixels(images: jax.Array, index: jax.Array) -> jax.Array:
  """The images at `index` [B] as float32 in [0, 1], out of uint8 [N, H, W, C]."""
  chex.assert_rank(images, 4, custom_message='images [N, H, W, C]')
  chex.assert_rank(index, 1, custom_message='index [B]')
  return images[index].astype(jnp.float32) / 255


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
  objective = make_objective(
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


def make_objective(
  model: nn.Module,
  image_shape: tuple[int, int, int],
  num_classes: int,
  recipe: Recipe,
  *,
  num_val: int,
  convention: Convention = 'standard',
  engine: Engine = AUTO,
  defended: defences.Training = _UNDEFENDED,
) -> Objective:
  """What a `Trainer` minimises and measures where targets are trained.

  Args:
    model: As of `train`.
    image_shape: (H, W, C).
    num_classes: K.
    recipe: How the images are augmented.
    num_val: Number of validation examples.
    convention: As of `train`.
    engine: How lanes are computed.
    defended: What the defences of the lanes add to the training.
  """
  return Objective(
    model=model,
    sample_shape=image_shape,
    loss=_make_loss(model, recipe, num_classes, convention, engine, defended),
    evaluation=make_evaluation(_classify(model, engine), num_val),
    plateau_on='nll',
    select_on='error',
    eligible=_is_eligible,
    restrict=defended.freeze if defended.freezes else None,
  )


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


def is_eligible(treatment: Treatment, epoch: int, epochs: int) -> bool:
  """Whether an epoch, counted from 1, trained by what the treatment is in the end."""
  has_ramped = treatment.alpha >= 0 or epoch / epochs >= NEGATIVE_ALPHA_RAMP[1]
  return has_ramped and epoch > skip_text.parse(treatment.skips).intact_epochs


def _is_eligible(lane: LaneArrays, progress: jax.Array) -> jax.Array:
  """Whether an epoch trained by what the lane is in the end."""
  has_ramped = (lane['alpha'] >= 0) | (progress >= NEGATIVE_ALPHA_RAMP[1])
  return has_ramped & skip_lanes.are_final(lane, progress)


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
  evaluation = make_evaluation(_classify(model, engine), len(dataset))
  shared = {HELD_OUT: (jnp.asarray(dataset.image), jnp.asarray(dataset.label))}
  evaluator = Evaluator(evaluation, engine)
  means = evaluator.run(targets.best.variables, {}, shared)
  for mean in means.values():
    assert (mean.count == len(dataset)).all(), 'examples seen != size of the subset'
  return {
    'accuracy': np.asarray(1 - means['error'].compute()),
    'nll': np.asarray(means['nll'].compute()),
  }


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


def _make_loss(
  model,
  recipe: Recipe,
  num_classes: int,
  convention: Convention,
  engine: Engine,
  defended: defences.Training = _UNDEFENDED,
):
  def loss(
    variables: Any, lane: LaneArrays, shared: Shared, batch: Batch, info: StepInfo
  ):
    variables = skip_lanes.apply_schedule(variables, lane, info.progress)
    images, labels = shared['train']
    augment_key, dropout_key = jax.random.split(info.key)
    image = augment.augment(
      augment_key,
      pixels(images, batch.index),
      flip=recipe.flip,
      jitter=recipe.jitter,
      shift=recipe.shift,
      least_crop=recipe.least_crop,
    )

    def apply(rngs):
      return engine.apply(
        model, variables, image, train=True, rngs=rngs, **defended.options
      )

    with defended.sending(lane, dropout_key) as computed:
      logits, updated = calls.lend_keys(apply, dropout_key, dropout=dropout_key)
    alpha = effective_alpha(lane['alpha'], info.progress)
    soft = smooth_labels(labels[batch.index], alpha, num_classes, convention)
    losses = optax.losses.softmax_cross_entropy(logits, soft)
    changed = skip_lanes.list_carried(variables)
    updated = dict(updated)
    value = defended.add_penalty(
      Mean.of(losses, batch.mask).compute(),
      lane,
      updated,
      computed,
      images=image,
      labels=labels[batch.index],
      mask=batch.mask,
      logits=logits,
    )
    return value, {**changed, **updated}

  return loss


def make_evaluation(
  classify: Callable[[Any, Any, jax.Array, jax.Array], jax.Array], num_examples: int
) -> Evaluation:
  """Makes the evaluation of classifiers: the means of nll (nats) and error.

  Args:
    classify: Computes logits [B, K] from variables, lane, images [B, H, W, C] in
      [0, 1], and from the key of what the model may draw in evaluation.
    num_examples: N, the number of held-out examples.

  Returns:
    The evaluation. It reads `held_out` of what lanes share, which must be images
    [N, H, W, C] uint8 and labels [N].
  """

  def evaluate(variables: Any, lane: LaneArrays, shared: Shared, batch: Batch) -> Means:
    images, labels = shared[HELD_OUT]
    key = calls.evaluation_key(batch.index[0])
    logits = classify(variables, lane, pixels(images, batch.index), key)
    label = labels[batch.index]
    nll = optax.losses.softmax_cross_entropy_with_integer_labels(logits, label)
    wrong = (jnp.argmax(logits, axis=-1) != label).astype(jnp.float32)
    return {'nll': Mean.of(nll, batch.mask), 'error': Mean.of(wrong, batch.mask)}

  return Evaluation(evaluate, num_examples, EVAL_BATCH)


def _classify(model: nn.Module, engine: Engine):
  def classify(variables, lane, images, key):
    del lane

    def apply(rngs):
      return engine.apply(model, variables, images, train=False, rngs=rngs)

    return calls.lend_keys(apply, key)

  return classify
