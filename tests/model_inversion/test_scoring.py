"""What a study measures of the targets that it attacked."""

import types

import flax.linen as nn
import jax.numpy as jnp
import numpy as np

from gpz_jax.attacks.model.protocol import Outcome
from gpz_jax.model_inversion import scoring


class Pooled(nn.Module):
  """Ends in a convolution and a mean, so that no layer is given features [B, d]."""

  @nn.compact
  def __call__(self, x, *, train=False):
    return nn.Conv(3, (1, 1), name='classes')(x).mean(axis=(1, 2))


def test_the_confidence_of_a_target_needs_no_features():
  # two targets, whose logits are 2 and 4 times the mean colour
  kernel = jnp.stack([scale * jnp.eye(3).reshape(1, 1, 3, 3) for scale in (2.0, 4.0)])
  targets = {'params': {'classes': {'kernel': kernel, 'bias': jnp.zeros((2, 3))}}}
  scenario = types.SimpleNamespace(
    model=Pooled(), targets=targets, image_shape=(4, 4, 3), classes=np.array([2, 0])
  )
  colours = np.array([[[255, 0, 0], [0, 0, 255]], [[255, 0, 0], [0, 255, 0]]])
  images = np.tile(colours.astype(np.uint8)[None, :, :, None, None], (2, 1, 1, 4, 4, 1))
  found = scoring.measure_confidence(scenario, Outcome(images, np.zeros((2, 2, 2)), 2))
  # by hand: softmax of (a, 0, 0), of the coloured class and of another
  sure, other = (lambda a: np.exp(a) / (np.exp(a) + 2)), lambda a: 1 / (np.exp(a) + 2)
  wanted = [[[other(a), sure(a)], [sure(a), other(a)]] for a in (2, 4)]
  np.testing.assert_allclose(found, wanted, rtol=1e-5)
