"""Models of `own_calls` as the library makes, initialises and calls them."""

import jax
import jax.numpy as jnp

from gpz_jax import models, partition
from gpz_jax.models import calls

IMAGE = (16, 16, 3)
KEY = jax.random.key(3)


def make(name: str, output: str | None = None, **options):
  return models.make(f'own_calls:{name}', num_classes=3, model_output=output, **options)


def images(count: int = 2) -> jax.Array:
  return jax.random.uniform(jax.random.key(1), (count, *IMAGE))


def init(model):
  return calls.init(model, jax.random.key(0), jnp.zeros((1, *IMAGE)))


def apply(model, variables, train: bool, key: jax.Array = KEY):
  mutable = ['batch_stats'] if train else False

  def call(rngs):
    return model.apply(variables, images(), train=train, mutable=mutable, rngs=rngs)

  if train:
    return calls.lend_keys(call, key, dropout=key)
  return calls.lend_keys(call, key)


def assert_cuts(model, *names):
  """The splits are these, and nothing but their activations crosses them."""
  splits = partition.list_splits(model, IMAGE)
  assert tuple(splits) == names
  variables = partition.arbitrary_variables(model, IMAGE)
  assert all(partition.true_cuts(model, variables, images(), names).values())
