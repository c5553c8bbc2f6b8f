"""What decoders minimise, and the compiled programs that do so."""

from typing import Any

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp

from gpz_jax import metrics
from gpz_jax.attacks.activation import losses
from gpz_jax.attacks.activation.losses import Loss
from gpz_jax.means import Mean
from gpz_jax.training.engine import AUTO, Engine
from gpz_jax.training.evaluation import Evaluation, Means
from gpz_jax.training.loop import Trainer
from gpz_jax.training.objective import Objective
from gpz_jax.training.recipe import Recipe
from gpz_jax.training.step import Batch, LaneArrays, Shared, StepInfo, pixels

EVAL_BATCH = metrics.PAPER_BATCH


def make_trainer(
  decoder: nn.Module,
  train_data: tuple[Any, Any],
  held_out: tuple[Any, Any],
  recipe: Recipe,
  *,
  loss: str | Loss = 'mse',
  normalization_stats: Any = None,
  engine: Engine = AUTO,
  ahead: bool = False,
) -> Trainer:
  """Makes the programs that `inversion.train` runs for arguments of these shapes.

  Args:
    decoder: The architecture.
    train_data: Activations [L, N, ...] and their images [N, H, W, C]. Shapes will do,
      as for `held_out` and `normalization_stats`.
    held_out: The same for the data that choose the epoch.
    recipe: How to train.
    loss: What is minimised, see `losses`.
    normalization_stats: What `enhance.normalization_stats` gives for the activations,
      with L in front. None stands for an enhancement that needs none.
    engine: How lanes are computed.
    ahead: Whether to compile them now.
  """
  engine = engine.resolve()
  sent, num_held_out = train_data[0].shape[2:], held_out[1].shape[0]
  minimised = losses.make(loss, train_data[1].shape[1:])
  objective = make_objective(decoder, sent, num_held_out, engine, minimised)
  trainer = Trainer(objective, recipe, engine)
  if ahead:
    blank = jax.ShapeDtypeStruct(train_data[0].shape[:1], jnp.uint32)
    keys = jax.eval_shape(jax.vmap(jax.random.key), blank)
    stacked, shared = make_arguments(keys, train_data, held_out, normalization_stats)
    trainer.compile(stacked, shared, train_data[1].shape[0])
  return trainer


def make_arguments(keys, train_data, held_out, normalization_stats) -> tuple[Any, Any]:
  """The arrays that the objective takes, of the lanes and shared by them.

  Args:
    keys: The random keys [L] of the lanes.
    train_data: Activations [L, N, ...] and their images [N, H, W, C].
    held_out: The same for the data that choose the epoch.
    normalization_stats: What `enhance.normalization_stats` gives for the activations,
      with L in front, or None.

  Raises:
    AssertionError: An array does not have the shape that is said above.
  """
  for name, (activations, images) in {
    'train_data': train_data,
    'held_out': held_out,
  }.items():
    message = f'{name}: activations [L, N, ...] and images [N, H, W, C]'
    chex.assert_rank(images, 4, custom_message=message)
    expected = (len(keys), len(images), ...)
    chex.assert_shape(activations, expected, custom_message=message)
  stacked = {
    'key': keys,
    'train': train_data[0],
    'held_out': held_out[0],
    'normalization_stats': normalization_stats or {},
  }
  return stacked, {'train': train_data[1], 'held_out': held_out[1]}


def make_objective(
  decoder: nn.Module,
  activation: tuple[int, ...],
  num_held_out: int,
  engine: Engine,
  loss: Loss = metrics.mse,
) -> Objective:
  """What decoders minimise, by default the squared error per element.

  A lane's arrays are its activations, 'train' and 'held_out', and its
  'normalization_stats'. All lanes share the images, 'train' and 'held_out'.

  Args:
    decoder: The architecture.
    activation: The shape (h, w, c) of one activation.
    num_held_out: The number of examples that choose the epoch.
    engine: How lanes are computed.
    loss: The loss of each image.
  """
  return Objective(
    model=decoder,
    sample_shape=activation,
    loss=_make_loss(decoder, engine, loss),
    evaluation=_make_evaluation(decoder, num_held_out, engine),
    plateau_on='mse',
    select_on='mse',
  )


def _make_loss(decoder: nn.Module, engine: Engine, per_image: Loss = metrics.mse):
  def loss(
    variables: Any, lane: LaneArrays, shared: Shared, batch: Batch, info: StepInfo
  ):
    # The statistics of the enhancement overwrite those of the decoder in every step.
    # They thus come back unchanged, and the best epoch is saved with them.
    batch_stats = {**variables['batch_stats'], **lane['normalization_stats']}
    reconstruction, updated = engine.apply(
      decoder,
      {**variables, 'batch_stats': batch_stats},
      lane['train'][batch.index],
      train=True,
      mutable=['batch_stats'],
      rngs={'dropout': info.key},
    )
    errors = per_image(pixels(shared['train'], batch.index), reconstruction)
    return Mean.of(errors, batch.mask).compute(), dict(updated)

  return loss


def _make_evaluation(
  decoder: nn.Module, num_examples: int, engine: Engine
) -> Evaluation:
  def evaluate(variables: Any, lane: LaneArrays, shared: Shared, batch: Batch) -> Means:
    reconstruction = engine.apply(
      decoder, variables, lane['held_out'][batch.index], train=False
    )
    made = jnp.clip(reconstruction, 0, 1)
    errors = metrics.mse(pixels(shared['held_out'], batch.index), made)
    return {'mse': Mean.of(errors, batch.mask)}

  return Evaluation(evaluate, num_examples, EVAL_BATCH)
