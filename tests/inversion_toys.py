"""What the tests of further attacks on models share, beside the toy scenario."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import tiny
import toy_model_attack
from toy_model_attack import IMAGE, LATENT, Linear, Target

from gpz_jax.attacks.model.store import FileStore
from gpz_jax.types import Dataset

GENERATED = (8, 8, 1)  # the images that an attack's own generator can make


def make_scenario(*, lanes=2, classes=(0, 1, 3), **changes):
  """The toy scenario, of which any field may be changed."""
  scenario = toy_model_attack.make_scenario(lanes=lanes, classes=classes)
  return dataclasses.replace(scenario, **changes)


@dataclasses.dataclass(frozen=True)
class Layered(Linear):
  """Three layers, each of which reads the latents too."""

  def images(self, variables, latents):
    return self.images_from(variables, latents, 'first', latents)

  def list_layers(self):
    return ('first', 'second', 'third')

  def features(self, variables, latents, layer):
    return self.features_from(variables, latents, 'first', latents, layer)

  def features_from(self, variables, latents, layer, features, wanted):
    layers = self.list_layers()
    for name in layers[layers.index(layer) : layers.index(wanted)]:
      x = features @ variables[name]
      features = jnp.tanh(x + 0.1 * latents.sum(-1, keepdims=True))
    return features

  def images_from(self, variables, latents, layer, features):
    x = self.features_from(variables, latents, layer, features, 'third')
    x = x @ variables['third'] + 0.1 * latents.sum(-1, keepdims=True)
    return 0.5 + x.reshape(-1, *IMAGE)


def make_layered():
  """The fields of a scenario with a generator of layers."""
  rng = np.random.default_rng(2)
  sizes = {'first': (LATENT, 6), 'second': (6, 8), 'third': (8, 36)}
  drawn = {name: 0.4 * rng.normal(size=size) for name, size in sizes.items()}
  prior = {name: jnp.asarray(x, jnp.float32) for name, x in drawn.items()}
  return {'generator': Layered(), 'prior': prior}


class Critic(nn.Module):
  """A linear score of an image."""

  @nn.compact
  def __call__(self, x):
    return nn.Dense(1, name='score')(x.reshape(len(x), -1))[:, 0]


def make_critic():
  """The fields of a scenario with a critic."""
  critic = Critic()
  variables = critic.init(jax.random.key(3), jnp.zeros((1, *IMAGE)))
  return {'critic': critic, 'critic_variables': variables}


def make_public(count=24):
  """Public images, whose labels mean nothing."""
  rng = np.random.default_rng(5)
  images = rng.integers(0, 256, (count, *IMAGE)).astype(np.uint8)
  return Dataset(images, np.zeros(count, np.int32))


def assert_same_outcome(found, expected):
  """Asserts that two outcomes have the same bits."""
  for name in ('images', 'scores', 'latents'):
    np.testing.assert_array_equal(getattr(found, name), getattr(expected, name), name)
  assert found.history.keys() == expected.history.keys()
  for name, values in expected.history.items():
    np.testing.assert_array_equal(found.history[name], values, name)


class Dying:
  """A store whose process dies at the save after so many."""

  def __init__(self, folder, saves):
    self.store, self.left = FileStore(folder), saves

  def load(self, name):
    return self.store.load(name)

  def save(self, name, arrays):
    if not self.left:
      raise KeyboardInterrupt
    self.left -= 1
    self.store.save(name, arrays)


def check_attack(attack, tmp_path, saves=2, **changes):
  """Checks what any attack must hold: resuming, order of classes; gives its outcome."""
  scenario = make_scenario(**changes)
  expected = attack.run(scenario)
  lanes, classes = len(scenario.lanes), len(scenario.classes)
  assert expected.images.dtype == np.uint8
  assert expected.scores.shape[:2] == expected.images.shape[:2] == (lanes, classes)
  assert (np.diff(expected.scores, axis=-1) <= 0).all(), 'the best comes first'
  assert expected.num_final <= expected.scores.shape[-1]
  try:
    attack.run(dataclasses.replace(scenario, store=Dying(tmp_path, saves)))
  except KeyboardInterrupt:
    pass
  else:
    raise AssertionError('the process was to die')
  resumed = attack.run(dataclasses.replace(scenario, store=FileStore(tmp_path)))
  assert_same_outcome(resumed, expected)
  order = [2, 0]
  fewer = dataclasses.replace(scenario, classes=scenario.classes[order])
  found = attack.run(fewer)
  for name in ('images', 'scores', 'latents'):
    wanted = getattr(expected, name)[:, order]
    np.testing.assert_array_equal(getattr(found, name), wanted, name)
  return expected


def make_changes():
  """The fields of a scenario whose targets take images that can be generated."""
  model = Target()
  targets = jax.vmap(lambda key: model.init(key, jnp.zeros((1, *GENERATED))))(
    jax.random.split(jax.random.key(0), 2)
  )
  images = tiny.dataset(0, 20, size=8).image[..., :1]
  public = Dataset(images, np.zeros(20, np.int32))
  return {'targets': targets, 'image_shape': GENERATED, 'public': public}
