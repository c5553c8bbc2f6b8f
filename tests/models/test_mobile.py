"""Mobile blocks and what they are made of."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from gpz_jax import models, partition
from gpz_jax.models import depthwise, efficientnet, mobile, pooling
from gpz_jax.types import InputError

BRANCH = jax.random.normal(jax.random.key(0), (64, 2, 2, 3))


def drop(skip, train=True):
  module = mobile.StochasticDepth(0.25)
  rngs = {'dropout': jax.random.key(1)}
  return np.asarray(module.apply({}, BRANCH, skip, train=train, rngs=rngs))


def test_stochastic_depth_drops_images_and_scales_the_others():
  shares = drop(1.0) / np.asarray(BRANCH)
  kept = shares[:, 0, 0, 0] > 0
  np.testing.assert_allclose(shares[kept], 4 / 3, rtol=1e-6)
  assert not shares[~kept].any()
  assert 0.5 < kept.mean() < 1
  np.testing.assert_array_equal(drop(1.0, train=False), BRANCH)


def test_a_branch_without_a_skip_is_never_dropped():
  np.testing.assert_array_equal(drop(0.0), BRANCH)
  np.testing.assert_array_equal(drop(jnp.float32(0)), BRANCH)
  np.testing.assert_array_equal(drop(jnp.float32(1)), drop(1.0))
  np.testing.assert_array_equal(drop(jnp.float32(0.2)), drop(1.0))


@pytest.mark.ci
@pytest.mark.parametrize(('kernel', 'side'), [(3, 8), (5, 7), (3, 1)])
def test_a_strided_depthwise_convolution_is_that_of_lax(kernel, side):
  x = jax.random.normal(jax.random.key(0), (2, side, side + 2, 3))
  w = jax.random.normal(jax.random.key(1), (kernel, kernel, 3))

  def theirs(x, w):
    return lax.conv_general_dilated(
      x, w[:, :, None], (2, 2), ((kernel // 2,) * 2,) * 2,
      dimension_numbers=('NHWC', 'HWIO', 'NHWC'), feature_group_count=3,
    )  # fmt: skip

  def gradients(convolve):
    return jax.jit(jax.grad(lambda *xw: (convolve(*xw) ** 2).sum(), (0, 1)))(x, w)

  ours = functools.partial(depthwise.strided_depthwise, strides=2)
  np.testing.assert_allclose(ours(x, w), theirs(x, w), atol=1e-5)
  for found, expected in zip(gradients(ours), gradients(theirs), strict=True):
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
  with pytest.raises(AssertionError, match=r'w \[kh, kw, C\]'):
    ours(x, w[..., :2])


def test_pools_by_hand():
  x = jnp.arange(16.0).reshape(1, 4, 4, 1)
  np.testing.assert_array_equal(pooling.max_pool(x)[0, :, :, 0], [[10]])
  # by hand: 0 + 1 + 4 + 5 of nine cells, and 5 + 6 + 7 + 9 + 10 + 11 + 13 + 14 + 15
  padded = pooling.average_pool(x, 3, 2, padding=1)[0, :, :, 0]
  np.testing.assert_allclose(padded[0, 0], 10 / 9, rtol=1e-6)
  np.testing.assert_allclose(padded[1, 1], 90 / 9, rtol=1e-6)
  assert pooling.average_pool(x, padding=1).shape == (1, 4, 4, 1)


def test_the_blocks_of_a_stage_that_have_a_skip():
  model = models.make('efficientnet_b0', num_classes=10)
  names = partition.list_splits(model, (64, 64, 3), where='*/stochastic_depth')
  settings = [int(name.removeprefix('block')[0]) for name in names]
  stages = [settings.count(i) for i in range(1, 8)]
  # Setting by setting; docs/paper.md#transformers-and-efficientnet
  assert stages == [0, 1, 1, 2, 2, 3, 0]
  assert model.num_stages == 5


def test_splits_of_efficientnet():
  model = models.make('efficientnet_b0', num_classes=10)
  splits = partition.list_splits(model, (64, 64, 3))
  assert list(splits)[:3] == ['stem', 'block1_0', 'block2_0']
  assert list(splits)[-3:] == ['block7_0', 'head', 'features']
  assert len(splits) == 1 + 16 + 2
  assert splits['stem'].shape == (32, 32, 32)
  assert splits['block7_0'].shape == (2, 2, 320)
  small = models.make('efficientnet_b0', num_classes=10, stem='small')
  assert partition.list_splits(small, (64, 64, 3))['head'].shape == (4, 4, 1280)
  with pytest.raises(InputError, match=r'stem.*imagenet, small'):
    models.make('efficientnet_b0', num_classes=10, stem='big')


def test_channels_are_rounded_as_published():
  # by hand, from 16, 24, 40, 80, 112, 192 and 320 channels times 1.4 (EfficientNet-B4)
  found = [efficientnet.scale(s.features, 1.4) for s in efficientnet.SETTINGS]
  assert found == [24, 32, 56, 112, 160, 272, 448]
  assert efficientnet.scale(32, 0.01) == 8
