"""A scenario of an attack on activations that nobody trained or captured."""

import dataclasses

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
import tiny

from gpz_jax.attacks.activation.cohorts import AttackLane
from gpz_jax.attacks.activation.interception import Intercepted
from gpz_jax.attacks.activation.protocol import Scenario
from gpz_jax.models import layers
from gpz_jax.training.engine import Engine
from gpz_jax.training.recipe import DECODER, IR
from gpz_jax.types import Lane, Treatment

SHAPE, IMAGE = (4, 4, 8), (16, 16, 3)
TRAIN, HELD_OUT, TEST = 12, 4, 5
MAP = Engine('map').resolve()
RECIPE = dataclasses.replace(DECODER, epochs=2, batch_size=8, learning_rate=2e-3)


class Target(nn.Module):
  """The least that can be cut: one block, and logits."""

  @nn.compact
  def __call__(self, x, *, train=False):
    x = layers.ConvBlock(4, name='conv_1')(layers.standardize(x), train=train)
    return nn.Dense(3, name='logits')(x.mean(axis=(1, 2)))


def made_up(seed, *shape):
  return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def make_scenario(**changes) -> Scenario:
  """Two lanes whose targets are in the opposite order, with made-up activations."""
  lanes = [
    AttackLane(i, Lane('m', 'd', Treatment(), i), split='conv_1') for i in (1, 0)
  ]
  aux = jnp.asarray(made_up(0, 2, TRAIN + HELD_OUT, *SHAPE))
  scenario = Scenario(
    model=Target(),
    targets=None,
    lanes=lanes,
    intercepted=Intercepted(aux, jnp.asarray(made_up(1, 2, TEST, *SHAPE)), 'device'),
    train=tiny.dataset(0, TRAIN),
    held_out=tiny.dataset(1, HELD_OUT),
    held_out_activations=aux[:, TRAIN:],
    test=tiny.dataset(2, TEST),
    decoder_recipe=RECIPE,
    target_recipe=IR,
    engine=MAP,
  )
  return dataclasses.replace(scenario, **changes)
