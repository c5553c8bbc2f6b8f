import colours
import flax.linen as nn
import jax
import jax.numpy as jnp
import kinds
import numpy as np
import own_calls
import pytest
import tiny
from flax import nnx

from gpz_jax import models
from gpz_jax.evaluators import Evaluator, evaluator
from gpz_jax.models import calls, penultimate
from gpz_jax.types import InputError


def test_pixels_are_scaled_once_and_answers_are_those_of_the_nearest_colour():
  judge = colours.evaluator()
  found = judge.answer(colours.flat(colours.CORNERS))
  # by hand: features are the mean of pixels in [0, 1], so that white is 1 and black 0
  np.testing.assert_allclose(found.features, colours.CORNERS, atol=1e-6)
  assert found.logits.argmax(axis=1).tolist() == list(range(8))
  np.testing.assert_allclose(found.logits[7, 7], 2 * 3 - 3, atol=1e-5)
  np.testing.assert_array_equal(
    judge.logits(colours.flat([[1, 1, 1]])), found.logits[7:]
  )


def test_any_number_of_images_and_any_size_go_through_one_program_each():
  judge = colours.evaluator()
  rng = np.random.default_rng(0)
  images = rng.integers(0, 256, (130, 4, 4, 3)).astype(np.uint8)
  before = evaluator._answer._cache_size()
  whole = judge.features(images)
  np.testing.assert_allclose(whole, images.mean(axis=(1, 2)) / 255, rtol=1e-5)
  np.testing.assert_array_equal(judge.features(images[128:]), whole[128:])
  assert evaluator._answer._cache_size() - before <= 1
  large = colours.flat(colours.CORNERS, side=10)  # a flat image stays what it is
  np.testing.assert_allclose(judge.features(large), colours.CORNERS, atol=1e-6)


def test_images_are_resized_as_pillow_does():
  import PIL.Image

  rng = np.random.default_rng(0)
  image = rng.integers(0, 256, (1, 12, 12, 3)).astype(np.uint8)
  shown = PIL.Image.fromarray(image[0]).resize((5, 5), PIL.Image.Resampling.BILINEAR)
  found = evaluator.resize(jnp.asarray(image, jnp.float32), (5, 5))
  np.testing.assert_allclose(found[0], np.asarray(shown), atol=1)  # Pillow rounds
  assert evaluator.resize(found, (5, 5)) is found


def test_what_is_no_image_of_the_evaluator_is_refused():
  judge = colours.evaluator()
  with pytest.raises(InputError, match=r'takes images \[n, H, W, C\] uint8, got f'):
    judge.logits(np.zeros((2, 4, 4, 3)))
  with pytest.raises(InputError, match='takes images of 3 channels, got 1; convert'):
    judge.logits(np.zeros((2, 4, 4, 1), np.uint8))
  with pytest.raises(InputError, match='got no images'):
    judge.logits(np.zeros((0, 4, 4, 3), np.uint8))


def test_an_evaluator_without_classes_gives_features_alone():
  class Embedding(nn.Module):
    @nn.compact
    def __call__(self, x, *, train=False):
      return 2 * x.mean(axis=(1, 2))

  face = Evaluator('face', Embedding(), {}, (4, 4, 3), embeds=True)
  images = colours.flat(colours.CORNERS)
  np.testing.assert_allclose(face.features(images), 2 * colours.CORNERS, atol=1e-6)
  assert face.answer(images).logits.shape == (8, 0)
  with pytest.raises(InputError, match="'face' has no classes of this data"):
    face.logits(images)


SMALLEST = {
  'inception_v3': ({'width': 1 / 16}, 75),
  'maxvit_t': ({'window': 1}, 32),
  'vit_b_16': ({}, 32),
}


FAST = ('cnn', 'ir50', 'repvgg_a0', 'resnet18', 'resnet50', 'vgg11', 'vit6')


@pytest.mark.parametrize('name', kinds.each(models.MODELS, FAST, pytest.mark.slow))
def test_features_of_every_model_are_what_its_last_layer_is_given(name):
  options, side = SMALLEST.get(name, ({'width': 0.125}, 32))
  model = models.make(name, num_classes=7, **options)
  blank = jax.ShapeDtypeStruct((1, side, side, 3), jnp.float32)
  variables = jax.eval_shape(lambda x: calls.init(model, jax.random.key(0), x), blank)
  width = variables['params']['logits']['kernel'].shape[0]
  assert penultimate.check(model, variables, (side, side, 3)) == width


