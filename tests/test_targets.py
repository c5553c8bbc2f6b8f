"""The training of targets."""

import dataclasses
import os
import subprocess
import sys

import compilations
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from gpz_jax import models, targets
from gpz_jax.training.engine import Engine
from gpz_jax.training.recipe import IR
from gpz_jax.types import Lane, Treatment

RECIPE = dataclasses.replace(IR, epochs=8, batch_size=16, learning_rate=3e-3)


def fit(lanes, **options):
  task = tiny.task()
  model = models.make('cnn', num_classes=3, width=0.0625)
  found, history = targets.train(model, task, lanes, RECIPE, **options)
  return task, model, found, history


def test_targets_learn_and_alone_equals_together_under_map():
  lanes = [Lane('cnn', 'tiny', Treatment(alpha), 0) for alpha in (0.0, 0.3, -0.05)]
  task, model, together, history = fit(lanes, engine=Engine('map'))
  scores = targets.evaluate(model, together, task.test, engine=Engine('map'))
  assert scores['accuracy'].min() > 0.9
  assert history['nll'].shape == (8, 3)
  assert together.best.epoch[2] >= 6  # alpha < 0 counts only once it has ramped in
  # the epoch is chosen by the error on val
  held_out = targets.evaluate(model, together, task.val, engine=Engine('map'))
  chosen = np.asarray(together.best.epoch) - 1, np.arange(3)
  np.testing.assert_allclose(together.best.value, history['error'][chosen])
  np.testing.assert_allclose(held_out['nll'], history['nll'][chosen], rtol=1e-5)
  *_, alone, _ = fit(lanes[1:2], engine=Engine('map'))
  for a, b in zip(
    np.asarray(alone.best.params['conv_2']['Conv_0']['kernel']),
    np.asarray(together.best.params['conv_2']['Conv_0']['kernel'][1:2]),
    strict=True,
  ):
    np.testing.assert_array_equal(a, b)


def test_what_measures_targets_one_after_another_is_compiled_once():
  task, model = tiny.task(), models.make('cnn', num_classes=3, width=0.0625)
  variables = tiny.random_variables(model, jnp.zeros((1, *task.image_shape)), (2,))
  with compilations.counted() as compiled:
    for factor in (1.0, 1.1):
      one = jax.tree.map(lambda leaf, factor=factor: factor * leaf[0], variables)
      found = targets.from_variables(one)
      found = targets.refresh_batch_norm(model, found, task.train)
      targets.evaluate(model, found, task.val)
  assert compiled['jit(_measure)'] == compiled['jit(evaluate)'] == 1


def test_smoothing_lowers_confidence():
  lanes = [Lane('cnn', 'tiny', Treatment(alpha), 0) for alpha in (0.0, 0.5)]
  *_, history = fit(lanes)
  nll = history['nll'][-1]
  assert nll[1] > 10 * nll[0]  # a smoothed target keeps probability elsewhere
  # the best it can do is to predict y': -ln(1 - a + a / K) = 0.405 at a = 0.5, K = 3
  np.testing.assert_allclose(nll[1], 0.405, atol=0.05)


def test_seeds_differ():
  _, _, found, _ = fit([Lane('cnn', 'tiny', Treatment(), seed) for seed in (0, 1)])
  kernels = found.best.params['conv_1']['Conv_0']['kernel']
  assert not np.allclose(kernels[0], kernels[1])


@pytest.mark.slow
def test_training_is_finite_without_xla_optimisations():
  # There XLA recomputes a max-pool's input with other rounding than its maximum has;
  # a gradient that counts the positions equal to the maximum is then 0/0.
  code = """
import dataclasses, tiny
from gpz_jax import models, targets
from gpz_jax.training.engine import Engine
from gpz_jax.training.recipe import IR
from gpz_jax.types import Lane, Treatment
model = models.make('cnn', num_classes=3, width=0.0625)
recipe = dataclasses.replace(IR, epochs=1, batch_size=16, learning_rate=3e-3)
lanes = [Lane('cnn', 'tiny', Treatment(), 0)]
found, _ = targets.train(model, tiny.task(train=48), lanes, recipe)
assert found.is_finite.all()
"""
  slow = {'XLA_FLAGS': '--xla_backend_optimization_level=0'}
  path = {'PYTHONPATH': os.pathsep.join(sys.path)}
  subprocess.run([sys.executable, '-c', code], env=os.environ | slow | path, check=True)
