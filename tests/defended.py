"""Lanes with defences that are trained side by side on a few images."""

import jax
import tiny

from gpz_jax import models, targets
from gpz_jax.training.engine import Engine
from gpz_jax.training.recipe import Recipe
from gpz_jax.types import Lane, Treatment

IMAGE = (16, 16, 3)


def make():
  return models.make('cnn', num_classes=3, width=0.0625)


def train(texts, *, model=None, strategy='map', **changes):
  """Targets [L] of a lane for each text, on 24 images, with weight decay."""
  lanes = [Lane('cnn', 'tiny', Treatment(defence=text), 0) for text in texts]
  recipe = Recipe(2, batch_size=9, weight_decay=0.01, learning_rate=3e-3)
  found, history = targets.train(
    make() if model is None else model,
    tiny.task(train=24),
    lanes,
    recipe,
    engine=Engine(strategy, devices=1),
    **changes,
  )
  return jax.device_get(found), history  # an index of NumPy's compiles nothing


def lane(found, i):
  return jax.tree.map(lambda leaf: leaf[i], found)
