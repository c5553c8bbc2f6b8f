import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gpz_jax.attacks.activation import inversion, optimisation, query_free
from gpz_jax.models import layers
from gpz_jax.training.recipe import Recipe
from gpz_jax.types import Dataset, InputError, Lane, Treatment

SHAPE = (16, 16, 3)
RECIPE = Recipe(epochs=4, batch_size=16, learning_rate=3e-3)


class Target(nn.Module):
  """Two blocks with batch statistics, and dropout behind them."""

  @nn.compact
  def __call__(self, x, *, train=False):
    for name in ('conv_1', 'conv_2'):
      x = layers.ConvBlock(8, name=name)(x, train=train)
    return nn.Dense(3, name='logits')(
      layers.DenseBlock(8, dropout=0.1, name='fc')(x, train=train)
    )


def _colours(seed, num_images):
  """Images of one noisy primary colour; the colour is the class."""
  rng = np.random.default_rng(seed)
  labels = rng.integers(0, 3, num_images).astype(np.int32)
  images = rng.integers(0, 120, (num_images, *SHAPE))
  images[np.arange(num_images), ..., labels] += 120
  return Dataset(images.astype(np.uint8), labels)


@pytest.fixture(scope='module')
def trained():
  model = Target()
  targets = [model.init(jax.random.key(i), jnp.zeros((1, *SHAPE))) for i in range(2)]
  targets = jax.tree.map(lambda *leaves: jnp.stack(leaves), *targets)
  lanes = [
    inversion.AttackLane(i, Lane('target', 'colours', Treatment(), i), split)
    for i, split in enumerate(('conv_2', 'conv_1'))  # two programs
  ]
  fit_on, choose_on = _colours(0, 48), _colours(1, 16)
  shadows, history = query_free.train(model, targets, lanes, fit_on, choose_on, RECIPE)
  return model, targets, lanes, shadows, history


def test_shadow_edges_learn_to_serve_the_cloud(trained):
  *_, shadows, history = trained
  assert shadows.is_finite.all()
  assert history['nll'].shape == (4, 2)
  assert (history['loss'][-1] < history['loss'][0]).all()


def test_what_lies_behind_the_split_is_not_trained(trained):
  *_, shadows, _ = trained
  for lane, split in enumerate(('conv_2', 'conv_1')):
    stats = shadows.best.batch_stats
    moved = {
      name: not np.allclose(stats[name]['BatchNorm_0']['mean'][lane], 0)
      for name in ('conv_1', 'conv_2')
    }
    assert moved == {name: name <= split for name in moved}


def test_search_goes_through_the_shadow(trained):
  model, targets, lanes, shadows, _ = trained
  lanes = [lane for lane in lanes if lane.split == 'conv_1']
  edges = jax.tree.map(lambda leaf: leaf[1:], shadows.best.variables)
  images = _colours(2, 3).image
  activations = inversion.capture(model, targets, lanes, images)
  found = optimisation.reconstruct(
    model, edges, lanes, activations, SHAPE, optimisation.Search(60, 0.1, tv=0.0)
  )
  first = optimisation.reconstruct(
    model, edges, lanes, activations, SHAPE, optimisation.Search(steps=1)
  )
  assert found.reconstructions.shape == (1, 3, *SHAPE)
  assert (found.errors < first.errors).all()


def test_labels_must_be_the_targets(trained):
  model, targets, lanes, *_ = trained
  data = _colours(0, 8)
  wrong = Dataset(data.image, data.label + 1)
  with pytest.raises(InputError, match='label 3 is none of the 3 classes'):
    query_free.train(model, targets, lanes, data, wrong, RECIPE)
