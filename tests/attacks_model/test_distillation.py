import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from gpz_jax.attacks.model import distillation
from gpz_jax.models import penultimate
from gpz_jax.training.engine import Engine
from gpz_jax.training.recipe import Recipe
from gpz_jax.types import InputError, Lane, Treatment

ENGINE = Engine('map').resolve()
LANES = [Lane('line', 'tiny', Treatment(), seed) for seed in (0, 1)]


class Student(nn.Module):
  """Averages colours, and a hidden layer."""

  @nn.compact
  def __call__(self, x, *, train=False):
    x = nn.relu(nn.Dense(8, name='hidden')(x.mean(axis=(1, 2))))
    return nn.Dense(3, name='logits')(x)


class Colour(nn.Module):
  """Twice the centred mean of each colour: it has no layer of its own."""

  @nn.compact
  def __call__(self, x, *, train=False):
    scale = self.param('scale', nn.initializers.ones, ())
    return 8 * scale * x.mean(axis=(1, 2))


def make_targets():
  return {'params': {'scale': jnp.array([1.0, -1.0])}}


def test_divergence_by_hand():
  # 1/2 ln(1/2 / (3/4)) + 1/2 ln(1/2 / (1/4)) = 0.1438 nats, and 0 from oneself
  logits = jnp.log(jnp.array([[0.75, 0.25], [0.5, 0.5]]))
  found = distillation.soft_cross_entropy(logits, jnp.full((2, 2), 0.5))
  np.testing.assert_allclose(found, [0.1438, 0], atol=1e-4)


def test_a_certain_answer_has_no_nan():
  found = distillation.soft_cross_entropy(jnp.zeros((1, 2)), jnp.array([[1.0, 0.0]]))
  np.testing.assert_allclose(found, [np.log(2)], rtol=1e-6)


def test_answers_are_those_of_each_target():
  public = tiny.dataset(0, 5, size=4)
  found = distillation.answers(Colour(), make_targets(), public.image, ENGINE, 2)
  mean = public.image.astype(np.float32).mean(axis=(1, 2)) / 255
  np.testing.assert_allclose(found[0], jax.nn.softmax(8 * mean), atol=1e-5)
  np.testing.assert_allclose(found[1], jax.nn.softmax(-8 * mean), atol=1e-5)


@pytest.mark.ci
def test_students_learn_their_own_targets_from_public_images():
  public = tiny.dataset(0, 60, size=4)
  recipe = Recipe(8, batch_size=10, learning_rate=0.05, amsgrad=False)
  students, history = distillation.train(
    Student(), 'a', (Colour(), make_targets()), LANES, public, recipe, engine=ENGINE
  )
  divergence = history['divergence']
  assert divergence.shape == (8, 2)
  assert (divergence[-1] < 0.3 * divergence[0]).all()
  unseen = tiny.dataset(9, 9, size=4).image
  found = distillation.answers(Student(), students, unseen, ENGINE)
  wanted = distillation.answers(Colour(), make_targets(), unseen, ENGINE)
  # The second target's answers are the opposite, so a mixed-up lane would fail.
  np.testing.assert_array_equal(found.argmax(-1)[0], wanted.argmax(-1)[0])
  assert np.abs(found - wanted).mean() < 0.15


def test_features_are_what_the_last_layer_is_given():
  model = Student()
  images = jnp.asarray(np.random.default_rng(0).uniform(size=(2, 4, 4, 3)))
  variables = model.init(jax.random.key(0), images)
  logits, features = penultimate.apply(model, variables, images, ENGINE.apply)
  layer = variables['params']['logits']
  assert features.shape == (2, 8)
  np.testing.assert_allclose(
    features @ layer['kernel'] + layer['bias'][None], logits, rtol=1e-5
  )


def test_a_model_without_a_last_layer_is_refused():
  variables = {'params': {'scale': jnp.ones(())}}
  with pytest.raises(InputError, match='Colour computes its logits by no layer'):
    penultimate.apply(Colour(), variables, jnp.ones((1, 4, 4, 3)), ENGINE.apply)
