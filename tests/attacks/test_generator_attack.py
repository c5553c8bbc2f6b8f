"""The search in a generator's latents for the image behind an activation."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gpz_jax import generators, partition
from gpz_jax.attacks.activation import specs
from gpz_jax.attacks.activation.cohorts import AttackLane
from gpz_jax.attacks.activation.interception import Intercepted
from gpz_jax.attacks.activation.protocol import Scenario
from gpz_jax.models import layers
from gpz_jax.training.engine import AUTO
from gpz_jax.training.recipe import DECODER
from gpz_jax.types import Dataset, InputError, Lane, Task, Treatment

SHAPE = (16, 16, 3)
GENERATOR = generators.DCGAN(size=16, width=4, latent=5)


class Target(nn.Module):
  """The least that can be cut: one block, and logits."""

  @nn.compact
  def __call__(self, x, *, train=False):
    x = layers.ConvBlock(8, name='conv_1')(layers.standardize(x), train=train)
    return nn.Dense(3, name='logits')(x.mean(axis=(1, 2)))


@pytest.fixture(scope='module')
def prior(tmp_path_factory):
  """A file with a generator, and its variables."""
  variables = GENERATOR.init(jax.random.key(7))
  # Fresh weights make one image of all latents; larger ones make them differ.
  params = jax.tree.map(lambda leaf: 8 * leaf, variables['params'])
  variables = {**variables, 'params': params}
  path = tmp_path_factory.mktemp('prior') / 'g.safetensors'
  generators.save(path, GENERATOR, variables)
  return path, variables


@pytest.fixture(scope='module')
def scenario(prior) -> Scenario:
  """A target that sends the activations of three images of the generator."""
  model = Target()
  variables = model.init(jax.random.key(0), jnp.zeros((1, *SHAPE)))
  latents = GENERATOR.sample(prior[1], jax.random.key(1), 3)
  images = np.clip(GENERATOR.images(prior[1], latents), 0, 1)
  pixels = np.round(255 * images).astype(np.uint8)
  test = Dataset(pixels, np.zeros(3, np.int32))
  sent = partition.edge(model, variables, jnp.asarray(pixels) / 255, 'conv_1')
  sent = np.asarray(sent)[None]
  lane = AttackLane(0, Lane('target', 'made up', Treatment(), 0), 'conv_1')
  return Scenario(
    model=model,
    targets=jax.tree.map(lambda leaf: leaf[None], variables),
    lanes=[lane],
    intercepted=Intercepted(sent, sent, 'host'),
    train=test,
    held_out=test,
    held_out_activations=sent,
    test=test,
    decoder_recipe=DECODER,
    target_recipe=DECODER,
    engine=AUTO.resolve(),
  )


def run(prior, scenario, **options):
  text = ''.join(f':{name}={value}' for name, value in options.items())
  attack = specs.parse(f'generator:file={prior[0]}{text}')
  outcome = attack.run(scenario)
  made = outcome.on_test(np.arange(3))
  error = np.mean(np.square(made[0] - scenario.test.image / 255), axis=(1, 2, 3))
  return outcome, made, error


def test_it_comes_nearer_to_the_image_with_more_steps(prior, scenario):
  few = run(prior, scenario, steps=1, starts=1)[2]
  outcome, made, many = run(prior, scenario, steps=150, starts=4)
  assert made.shape == (1, 3, *SHAPE)
  assert outcome.is_finite.all()
  assert many.mean() < 0.5 * few.mean()


def test_what_an_image_gets_does_not_depend_on_the_others(prior, scenario):
  alone = run(prior, scenario, steps=3, starts=2)[1]
  attack = specs.parse(f'generator:file={prior[0]}:steps=3:starts=2:images=1')
  found = attack.run(scenario).on_test(np.arange(1))
  np.testing.assert_allclose(found[0, 0], alone[0, 0], rtol=1e-4, atol=1e-5)


def measure_losses(scenario, made):
  """The mean squared difference of activations of each image, [N]."""
  one = jax.tree.map(lambda leaf: leaf[0], scenario.targets)
  found = partition.edge(scenario.model, one, jnp.asarray(made[0]), 'conv_1')
  apart = np.square(np.asarray(found) - scenario.intercepted.test[0])
  return apart.mean(axis=(1, 2, 3))


@pytest.fixture(scope='module')
def foreign(scenario) -> Scenario:
  """The same target, which sends the activations of images beyond the generator."""
  pixels = np.random.default_rng(3).integers(0, 256, (3, 4, 4, 3)).astype(np.uint8)
  pixels = pixels.repeat(4, axis=1).repeat(4, axis=2)
  one = jax.tree.map(lambda leaf: leaf[0], scenario.targets)
  sent = partition.edge(scenario.model, one, jnp.asarray(pixels) / 255, 'conv_1')
  sent = np.asarray(sent)[None]
  return dataclasses.replace(
    scenario,
    test=Dataset(pixels, np.zeros(3, np.int32)),
    intercepted=Intercepted(sent, sent, 'host'),
  )


def test_released_layers_come_nearer_than_latents_alone(prior, foreign):
  def lowest(steps, release, radius=0.0):
    options = {'steps': steps, 'starts': 2, 'release': release, 'radius': radius}
    _, made, _ = run(prior, foreign, release_steps=60, **options)
    return measure_losses(foreign, made).mean()

  alone = lowest(60, release=0)
  # More steps for the latents alone do not make up for the layers.
  assert lowest(60, release=2) < 0.8 * min(alone, lowest(180, release=0))
  # A tight ball holds the layers where they began.
  np.testing.assert_allclose(lowest(60, release=2, radius=1e-3), alone, rtol=0.02)


def test_more_layers_than_there_are_go_through_to_the_end(prior, scenario):
  attack = specs.parse(f'generator:file={prior[0]}:steps=7:release=9:release_steps=5')
  attack.check_task(make_task(scenario))
  assert attack._phase_steps(GENERATOR) == (7, 5, 5)  # project, up_0, out


def make_task(scenario, channels=3) -> Task:
  image = scenario.test.image[..., :channels]
  data = Dataset(image, scenario.test.label)
  return Task('made up', 'made up', 3, ('a', 'b', 'c'), data, data, data, data)


@pytest.mark.parametrize(
  ('options', 'channels', 'message'),
  [
    ('', 1, 'makes images of 3 channels'),
    (':images=40', 3, 'images=40 is more than the 3 images'),
  ],
)
def test_it_refuses_data_that_do_not_fit(prior, scenario, options, channels, message):
  attack = specs.parse(f'generator:file={prior[0]}{options}')
  with pytest.raises(InputError, match=message):
    attack.check_task(make_task(scenario, channels))


@pytest.mark.parametrize(
  ('text', 'message'),
  [
    ('generator', 'has no generator; give its file'),
    ('generator:file=g:steps=0', 'steps must be at least 1'),
    ('generator:file=g:learning_rate=0', 'learning_rate must be above 0'),
    ('generator:file=g:release=-1', 'release must be at least 0'),
    ('generator:file=g:radius=-1', 'radius must be at least 0'),
  ],
)
def test_a_text_refuses_what_it_can_tell_alone(text, message):
  with pytest.raises(InputError, match=message):
    specs.parse(text)


def test_a_file_that_is_absent_is_named(scenario):
  attack = specs.parse('generator:file=absent.safetensors')
  with pytest.raises(InputError, match=r'absent\.safetensors'):
    attack.check_task(make_task(scenario))
