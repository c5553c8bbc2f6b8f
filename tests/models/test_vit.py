import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gpz_jax import models, partition
from gpz_jax.types import InputError


def _params_of_children(model, image_shape=(64, 64, 3)):
  image = jnp.zeros((1, *image_shape))
  variables = jax.eval_shape(lambda: model.init(jax.random.key(0), image, train=False))
  return {
    name: sum(leaf.size for leaf in jax.tree.leaves(child))
    for name, child in variables['params'].items()
  }


# spec 2.3
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
  # spec 2.3, in percent
  np.testing.assert_allclose(
    100 * edge / 1_230_474, [19.3, 35.4, 51.5, 67.6, 83.8, 99.9], atol=0.05
  )


def test_other_image_sizes():
  model = models.make('vit6', num_classes=10)
  assert partition.list_splits(model, (32, 32, 1))['block_1'].shape == (65, 128)
  with pytest.raises(InputError, match='30x32 is not a multiple of the patch size 4'):
    model.init(jax.random.key(0), jnp.zeros((1, 30, 32, 3)), train=False)


def test_residual_stream_is_a_true_cut():
  model = models.make('vit6', num_classes=3, width=0.25, heads=2)
  images = jax.random.uniform(jax.random.key(0), (2, 16, 16, 3))
  variables = model.init(jax.random.key(1), images, train=False)
  partition.check_cuts(model, variables, images, ('tokens', 'block_3', 'cls'))


def test_gradients_and_dropout_over_lanes():
  model = models.make('vit6', num_classes=3, width=0.25, heads=2)
  images = jax.random.uniform(jax.random.key(0), (2, 16, 16, 3))
  variables = model.init(jax.random.key(1), images, train=False)

  def loss(params, key):
    logits = model.apply({'params': params}, images, train=True, rngs={'dropout': key})
    return (logits**2).mean()

  keys = jax.random.split(jax.random.key(2), 2)
  losses, gradients = jax.jit(jax.vmap(jax.value_and_grad(loss), in_axes=(None, 0)))(
    variables['params'], keys
  )
  assert losses[0] != losses[1]  # dropout differs by lane
  for leaf in jax.tree.leaves(gradients):
    assert jnp.all(jnp.abs(leaf).reshape(2, -1).max(axis=1) > 0)
