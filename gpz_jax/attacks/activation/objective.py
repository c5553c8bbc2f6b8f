"""What decoders minimise, and the compiled programs that do it."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from gpz_jax import metrics
from gpz_jax.targets import pixels
from gpz_jax.training.engine import AUTO, Engine
from gpz_jax.training.evaluation import Evaluation, Means
from gpz_jax.training.loop import Trainer
from gpz_jax.training.recipe import Recipe
from gpz_jax.training.step import Objective
from gpz_jax.types import Mean

EVAL_BATCH = metrics.PAPER_BATCH


def make_trainer(
  decoder: nn.Module,
  fit_on: tuple[Any, Any],
  choose_on: tuple[Any, Any],
  recipe: Recipe,
  *,
  constants: Any = None,
  engine: Engine = AUTO,
  ahead: bool = False,
) -> Trainer:
  """The programs that `train` runs for arguments of these shapes.

  Args:
    decoder: as for `train`; so are the others, of which shapes will do.
    fit_on: [L, N, ...] and [N, H, W, C].
    choose_on: likewise.
    recipe: how to train.
    constants: with L in front.
    engine: how lanes are computed.
    ahead: compile them now.
  """
  engine = engine.resolve()
  sent, held_out = fit_on[0].shape[2:], choose_on[1].shape[0]
  objective = make_objective(decoder, sent, held_out, engine)
  trainer = Trainer(objective, recipe, engine)
  if ahead:
    blank = jax.ShapeDtypeStruct(fit_on[0].shape[:1], jnp.uint32)
    keys = jax.eval_shape(jax.vmap(jax.random.key), blank)
    stacked, shared = make_arguments(keys, fit_on, choose_on, constants)
    trainer.compile(stacked, shared, fit_on[1].shape[0])
  return trainer


def make_arguments(keys, fit_on, choose_on, constants) -> tuple[Any, Any]:
  """What the objective takes: stacked over lanes, and shared by them."""
  stacked = {
    'key': keys,
    'train': fit_on[0],
    'held_out': choose_on[0],
    'constants': constants or {},
  }
  return stacked, {'train': fit_on[1], 'held_out': choose_on[1]}


def make_objective(
  decoder: nn.Module, activation: tuple[int, ...], num_held_out: int, engine: Engine
) -> Objective:
  """What decoders minimise: the per-element squared error.

  A lane holds 'train' and 'held_out', its activations, and 'constants'; all share
  'train' and 'held_out', their images.
  """
  return Objective(
    model=decoder,
    sample_shape=activation,
    loss=_make_loss(decoder, engine),
    evaluation=_make_evaluation(decoder, num_held_out, engine),
    plateau_on='mse',
    select_on='mse',
  )


def _make_loss(decoder: nn.Module, engine: Engine):
  def loss(params, batch_stats, lane, shared, index, mask, key, progress):
    del progress
    reconstruction, updated = engine.apply(
      decoder,
      {'params': params, 'batch_stats': {**batch_stats, **lane['constants']}},
      lane['train'][index],
      train=True,
      mutable=['batch_stats'],
      rngs={'dropout': key},
    )
    errors = metrics.mse(pixels(shared['train'], index), reconstruction)
    return Mean.of(errors, mask).compute(), updated.get('batch_stats', {})

  return loss


def _make_evaluation(
  decoder: nn.Module, num_examples: int, engine: Engine
) -> Evaluation:
  def evaluate(variables, lane, shared, index, mask) -> Means:
    reconstruction = engine.apply(
      decoder, variables, lane['held_out'][index], train=False
    )
    errors = metrics.mse(pixels(shared['held_out'], index), reconstruction)
    return {'mse': Mean.of(errors, mask)}

  return Evaluation(evaluate, num_examples, EVAL_BATCH)
