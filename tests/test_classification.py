"""What the training of a classifier minimises, and what is measured of one."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gpz_jax import classification, targets
from gpz_jax.training import step
from gpz_jax.training.engine import Engine
from gpz_jax.training.recipe import IR
from gpz_jax.training.step import Batch, StepInfo
from gpz_jax.types import Dataset


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
  loss = classification._make_loss(
    Channels(), IR, 3, 'standard', Engine('map').resolve()
  )
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

  monkeypatch.setattr(classification.augment, 'augment', note_augment)
  monkeypatch.setattr(Engine, 'apply', staticmethod(note_apply))
  loss = classification._make_loss(Channels(), IR, 3, 'standard', Engine('map'))
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


def test_images_of_a_wrong_rank_are_named():
  with pytest.raises(AssertionError, match=r'images \[N, H, W, C\]'):
    step.pixels(jnp.zeros((2, 4, 4)), jnp.zeros(1, int))
