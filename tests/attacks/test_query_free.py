import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import own_calls
import pytest
from flax import nnx, traverse_util

from gpz_jax import models, splits
from gpz_jax.attacks.activation import interception, optimisation, query_free
from gpz_jax.attacks.activation.cohorts import AttackLane
from gpz_jax.models import calls, layers
from gpz_jax.training.recipe import Recipe
from gpz_jax.training.state import Best
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
    AttackLane(i, Lane('target', 'colours', Treatment(), i), split)
    for i, split in enumerate(('conv_2', 'conv_1'))  # two programs
  ]
  train, held_out = _colours(0, 48), _colours(1, 16)
  shadows, history = query_free.train(model, targets, lanes, train, held_out, RECIPE)
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


class Hidden(nnx.Module):
  """Two units, of which a transform hides the first."""

  def __init__(self, num_classes, *, rngs):
    self.first = own_calls.Unit(4, rngs=rngs)
    self.stem = nnx.Conv(3, 4, (3, 3), rngs=rngs)
    self.second = own_calls.Unit(4, rngs=rngs)
    self.cut = nnx.Conv(4, 4, (1, 1), rngs=rngs)
    self.third = own_calls.Unit(4, rngs=rngs)
    self.logits = nnx.Linear(16, num_classes, rngs=rngs)

  def __call__(self, x):
    x = nnx.remat(lambda unit, x: unit(x))(self.first, self.stem(x))
    x = self.third(self.cut(self.second(x)))
    return self.logits(x.reshape(len(x), -1))


@pytest.mark.parametrize(
  ('name', 'split', 'expected'),
  [
    ('Twice', 'units_0', {'units/0/norm'}),
    ('Twice', 'units_1', {'units/0/norm', 'units/1/norm'}),
    ('Hidden', 'cut', {'first/norm', 'second/norm'}),
  ],
)
def test_the_batch_norms_of_an_edge_of_nnx_move(name, split, expected, monkeypatch):
  monkeypatch.setattr(own_calls, 'Hidden', Hidden, raising=False)
  model = models.make(f'own_calls:{name}', num_classes=3)
  variables = calls.init(model, jax.random.key(0), jnp.zeros((1, *SHAPE)))
  images = jax.random.uniform(jax.random.key(1), (4, *SHAPE))
  read = splits.list_read(model, SHAPE, (split,))[split]
  _, moved = query_free._shadow_edge(
    model, variables, images, split, jax.random.key(2), read
  )
  before, after = (
    traverse_util.flatten_dict(tree, sep='/')
    for tree in (variables['batch_stats'], moved)
  )
  found = {name for name in after if (after[name] != before[name]).all()}
  assert found == {f'{norm}/{each}' for norm in expected for each in ('mean', 'var')}


def test_the_epoch_of_a_shadow_is_that_of_its_lowest_error(trained):
  *_, shadows, history = trained
  np.testing.assert_allclose(shadows.best.value, history['error'].min(axis=0))
  np.testing.assert_array_equal(shadows.best.epoch, history['error'].argmin(axis=0) + 1)


def test_what_was_trained_by_split_comes_back_in_the_order_of_the_lanes():
  rows = [np.array([0, 3]), np.array([1, 2])]  # an order that is not its own inverse
  shadows = [
    query_free.Shadows(Best(part, part, {'w': part}, {}), part > 1)
    for part in map(jnp.asarray, rows)
  ]
  histories = [{'nll': np.stack([part, 10 * part])} for part in rows]
  joined, history = query_free._join_splits(shadows, histories, rows)
  np.testing.assert_array_equal(joined.best.params['w'], np.arange(4))
  np.testing.assert_array_equal(joined.is_finite, [False, False, True, True])
  np.testing.assert_array_equal(history['nll'], [[0, 1, 2, 3], [0, 10, 20, 30]])


def test_search_goes_through_the_shadow(trained):
  model, targets, lanes, shadows, _ = trained
  lanes = [lane for lane in lanes if lane.split == 'conv_1']
  edges = jax.tree.map(lambda leaf: leaf[1:], shadows.best.variables)
  images = _colours(2, 3).image
  activations = interception.intercept(model, targets, lanes, images)
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
