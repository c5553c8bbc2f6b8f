import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from gpz_jax import models, partition
from gpz_jax.models import vit
from gpz_jax.types import InputError


def _params_of_children(model, image_shape=(64, 64, 3)):
  image = jnp.zeros((1, *image_shape))
  variables = jax.eval_shape(lambda: model.init(jax.random.key(0), image, train=False))
  return {
    name: sum(leaf.size for leaf in jax.tree.leaves(child))
    for name, child in variables['params'].items()
  }


# docs/paper.md#target-architectures
@pytest.mark.parametrize(
  ('options', 'expected'),
  [({}, 1_230_474), ({'heads': 10, 'head_dim': 64}, 2_801_034)],
)
def test_parameter_counts(options, expected):
  model = models.make('vit6', num_classes=10, **options)
  assert sum(_params_of_children(model).values()) == expected


def test_splits_and_edge_shares():
  model = models.make('vit6', num_classes=10)
  splits = partition.list_splits(model, (64, 64, 3))
  blocks = [f'block_{k}' for k in range(1, 7)]
  assert list(splits) == ['tokens', *blocks, 'cls']
  assert all(splits[name].shape == (257, 128) for name in blocks)
  params = _params_of_children(model)
  edge = np.cumsum([params[name] for name in ('tokens', *blocks)])[1:]
  # in percent, docs/paper.md#target-architectures
  np.testing.assert_allclose(
    100 * edge / 1_230_474, [19.3, 35.4, 51.5, 67.6, 83.8, 99.9], atol=0.05
  )


def test_other_image_sizes():
  model = models.make('vit6', num_classes=10)
  assert partition.list_splits(model, (32, 32, 1))['block_1'].shape == (65, 128)
  with pytest.raises(InputError, match='30x32 is not a multiple of the patch size 4'):
    model.init(jax.random.key(0), jnp.zeros((1, 30, 32, 3)), train=False)


def _small():
  return vit.ViT(num_classes=3, depth=1, width=0.25, heads=2)


@pytest.mark.ci
def test_residual_stream_is_a_true_cut():
  images = jnp.linspace(0, 1, 2 * 8 * 8 * 3).reshape(2, 8, 8, 3)
  variables = tiny.random_variables(_small(), images)
  partition.check_cuts(_small(), variables, images, ('tokens', 'block_1', 'cls'))


def test_gradients_reach_every_parameter_over_lanes():
  images = jax.random.uniform(jax.random.key(0), (2, 8, 8, 3))

  def loss(params):
    logits = jnp.asarray(_small().apply({'params': params}, images, train=False))
    return (logits**2).mean()

  params = tiny.random_variables(_small(), images, lanes=(2,))['params']
  gradients = jax.jit(jax.vmap(jax.grad(loss)))(params)
  for leaf in jax.tree.leaves(gradients):
    assert jnp.all(jnp.abs(leaf).reshape(2, -1).max(axis=1) > 0)


def test_dropout_only_in_training():
  images = jnp.linspace(0, 1, 2 * 8 * 8 * 3).reshape(2, 8, 8, 3)
  variables = tiny.random_variables(_small(), images)

  def logits(seed, train, **changes):
    rngs = {'dropout': jax.random.key(seed)}
    model = _small().clone(**changes)
    return np.asarray(model.apply(variables, images, train=train, rngs=rngs))

  np.testing.assert_array_equal(logits(0, False), logits(1, False))
  assert np.all(logits(0, True) != logits(1, True))
  without = [logits(seed, True, dropout=0) for seed in range(2)]
  np.testing.assert_array_equal(*without)
