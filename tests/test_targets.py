"""Label smoothing and the training of targets."""

import dataclasses
import os
import subprocess
import sys

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from gpz_jax import models, targets
from gpz_jax.training.engine import Engine
from gpz_jax.training.recipe import IR
from gpz_jax.training.step import Batch, StepInfo
from gpz_jax.types import Dataset, Lane, Treatment

RECIPE = dataclasses.replace(IR, epochs=8, batch_size=16, learning_rate=3e-3)


@pytest.mark.parametrize(
  ('convention', 'on', 'off'),
  [
    # K = 10, alpha = 0.3, by hand from docs/paper.md#label-smoothing
    ('standard', 0.73, 0.03),
    ('code', 0.7, 0.3 / 9),
    ('table1', 0.7, 0.03),
  ],
)
def test_conventions_of_smoothing(convention, on, off):
  soft = targets.smooth_labels(jnp.array([2, 0]), jnp.float32(0.3), 10, convention)
  expected = np.full((2, 10), off)
  expected[[0, 1], [2, 0]] = on
  np.testing.assert_allclose(soft, expected, rtol=1e-5)


def test_code_is_standard_at_a_larger_alpha():
  labels = jnp.arange(10)
  code = targets.smooth_labels(labels, jnp.float32(-0.05), 10, 'code')
  standard = targets.smooth_labels(labels, jnp.float32(-0.05 * 10 / 9), 10, 'standard')
  np.testing.assert_allclose(code, standard, rtol=1e-5, atol=1e-7)


def test_negative_alpha_ramps_in_and_positive_does_not():
  progress = jnp.array([0.25, 0.5, 0.625, 0.75, 1.0])
  ramp = targets.effective_alpha(jnp.full(5, -0.2), progress)
  np.testing.assert_allclose(ramp, [0, 0, -0.1, -0.2, -0.2], atol=1e-6)
  np.testing.assert_allclose(
    targets.effective_alpha(jnp.full(5, 0.3), progress), 0.3, rtol=1e-6
  )


class Channels(nn.Module):
  """A classifier whose logits are the mean of each channel."""

  @nn.compact
  def __call__(self, x, *, train=False):
    del train
    return x.mean(axis=(1, 2)) * self.param('scale', nn.initializers.ones, ())


def red_images(labels):
  """Images that `Channels` sees as (1, 0, 0), whatever their labels."""
  image = np.zeros((len(labels), 2, 2, 3), np.uint8)
  image[..., 0] = 255
  return Dataset(image, np.array(labels, np.int32))


RED = {'params': {'scale': jnp.ones(())}}
# -ln softmax of (1, 0, 0), by hand: ln(e + 2) - 1 for the first class, ln(e + 2) else
RIGHT, WRONG = 0.5514447, 1.5514447


def test_the_loss_is_the_cross_entropy_with_smoothed_labels_of_what_counts():
  loss = targets._make_loss(Channels(), IR, 3, 'standard', Engine('map').resolve())
  data = red_images([0, 1])
  found, _ = loss(
    RED,
    {'alpha': jnp.float32(-0.2)},
    {'train': (jnp.asarray(data.image), jnp.asarray(data.label))},
    Batch(jnp.array([0, 1, 0]), jnp.array([1.0, 1.0, 0.0])),
    StepInfo(jax.random.key(0), jnp.float32(0.625)),
  )
  # half of the ramp, alpha -0.1: 1.1 - 0.1 / 3 on the label and -0.1 / 3 elsewhere
  on, off = 1.1 - 0.1 / 3, -0.1 / 3
  first = on * RIGHT + off * (WRONG + WRONG)
  second = on * WRONG + off * (RIGHT + WRONG)
  np.testing.assert_allclose(found, (first + second) / 2, rtol=1e-5)


def test_augmentation_and_dropout_draw_from_keys_of_their_own(monkeypatch):
  keys = {}

  def note_augment(key, images, **options):
    del options
    keys['augment'] = key
    return images

  def note_apply(model, variables, images, *, rngs, **options):
    keys['dropout'] = rngs['dropout']
    return model.apply(variables, images, **options)

  monkeypatch.setattr(targets.augment, 'augment', note_augment)
  monkeypatch.setattr(Engine, 'apply', staticmethod(note_apply))
  loss = targets._make_loss(Channels(), IR, 3, 'standard', Engine('map'))
  data, key = red_images([0]), jax.random.key(0)
  loss(
    RED,
    {'alpha': jnp.float32(0)},
    {'train': (jnp.asarray(data.image), jnp.asarray(data.label))},
    Batch(jnp.array([0]), jnp.ones(1)),
    StepInfo(key, jnp.float32(1)),
  )
  assert len({str(jax.random.key_data(each)) for each in (*keys.values(), key)}) == 3


def test_evaluation_by_hand():
  scores = targets.evaluate(
    Channels(), targets.from_variables(RED), red_images([0, 1, 0]), engine=Engine('map')
  )
  np.testing.assert_allclose(scores['accuracy'], [2 / 3], rtol=1e-6)
  np.testing.assert_allclose(scores['nll'], [(2 * RIGHT + WRONG) / 3], rtol=1e-5)


def test_shapes_that_do_not_fit_are_named():
  with pytest.raises(AssertionError, match=r'labels \[B\]'):
    targets.smooth_labels(jnp.zeros((2, 1), int), jnp.float32(0.1), 3, 'standard')
  with pytest.raises(AssertionError, match=r'alpha \[\]'):
    targets.smooth_labels(jnp.zeros(2, int), jnp.zeros(2), 3, 'standard')
  with pytest.raises(AssertionError, match=r'images \[N, H, W, C\]'):
    targets.pixels(jnp.zeros((2, 4, 4)), jnp.zeros(1, int))


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
