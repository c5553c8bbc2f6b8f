import dataclasses
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gpz_jax.generators import Generator
from gpz_jax.model_inversion import priors

SIDE = 4


@dataclasses.dataclass(frozen=True)
class Noise(Generator):
  """Images whose pixels are the latent, nearly grey."""

  image_shape = (SIDE, SIDE, 1)
  latent_shape = (SIDE * SIDE,)

  def sample(self, variables, key, count):
    del variables
    shape = (count, *self.latent_shape)
    return jax.random.uniform(key, shape, minval=0.4, maxval=0.6)

  def images(self, variables, latents):
    return jnp.reshape(latents, (-1, *self.image_shape)) + variables


class Pixels:
  """An evaluator whose features are the pixels."""

  def features(self, images):
    return images.reshape(len(images), -1) / 255


@pytest.mark.parametrize('count', [64, 8], ids=['enough', 'fewer than features'])
def test_a_generator_of_nearly_black_images_is_doubted(count):
  prior = priors.Prior(Noise(), jnp.zeros(()), 'noise')
  public = priors.sample(prior, 64, seed=1)
  session = types.SimpleNamespace(
    plan=types.SimpleNamespace(
      task=types.SimpleNamespace(aux=types.SimpleNamespace(image=public)),
      config=types.SimpleNamespace(data_seed=0),
      most_side=SIDE,
    )
  )
  alike = priors.sample(prior, count, seed=2)
  black = np.zeros_like(alike)
  black[:, 0] = alike[:, 0] // 32
  doubts = priors.doubt_samples(session, Pixels(), prior, np.stack([alike, black]))
  assert doubts[0] == ''
  assert "the attack's own generator makes no images like the public ones" in doubts[1]


@dataclasses.dataclass(frozen=True)
class Framed(Noise):
  """Black images whose inner half is white."""

  image_shape = (8, 8, 1)
  centre_crop = 0.5

  def images(self, variables, latents):
    inner = jnp.zeros(self.image_shape).at[2:6, 2:6].set(1.2)
    return jnp.broadcast_to(inner, (len(latents), *self.image_shape))


def test_samples_are_what_targets_are_shown_of_them():
  prior = priors.Prior(Framed(), jnp.zeros(()), 'framed')
  drawn = priors.sample(prior, 3, seed=0)
  assert drawn.shape == (3, 4, 4, 1)
  assert (drawn == 255).all()
  assert priors.sample(prior, 3, seed=0, most_side=2).shape == (3, 2, 2, 1)
