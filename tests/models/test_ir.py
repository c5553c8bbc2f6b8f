import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from gpz_jax import models, partition
from gpz_jax.models import ir, layers

IMAGE_SHAPE = (64, 64, 3)


def _params_of_children(model, image_shape=IMAGE_SHAPE):
  """Name of the direct child -> number of parameters, without running anything."""
  image = jnp.zeros((1, *image_shape))
  variables = jax.eval_shape(lambda: model.init(jax.random.key(0), image, train=False))
  return {
    name: sum(leaf.size for leaf in jax.tree.leaves(child))
    for name, child in variables['params'].items()
  }


@pytest.fixture(scope='module')
def ir152():
  return models.make('ir152', num_classes=10)


@pytest.fixture(scope='module')
def splits(ir152):
  return partition.list_splits(ir152, IMAGE_SHAPE)


# docs/paper.md#target-architectures: split, (h, w, c), parameters up to and with it
TABLE = [
  (3, (32, 32, 64), 150_016),
  (8, (16, 16, 128), 1_340_864),
  (25, (8, 8, 256), 17_613_248),
  (40, (8, 8, 256), 35_327_168),
  (48, (8, 8, 256), 44_774_592),
  (49, (4, 4, 512), 48_447_680),
  (50, (4, 4, 512), 53_168_832),
  (51, (4, 4, 512), 57_889_984),
]


def test_ir152_splits_and_edge_params(ir152, splits):
  params = _params_of_children(ir152)
  assert sum(params.values()) == 62_091_978  # K = 10
  names = list(splits)
  assert names[0] == 'input_layer'
  assert names[1:51] == [f'unit_{k}' for k in range(2, 52)]
  for k, shape, edge_params in TABLE:
    assert names[k - 1] == f'unit_{k}'  # the paper's number is the place in the list
    assert splits[f'unit_{k}'].shape == shape
    assert sum(params[name] for name in names[:k]) == edge_params
  # docs/paper.md#target-architectures
  assert round(100 * sum(params[name] for name in names[:49]) / 62_091_978, 2) == 78.03


@pytest.mark.parametrize(('name', 'units'), [('ir50', 24), ('ir100', 49)])
def test_shallower_depths(name, units):
  shapes = partition.list_splits(models.make(name, num_classes=10), IMAGE_SHAPE)
  assert list(shapes)[1:-1] == [f'unit_{k}' for k in range(2, units + 2)]
  assert shapes[f'unit_{units + 1}'].shape == (4, 4, 512)


@pytest.fixture
def small(monkeypatch):
  """IR with two units, one of each shortcut: quick to compile."""
  monkeypatch.setitem(ir.STAGES, 50, (1, 1, 0, 0))
  return models.make('ir50', num_classes=3, width=1 / 16)


def test_gradients_flow_under_jit_and_vmap_over_lanes(small):
  images = jax.random.uniform(jax.random.key(0), (4, 16, 16, 3))

  def step(variables, key):
    def loss(params):
      logits, updates = small.apply(
        {**variables, 'params': params},
        images,
        train=True,
        mutable=['batch_stats'],
        rngs={'dropout': key},
      )
      return jax.nn.logsumexp(logits, axis=-1).mean(), updates['batch_stats']

    return jax.grad(loss, has_aux=True)(variables['params'])

  keys = jax.random.split(jax.random.key(1), 2)
  variables = tiny.random_variables(small, images, lanes=(2,))
  gradient, moved = jax.jit(jax.vmap(step))(variables, keys)
  before = variables['batch_stats']
  change = jax.tree.map(lambda a, b: jnp.abs(a - b).max(), moved, before)
  assert all(value > 0 for value in jax.tree.leaves(change))
  slopes = gradient['unit_2']['prelu']['slope']
  assert slopes.shape == (2, 4)  # two lanes, a slope for each of the four channels
  assert jnp.all(jnp.isfinite(slopes))
  assert jnp.all(slopes != 0)


def test_units_are_true_cuts(small):
  images = jnp.linspace(0, 1, 2 * 16 * 16).reshape(2, 16, 16, 1)
  variables = tiny.random_variables(small, images)
  partition.check_cuts(small, variables, images, ('unit_2', 'unit_3', 'embedding'))


def test_shortcut_subsamples_where_channels_stay():
  # a unit whose last norm gives zero is its shortcut
  x = jnp.arange(100.0).reshape(1, 5, 5, 4)
  unit = ir.Unit(4, stride=2)
  variables = tiny.random_variables(unit, x)
  variables['params']['norm_2'] = {'scale': jnp.zeros(4), 'bias': jnp.zeros(4)}
  np.testing.assert_array_equal(unit.apply(variables, x), x[:, ::2, ::2])


def test_prelu_by_channel():
  prelu = layers.PReLU(per_channel=True)
  x = jnp.asarray([[-1.0, -1.0], [2.0, 2.0]])
  variables = {'params': {'slope': jnp.asarray([0.5, 0.1])}}
  # by hand: negatives times their channel's slope
  y = np.asarray(prelu.apply(variables, x))
  np.testing.assert_allclose(y, [[-0.5, -0.1], [2, 2]])
  initial = prelu.init(jax.random.key(0), x)['params']['slope']
  np.testing.assert_array_equal(initial, [0.25, 0.25])  # torch's PReLU
