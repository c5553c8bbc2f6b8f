"""The loss of decoders, by hand."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from gpz_jax.attacks.activation import enhance, objective
from gpz_jax.data import epoch_order
from gpz_jax.training.engine import Engine
from gpz_jax.training.step import Batch, StepInfo

EXAMPLES, SHAPE = 5, (2, 2, 3)
MEAN, SCALE = np.array([0.1, 0.2, 0.3]), np.array([1.0, 2.0, 0.5])
CONSTANTS = {'normalize': {'mean': jnp.asarray(MEAN), 'scale': jnp.asarray(SCALE)}}


class Standardised(nn.Module):
  """A decoder that takes the standardised activation for the image."""

  @nn.compact
  def __call__(self, x, *, train=False):
    return enhance.Normalize('input', name='normalize')(x, train=train)


def draw():
  """Activations [N, h, w, 3] and images [N, h, w, 3] uint8."""
  rng = np.random.default_rng(0)
  activations = rng.random((EXAMPLES, *SHAPE)).astype(np.float32)
  return activations, rng.integers(0, 256, (EXAMPLES, *SHAPE)).astype(np.uint8)


def compute_loss(batch):
  """The loss and the new batch statistics of one batch."""
  activations, images = draw()
  decoder = Standardised()
  variables = decoder.init(jax.random.key(0), activations)
  return objective._make_loss(decoder, Engine('map').resolve())(
    {'params': {}, 'batch_stats': variables['batch_stats']},
    {'train': jnp.asarray(activations), 'normalization_stats': CONSTANTS},
    {'train': jnp.asarray(images)},
    batch,
    StepInfo(jax.random.key(0), jnp.float32(1)),
  )


def errors_by_hand():
  """The mean squared error [N] of every example."""
  activations, images = draw()
  made = (activations - MEAN) * SCALE
  return np.square(made - images / 255).mean(axis=(1, 2, 3))


def test_constants_of_the_lane_replace_the_statistics_of_the_decoder():
  found, updated = compute_loss(Batch(jnp.arange(EXAMPLES), jnp.ones(EXAMPLES)))
  np.testing.assert_allclose(found, errors_by_hand().mean(), rtol=1e-5)
  for name, constant in (('mean', MEAN), ('scale', SCALE)):
    np.testing.assert_allclose(
      updated['batch_stats']['normalize'][name], constant, rtol=1e-6
    )


def test_examples_that_fill_the_last_batch_do_not_count():
  index, masks = epoch_order(0, 0, EXAMPLES, 3)
  assert masks[-1].tolist() == [1, 1, 0]
  found, _ = compute_loss(Batch(jnp.asarray(index[-1]), jnp.asarray(masks[-1])))
  np.testing.assert_allclose(found, errors_by_hand()[index[-1, :2]].mean(), rtol=1e-5)
