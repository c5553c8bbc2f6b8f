"""What the training of a classifier minimises, and what is measured of one."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from gpz_jax import defences, skip_text
from gpz_jax.label_smoothing import NEGATIVE_ALPHA_RAMP, effective_alpha, smooth_labels
from gpz_jax.means import Mean
from gpz_jax.models import calls, skip_lanes
from gpz_jax.training import augment
from gpz_jax.training.engine import AUTO, Engine
from gpz_jax.training.evaluation import HELD_OUT, Evaluation, Means
from gpz_jax.training.objective import Objective
from gpz_jax.training.recipe import Recipe
from gpz_jax.training.step import Batch, LaneArrays, Shared, StepInfo, pixels
from gpz_jax.types import Treatment
from gpz_jax.vocabulary import Convention

EVAL_BATCH = 128
_UNDEFENDED = defences.Training()

# (variables, lane, images [B, H, W, C], key) -> logits [B, K]
Classify = Callable[[Any, Any, jax.Array, jax.Array], jax.Array]


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
    model: As of `targets.train`.
    image_shape: (H, W, C).
    num_classes: K.
    recipe: How the images are augmented.
    num_val: Number of validation examples.
    convention: As of `targets.train`.
    engine: How lanes are computed.
    defended: What the defences of the lanes add to the training.
  """
  return Objective(
    model=model,
    sample_shape=image_shape,
    loss=_make_loss(model, recipe, num_classes, convention, engine, defended),
    evaluation=make_evaluation(make_classify(model, engine), num_val),
    plateau_on='nll',
    select_on='error',
    eligible=_is_eligible,
    restrict=defended.freeze if defended.freezes else None,
  )


def is_eligible(treatment: Treatment, epoch: int, epochs: int) -> bool:
  """Whether an epoch, counted from 1, trained by what the treatment is in the end."""
  has_ramped = treatment.alpha >= 0 or epoch / epochs >= NEGATIVE_ALPHA_RAMP[1]
  return has_ramped and epoch > skip_text.parse(treatment.skips).intact_epochs


def _is_eligible(lane: LaneArrays, progress: jax.Array) -> jax.Array:
  """Whether an epoch trained by what the lane is in the end."""
  has_ramped = (lane['alpha'] >= 0) | (progress >= NEGATIVE_ALPHA_RAMP[1])
  return has_ramped & skip_lanes.are_final(lane, progress)


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


def make_evaluation(classify: Classify, num_examples: int) -> Evaluation:
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


def make_classify(model: nn.Module, engine: Engine) -> Classify:
  """Makes the function that `make_evaluation` takes, of a model's forward pass."""

  def classify(variables, lane, images, key):
    del lane

    def apply(rngs):
      return engine.apply(model, variables, images, train=False, rngs=rngs)

    return calls.lend_keys(apply, key)

  return classify
