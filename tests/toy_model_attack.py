"""A linear generator and a tiny target that the tests of attacks on models share."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from gpz_jax.attacks.model import Scenario
from gpz_jax.generators import Generator
from gpz_jax.training.engine import Engine
from gpz_jax.types import Lane, Treatment

IMAGE = (6, 6, 1)
LATENT = 5
CLASSES = 4
MAP = Engine('map')


@dataclasses.dataclass(frozen=True)
class Linear(Generator):
  """Images that are linear in their latents, about grey."""

  @property
  def image_shape(self):
    return IMAGE

  @property
  def latent_shape(self):
    return (LATENT,)

  def sample(self, variables, key, count):
    del variables
    return jax.random.normal(key, (count, LATENT))

  def images(self, variables, latents):
    return 0.5 + (latents @ variables['basis']).reshape(-1, *IMAGE)


class Target(nn.Module):
  """Two layers, so that there is a place to look at gradients."""

  @nn.compact
  def __call__(self, x, *, train=False):
    x = nn.tanh(nn.Dense(8, name='hidden')(x.reshape(len(x), -1)))
    return nn.Dense(CLASSES, name='logits')(x)


def make_scenario(*, lanes=2, classes=(0, 1, 3), engine=MAP, **changes):
  """Untrained targets under attack."""
  model = Target()
  targets = jax.vmap(lambda key: model.init(key, jnp.zeros((1, *IMAGE))))(
    jax.random.split(jax.random.key(0), lanes)
  )
  basis = np.random.default_rng(0).normal(size=(LATENT, 36)).astype(np.float32)
  return Scenario(
    model=model,
    targets=targets,
    lanes=tuple(Lane('tiny', 'none', Treatment(), seed) for seed in range(lanes)),
    generator=Linear(),
    prior={'basis': jnp.asarray(0.2 * basis)},
    classes=np.array(classes, np.int32),
    image_shape=IMAGE,
    engine=engine,
    **changes,
  )
