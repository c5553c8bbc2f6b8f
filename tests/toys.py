"""A training of milliseconds that several tests share: a line fitted to 30 points."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from gpz_jax.means import Mean
from gpz_jax.training.engine import Engine
from gpz_jax.training.evaluation import Evaluation
from gpz_jax.training.loop import Trainer
from gpz_jax.training.objective import Objective
from gpz_jax.training.recipe import DECODER

EXAMPLES, BATCH = 30, 8
EPOCHS, STEPS = 4, 4  # 4 batches of 8 hold 30 examples
FOREVER = 2.0  # a lane that is finite until more than all of the training is done


class Line(nn.Module):
  """y = w x + b."""

  @nn.compact
  def __call__(self, x, *, train=False):
    return nn.Dense(1, name='line')(x)


MODEL = Line()


def squared_errors(params, shared, index):
  """The squared error [B] of each example."""
  found = MODEL.apply({'params': params}, shared['x'][index])
  return (jnp.ravel(found) - shared['y'][index]) ** 2


def loss(variables, lane, shared, batch, info):
  """The mean squared error; NaN from the share `until` of the training on."""
  errors = squared_errors(variables['params'], shared, batch.index)
  error = Mean.of(errors, batch.mask).compute()
  is_finite = info.progress < lane['until']
  return jnp.where(is_finite, error, jnp.nan), {}


def evaluate(variables, lane, shared, batch):
  """The mean squared error of the whole line."""
  del lane
  errors = squared_errors(variables['params'], shared, batch.index)
  return {'mse': Mean.of(errors, batch.mask)}


def make_objective(**changes) -> Objective:
  """The objective of a line, with changes."""
  evaluation = Evaluation(evaluate, EXAMPLES, BATCH)
  objective = Objective(MODEL, (3,), loss, evaluation, 'mse', 'mse')
  return dataclasses.replace(objective, **changes)


def make_trainer(
  engine: Engine | None = None, objective: Objective | None = None, **changes
) -> Trainer:
  """The trainer of lines; `changes` are those of the recipe."""
  recipe = {'epochs': EPOCHS, 'batch_size': BATCH, 'learning_rate': 0.1} | changes
  return Trainer(
    objective or make_objective(),
    dataclasses.replace(DECODER, **recipe),
    (engine or Engine('map')).resolve(),
  )


def make_lanes(until=(FOREVER, FOREVER)):
  """Lanes with a key each, one for each entry of `until`."""
  keys = jax.random.split(jax.random.key(0), len(until))
  return {'key': keys, 'until': jnp.array(until, jnp.float32)}


def make_shared():
  """The points, which lie on a line."""
  x = np.random.default_rng(0).normal(size=(EXAMPLES, 3)).astype(np.float32)
  return {'x': jnp.asarray(x), 'y': jnp.asarray(x @ [1.0, -2.0, 0.5])}


def fit(trainer: Trainer, until=(FOREVER, FOREVER), **options):
  """Trains a line for each entry of `until`: the states and the history."""
  return trainer.fit(
    make_lanes(until), make_shared(), num_examples=EXAMPLES, order_seed=0, **options
  )
