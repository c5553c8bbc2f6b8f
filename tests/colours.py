"""A classifier of mean colours whose every answer is known by hand."""

import flax.linen as nn
import jax.numpy as jnp
import numpy as np

from gpz_jax.evaluators import Evaluator
from gpz_jax.types import Dataset

# The corners of the cube of colours, in [0, 1]
CORNERS = np.array([[r, g, b] for r in (0, 1) for g in (0, 1) for b in (0, 1)], float)


class MeanColour(nn.Module):
  """Logits of the mean colour, which is the features."""

  num_classes: int

  @nn.compact
  def __call__(self, x, *, train=False):
    return nn.Dense(self.num_classes, name='logits')(x.mean(axis=(1, 2)))


def evaluator(colours=CORNERS, side: int = 4, **options) -> Evaluator:
  """Gives an image to the class of the nearest colour [K, 3]."""
  # |f - c|^2 = |f|^2 - 2 c f + |c|^2, of which |f|^2 is the same for all classes
  layer = {
    'kernel': jnp.asarray(2 * colours.T, jnp.float32),
    'bias': jnp.asarray(-np.square(colours).sum(axis=1), jnp.float32),
  }
  variables = {'params': {'logits': layer}}
  model = MeanColour(len(colours))
  return Evaluator('colours', model, variables, (side, side, 3), **options)


def flat(colours, side: int = 4) -> np.ndarray:
  """Images [..., side, side, 3] uint8 of one colour each, of colours [..., 3]."""
  colours = np.asarray(colours, float)[..., None, None, :]
  shape = (*colours.shape[:-3], side, side, 3)
  return np.broadcast_to(np.rint(255 * colours), shape).astype(np.uint8)


def private(count: int = 5, noise: float = 0.1, seed: int = 0) -> Dataset:
  """`count` images of each corner, whose colours are off by up to `noise`."""
  rng = np.random.default_rng(seed)
  colours = np.repeat(CORNERS, count, axis=0)
  colours = np.clip(colours + rng.uniform(-noise, noise, colours.shape), 0, 1)
  label = np.repeat(np.arange(len(CORNERS), dtype=np.int32), count)
  return Dataset(flat(colours), label)