@pytest.mark.parametrize(
  'model',
  [
    models.make('cnn', num_classes=3, width=0.125),
    models.make('own_calls:Plain', num_classes=3),
    models.make('own_calls:Several', num_classes=3, form='tuple', model_output='0'),
  ],
  ids=['cnn', 'plain', 'several'],
)
def test_logits_are_linear_in_the_features(model):
  images = jax.random.uniform(jax.random.key(0), (4, 16, 16, 3))
  variables = tiny.random_variables(model, images[:1])
  logits, features = penultimate.apply(model, variables, images)
  names = variables['params']
  layer = names.get('logits') or names['Dense_0']
  expected = features @ layer['kernel'] + layer['bias'][None]
  np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-4)


class Head(nn.Module):
  """A module around the last layer, which is not the last layer."""

  @nn.compact
  def __call__(self, x):
    return nn.Dense(3, name='last')(nn.relu(x))


def _by_image(kind):
  """The module for one image at a time."""
  return nn.vmap(kind, variable_axes={'params': None}, split_rngs={'params': False})


class Headed(nn.Module):
  """As many features as classes, a head of two modules, and a temperature."""

  kind: str

  @nn.compact
  def __call__(self, x, *, train=False):
    x = nn.Dense(3, name='features')(x.reshape(len(x), -1))
    if self.kind == 'head':
      return Head(name='head')(x) / 2
    if self.kind in LIFTS:
      return LIFTS[self.kind](Head)(name='head')(x)
    kernel = self.param('kernel', nn.initializers.ones, (3, 3))
    return jnp.tanh(x) @ kernel + (x if self.kind == 'around' else 0)


LIFTS = {'jit': nn.jit, 'remat': nn.remat, 'vmap': _by_image}


def test_the_innermost_last_layer_counts():
  model, images = Headed('head'), jnp.ones((2, 2, 2, 1))
  variables = tiny.random_variables(model, images)
  logits, features = penultimate.apply(model, variables, images)
  last = variables['params']['head']['last']
  expected = (features @ last['kernel'] + last['bias'][None]) / 2
  np.testing.assert_allclose(logits, expected, rtol=1e-5)
  assert features.min() >= 0  # behind the ReLU in the head


@pytest.mark.parametrize('kind', [*LIFTS, 'none', 'around'])
def test_a_last_layer_that_cannot_be_seen_is_refused(kind):
  # The layer `features` makes as many numbers as there are classes, and would pass.
  model, images = Headed(kind), jnp.ones((2, 2, 2, 1))
  variables = tiny.random_variables(model, images)
  for _ in range(2):  # what a transform has traced, it does not trace again
    with pytest.raises(InputError, match=r'no features: .* outside any transf'):
      penultimate.apply(model, variables, images)
    with pytest.raises(InputError, match='Headed has no features'):
      Evaluator('own', model, variables, (2, 2, 1))


class NNX(nnx.Module):
  """Two layers and a ReLU."""

  def __init__(self, num_classes, *, rngs: nnx.Rngs):
    self.first = nnx.Linear(12, 5, rngs=rngs)
    self.last = nnx.Linear(5, num_classes, rngs=rngs)

  def __call__(self, x):
    return self.last(nnx.relu(self.first(x.reshape(len(x), -1))))


def test_an_nnx_model_has_features():
  own_calls.JudgedNNX = NNX
  model = models.make('own_calls:JudgedNNX', num_classes=3)
  images = jnp.ones((2, 2, 2, 3))
  variables = calls.init(model, jax.random.key(0), images)
  logits, features = penultimate.apply(model, variables, images)
  last = variables['params']['last']
  expected = features @ last['kernel'] + last['bias'][None]
  np.testing.assert_allclose(logits, expected, rtol=1e-5)
  assert features.shape == (2, 5)


class NoLayer(nn.Module):
  @nn.compact
  def __call__(self, x, *, train=False):
    return jnp.tanh(x.mean(axis=(1, 2)))


def test_a_model_without_a_last_layer_is_refused_in_one_line():
  with pytest.raises(InputError, match=r'^NoLayer has no features: .*nn\.Dense'):
    Evaluator('own', NoLayer(), {}, (4, 4, 3))
