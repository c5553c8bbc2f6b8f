import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from gpz_jax import models, partition
from gpz_jax.models import layers, resnet, skips
from gpz_jax.types import InputError


def _count(model, image_shape=(64, 64, 3)):
  image = jnp.zeros((1, *image_shape))
  variables = jax.eval_shape(lambda: model.init(jax.random.key(0), image, train=False))
  return sum(leaf.size for leaf in jax.tree.leaves(variables['params']))


# torchvision's published counts (K = 1000) less the stem: 7x7 against 3x3 on 3 -> 64
@pytest.mark.parametrize(
  ('name', 'torchvision'), [('resnet18', 11_689_512), ('resnet50', 25_557_032)]
)
def test_parameter_counts(name, torchvision):
  model = models.make(name, num_classes=1000)
  assert _count(model) == torchvision - 64 * 3 * (49 - 9)


# Skip connections of stage 3 that the released code has, docs/paper.md#skip-connections
@pytest.mark.parametrize(
  ('depth', 'kept', 'blocks'),
  [(18, 1, 2), (34, 4, 6), (50, 4, 6), (101, 18, 23), (152, 28, 36)],
)
def test_the_released_stage_3_is_an_option(depth, kept, blocks, monkeypatch):
  factors = []

  def add(branch, shortcut, factor):
    factors.append(factor)
    return plain(branch, shortcut, factor)

  def stage_3(**options):
    model = models.make(f'resnet{depth}', num_classes=3, width=1 / 16, **options)
    factors.clear()
    image = jnp.zeros((1, 16, 16, 3))
    jax.eval_shape(lambda: model.init(jax.random.key(0), image))
    first = sum(resnet.STAGES[depth][:2])
    return factors[first : first + blocks]

  plain = skips.add
  monkeypatch.setattr(resnet.skips, 'add', add)
  assert stage_3() == [1] * blocks
  assert stage_3(released_stage3=True) == [1] * kept + [0] * (blocks - kept)


def test_splits_in_forward_order():
  splits = partition.list_splits(models.make('resnet18', num_classes=10), (64, 64, 3))
  blocks = [f'layer{stage}_{i}' for stage in range(1, 5) for i in range(2)]
  assert list(splits) == ['stem', *blocks]
  assert splits['stem'].shape == splits['layer1_1'].shape == (64, 64, 64)
  assert splits['layer2_0'].shape == (32, 32, 128)
  assert splits['layer4_1'].shape == (8, 8, 512)
  deep = partition.list_splits(models.make('resnet50', num_classes=10), (64, 64, 3))
  assert len(deep) == 1 + 3 + 4 + 6 + 3
  assert deep['layer1_0'].shape == (64, 64, 256)
  assert deep['layer4_2'].shape == (8, 8, 2048)


@pytest.fixture(params=[18, 50])
def small(request, monkeypatch):
  """Two blocks, one of them strided: quick to compile."""
  monkeypatch.setitem(resnet.STAGES, request.param, (1, 1))
  return models.make(f'resnet{request.param}', num_classes=3, width=1 / 16)


def test_blocks_are_true_cuts(small):
  images = jnp.linspace(0, 1, 2 * 16 * 16).reshape(2, 16, 16, 1)
  variables = tiny.random_variables(small, images)
  partition.check_cuts(small, variables, images, ('stem', 'layer2_0'))
  with pytest.raises(InputError, match='layer2_0/norm_1'):
    partition.check_cuts(small, variables, images, ('layer2_0/norm_1',))


def test_gradients_reach_every_parameter_over_lanes(small):
  images = jax.random.uniform(jax.random.key(0), (4, 16, 16, 3))

  def gradient(variables):
    def loss(params):
      logits, _ = small.apply(
        {**variables, 'params': params}, images, train=True, mutable=['batch_stats']
      )
      return (logits**2).mean()

    return jax.grad(loss)(variables['params'])

  variables = tiny.random_variables(small, images, lanes=(2,))
  gradients = jax.jit(jax.vmap(gradient))(variables)
  for leaf in jax.tree.leaves(gradients):
    assert jnp.all(jnp.abs(leaf).reshape(2, -1).max(axis=1) > 0)


@pytest.mark.parametrize(
  ('stem', 'side', 'count'),
  [('small', 32, 0), ('small_pool', 16, 0), ('imagenet', 8, 40)],
)
def test_stems(stem, side, count):
  image_shape = (32, 32, 3)
  model = models.make('resnet18', num_classes=1000, stem=stem)
  assert partition.list_splits(model, image_shape)['stem'].shape == (side, side, 64)
  # torchvision's published count holds the 7x7 stem
  assert _count(model, image_shape) == 11_689_512 - 64 * 3 * (40 - count)


@pytest.mark.parametrize('side', [1, 2, 5, 8])
def test_the_overlapping_pool_and_its_gradient(side):
  x = jax.random.normal(jax.random.key(0), (2, side, side, 3))

  def windowed(x):
    return nn.max_pool(x, (3, 3), strides=(2, 2), padding=((1, 1), (1, 1)))

  def loss(pool):
    return lambda x: (pool(x) ** 2).sum()

  np.testing.assert_array_equal(layers.overlapping_max_pool(x), windowed(x))
  np.testing.assert_allclose(
    jax.grad(loss(layers.overlapping_max_pool))(x),
    jax.grad(loss(windowed))(x),
    rtol=1e-6,
  )


def test_a_stem_that_is_not_known_is_refused():
  model = resnet.ResNet(num_classes=3, stem='big')  # pyright: ignore[reportArgumentType]
  with pytest.raises(InputError, match="stem 'big' is not known"):
    jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 8, 8, 3)))
