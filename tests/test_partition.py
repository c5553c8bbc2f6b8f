"""Both halves of a cut model: true cuts, what is sent, and what it costs."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gpz_jax import models, partition
from gpz_jax.types import InputError

IMAGE = (32, 32, 3)


class Residual(nn.Module):
  """A foreign model with a split inside a residual block."""

  @nn.compact
  def __call__(self, x, *, train=False):
    x = nn.Dense(8, name='stem')(x.reshape(len(x), -1))
    y = nn.relu(nn.Dense(8, name='inner')(x))
    x = nn.Dense(8, name='outer')(x + y)
    return nn.Dense(5, name='logits')(nn.relu(x))


@pytest.fixture(scope='module')
def small_vgg():
  model = models.make('vgg11', num_classes=10, width=0.125)
  image = jax.random.uniform(jax.random.key(1), (2, *IMAGE))
  return model, partition.arbitrary_variables(model, IMAGE), image


def test_splits_are_in_forward_order_and_leave_out_the_logits(small_vgg):
  splits = partition.list_splits(small_vgg[0], IMAGE)
  names = 'feat_3 feat_7 feat_11 feat_14 feat_18 feat_21 feat_25 feat_28 fc_1 fc_2'
  assert list(splits) == names.split()
  assert splits['feat_14'].shape == (8, 8, 32)


def test_edge_then_cloud_is_the_model(small_vgg):
  model, variables, image = small_vgg
  whole = model.apply(variables, image)
  for split in ('feat_3', 'feat_28', 'fc_2'):
    sent = partition.edge(model, variables, image, split)
    logits = partition.cloud(model, variables, sent, split, image_shape=IMAGE)
    np.testing.assert_allclose(logits, whole, rtol=1e-5, atol=1e-5)


def test_cloud_depends_on_the_activation_alone(small_vgg):
  model, variables, image = small_vgg
  sent = partition.edge(model, variables, image, 'feat_14')
  changed = partition.cloud(model, variables, 2 * sent, 'feat_14', image_shape=IMAGE)
  assert not np.allclose(changed, model.apply(variables, image))


def test_capture_returns_logits_and_only_what_was_asked(small_vgg):
  model, variables, image = small_vgg
  logits, found = partition.capture(model, variables, image, ('fc_1', 'feat_7'))
  assert logits.shape == (2, 10)
  assert {name: value.shape for name, value in found.items()} == {
    'fc_1': (2, 512),
    'feat_7': (2, 16, 16, 16),
  }


def test_check_cuts_names_a_split_inside_a_residual_block():
  model = Residual()
  image = jax.random.uniform(jax.random.key(0), (2, 4, 4, 1))
  variables = partition.arbitrary_variables(model, (4, 4, 1))
  splits = partition.list_splits(model, (4, 4, 1))
  assert list(splits) == ['stem', 'inner', 'outer']
  assert partition.true_cuts(model, variables, image, tuple(splits)) == {
    'stem': True,
    'inner': False,
    'outer': True,
  }
  with pytest.raises(InputError, match="split 'inner' is not a true cut"):
    partition.check_cuts(model, variables, image, tuple(splits))


def test_a_black_image_hides_no_false_cut():
  model = Residual()
  variables = partition.arbitrary_variables(model, (4, 4, 1))
  for image in (jnp.zeros((2, 4, 4, 1)), jnp.full((2, 4, 4, 1), 0.5)):
    assert not partition.true_cuts(model, variables, image, ('inner',))['inner']


def test_a_split_that_is_not_there_is_named():
  model = Residual()
  variables = partition.arbitrary_variables(model, (4, 4, 1))
  image = jnp.ones((2, 4, 4, 1))
  with pytest.raises(
    InputError, match="split 'oter' is not in the model; did you mean"
  ):
    partition.edge(model, variables, image, 'oter')
  sent = partition.edge(model, variables, image, 'outer')
  with pytest.raises(
    InputError, match="split 'oter' is not in the model; did you mean"
  ):
    partition.cloud(model, variables, sent, 'oter', image_shape=(4, 4, 1))
  logits = model.apply(variables, image)
  found = partition.cloud(model, variables, logits, 'prediction', image_shape=(4, 4, 1))
  np.testing.assert_array_equal(found, logits)


@pytest.mark.parametrize(
  ('images', 'message'),
  [
    (np.zeros((1, 4, 4, 1), np.uint8), 'images are uint8; give floats'),
    (np.full((1, 4, 4, 1), 255.0, np.float32), 'images reach 255'),
    # black by torchvision's Normalize of ImageNet: (0 - 0.485) / 0.229
    (
      np.full((1, 4, 4, 1), -2.118, np.float32),
      'images reach down to -2.118; .* before',
    ),
    (np.full((1, 4, 4, 1), -1.0, np.float32), 'images reach down to -1; '),
  ],
)
def test_pixels_that_are_no_shares_are_refused(images, message):
  model = Residual()
  variables = partition.arbitrary_variables(model, (4, 4, 1))
  with pytest.raises(InputError, match=message):
    partition.edge(model, variables, images, 'outer')


def test_pixels_that_are_nearly_shares_are_taken():
  model = Residual()
  variables = partition.arbitrary_variables(model, (4, 4, 1))
  images = np.linspace(-0.4, 1.4, 16, dtype=np.float32).reshape(1, 4, 4, 1)
  assert np.isfinite(partition.edge(model, variables, images, 'outer')).all()


def test_a_prediction_is_never_quantised():
  model = Residual()
  costs = {
    bits: partition.split_costs(
      model, (4, 4, 1), 5, ('outer', 'prediction'), payload_bits=bits
    )
    for bits in (4, 32)
  }
  assert costs[4]['prediction']['payload_bytes'] == 4 * 5
  assert costs[4]['outer']['payload_bytes'] < costs[32]['outer']['payload_bytes']


def test_the_prediction_is_a_cut_behind_the_last_layer(small_vgg):
  model, variables, images = small_vgg
  logits, found = partition.capture(model, variables, images, (partition.PREDICTION,))
  np.testing.assert_array_equal(found[partition.PREDICTION], logits)
  costs = partition.split_costs(
    model, images.shape[1:], logits.shape[1], (partition.PREDICTION,)
  )
  assert costs[partition.PREDICTION]['edge_params_share'] == 1.0
  assert costs[partition.PREDICTION]['payload_bytes'] == 4 * logits.shape[1]


def test_costs_are_the_published_ones():
  model = models.make('vgg19', num_classes=10, head='torchvision')
  costs = partition.split_costs(model, (64, 64, 3), 10, ('feat_13', 'feat_30'))
  assert (
    costs['feat_13']['edge_params'] == 260_928
  )  # docs/paper.md#target-architectures
  assert costs['feat_30']['edge_params'] == 3_509_568
  assert round(costs['feat_30']['edge_params_share'], 4) == 0.0251
  assert costs['feat_30']['payload_bytes'] == 4 * 32_768
  assert costs['feat_30']['payload_bytes_float16'] == 2 * 32_768


def test_flops_count_two_for_each_multiply_add():
  costs = partition.split_costs(models.make('cnn', num_classes=10), (32, 32, 3), 10)
  # conv_1: 32 x 32 positions, 3x3 kernel, 3 -> 64 channels
  assert costs['conv_1']['edge_flops'] == 2 * 32 * 32 * 9 * 3 * 64
  shares = [cost['edge_flops_share'] for cost in costs.values()]
  assert shares == sorted(shares)
  assert shares[-1] < 1


class Brightness(nn.Module):
  """A class for each channel, without any product; with parameters or without."""

  has_params: bool

  @nn.compact
  def __call__(self, x, *, train=False):
    scales = {'use_scale': self.has_params, 'use_bias': self.has_params}
    x = nn.LayerNorm(**scales, name='norm')(x)
    return x.mean((1, 2))


@pytest.mark.parametrize(('has_params', 'share'), [(True, 1.0), (False, 0.0)])
def test_a_model_without_products_has_shares_of_nothing(has_params, share):
  for splits in (None, ('norm', partition.PREDICTION)):
    costs = partition.split_costs(Brightness(has_params), (4, 4, 3), 3, splits)
    for cost in costs.values():
      # A scale and a bias for each of three channels.
      assert cost['edge_params'] == 6 * share
      assert cost['edge_params_share'] == share
      assert (cost['edge_flops'], cost['edge_flops_share']) == (0, 0.0)
  assert costs['norm']['payload_bytes'] == 4 * 4 * 4 * 3


class Blocks(nn.Module):
  """Two blocks of two convolutions, under a transform or none."""

  wrap: Callable[..., Any]

  @nn.compact
  def __call__(self, x, *, train=False):
    for name in ('b1', 'b2'):
      x = self.wrap(Pair)(name=name)(x)
    return nn.Dense(5, name='logits')(x.mean((1, 2)))


class Pair(nn.Module):
  @nn.compact
  def __call__(self, x):
    x = nn.relu(nn.Conv(8, (3, 3), name='c1')(x))
    return nn.relu(nn.Conv(8, (3, 3), name='c2')(x))


@pytest.mark.parametrize('wrap', [nn.jit, nn.remat])
def test_a_cut_inside_a_transform_costs_what_lies_before_it(wrap):
  splits = ('b1/c1', 'b1/c2', 'b2/c1')
  plain = partition.split_costs(Blocks(lambda block: block), (8, 8, 3), 5, splits)
  # By hand: a 3x3 kernel of 3 -> 8 channels and its biases, at 8 x 8 positions.
  assert plain['b1/c1']['edge_params'] == 9 * 3 * 8 + 8
  assert plain['b1/c1']['edge_flops'] == 2 * 64 * 9 * 3 * 8
  assert partition.split_costs(Blocks(wrap), (8, 8, 3), 5, splits) == plain


def test_costs_refuse_a_wrong_number_of_classes():
  with pytest.raises(InputError, match=r'shape \(10,\), expected \(7,\)'):
    partition.split_costs(models.make('cnn', num_classes=10), (32, 32, 3), 7)


def test_a_wrong_shape_names_the_argument():
  model = models.make('cnn', num_classes=10, width=0.125)
  variables = partition.arbitrary_variables(model, (16, 16, 3))
  image = jnp.zeros((16, 16, 3))  # without a batch
  for call in (
    lambda: partition.capture(model, variables, image, ('conv_1',)),
    lambda: partition.edge(model, variables, image, 'conv_1'),
    lambda: partition.true_cuts(model, variables, image, ('conv_1',)),
  ):
    with pytest.raises(AssertionError, match=r'images must be \[B, H, W, C\]'):
      call()
  sent = jnp.zeros((1, 8, 8, 8))
  with pytest.raises(ValueError, match=r'image_shape must be \(H, W, C\)'):
    partition.cloud(model, variables, sent, 'conv_1', image_shape=(1, 16, 16, 3))


def test_a_payload_costs_what_its_bits_take(small_vgg):
  model, _, _ = small_vgg
  splits = tuple(partition.list_splits(model, (32, 32, 3)))[:1]
  costs = {
    bits: partition.split_costs(model, (32, 32, 3), 10, splits, payload_bits=bits)
    for bits in (32, 16, 8, 4)
  }
  full = costs[32][splits[0]]['payload_bytes']
  found = [costs[bits][splits[0]]['payload_bytes'] for bits in (16, 8, 4)]
  # A quantised activation carries the ends of its range, two float32.
  assert found == [full // 2, full // 4 + 8, full // 8 + 8]
