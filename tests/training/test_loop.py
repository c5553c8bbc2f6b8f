"""The trainer's parts that the attack's and the targets' tests do not reach."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from gpz_jax.training import loop, segments, step
from gpz_jax.training.engine import Engine
from gpz_jax.training.evaluation import Evaluation
from gpz_jax.training.recipe import DECODER
from gpz_jax.types import Mean


class Line(nn.Module):
  @nn.compact
  def __call__(self, x, *, train=False):
    return nn.Dense(1, name='line')(x)


MODEL = Line()


def loss(params, batch_stats, lane, shared, index, mask, key, progress):
  found = MODEL.apply({'params': params}, shared['x'][index])[:, 0]
  return Mean.of((found - shared['y'][index]) ** 2, mask).compute(), batch_stats


def evaluate(variables, lane, shared, index, mask):
  error = (MODEL.apply(variables, shared['x'][index])[:, 0] - shared['y'][index]) ** 2
  return {'mse': Mean.of(error, mask)}


def make_trainer(**changes):
  objective = step.Objective(
    MODEL, (3,), loss, Evaluation(evaluate, 30, 8), 'mse', 'mse'
  )
  recipe = dataclasses.replace(DECODER, epochs=4, batch_size=8, **changes)
  return loop.Trainer(objective, recipe, Engine('map').resolve())


def problem():
  x = np.random.default_rng(0).normal(size=(30, 3)).astype(np.float32)
  shared = {'x': jnp.asarray(x), 'y': jnp.asarray(x @ [1.0, -2.0, 0.5])}
  return {'key': jax.random.split(jax.random.key(0), 2)}, shared


def test_lanes_start_from_what_the_model_draws_by_itself():
  lanes, _ = problem()
  states = make_trainer().create(lanes['key'])
  for i, key in enumerate(lanes['key']):
    expected = MODEL.init(jax.random.fold_in(key, 0), jnp.zeros((1, 3)))['params']
    for found, wanted in zip(
      jax.tree.leaves(states.train.params), jax.tree.leaves(expected), strict=True
    ):
      np.testing.assert_allclose(found[i], wanted, rtol=1e-5, atol=1e-6)


def test_where_segments_end_does_not_change_the_result(monkeypatch):
  lanes, shared = problem()

  def fit(seconds):
    monkeypatch.setattr(segments, 'SEGMENT_SECONDS', seconds)
    reports = []
    states, history = make_trainer(learning_rate=0.1).fit(
      lanes,
      shared,
      num_examples=30,
      order_seed=0,
      on_progress=lambda done, total, values: reports.append((done, total)),
    )
    assert reports[-1] == (16, 16)  # 4 epochs of ceil(30 / 8) steps
    return states, history, len(reports)

  whole, history, few = fit(1e6)
  pieces, _, many = fit(0.0)
  assert many > few
  for a, b in zip(jax.tree.leaves(whole), jax.tree.leaves(pieces), strict=True):
    np.testing.assert_array_equal(a, b)
  assert (history['mse'][-1] < history['mse'][0]).all()


def test_the_best_epoch_is_the_one_with_the_lowest_held_out_value():
  lanes, shared = problem()
  states, history = make_trainer(learning_rate=3.0).fit(  # too large: it jumps about
    lanes, shared, num_examples=30, order_seed=0
  )
  best = history['mse'].argmin(axis=0)
  np.testing.assert_array_equal(states.best.epoch, best + 1)
  np.testing.assert_array_equal(states.best.value, history['mse'].min(axis=0))
