import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gpz_jax import models, partition
from gpz_jax.models import skip_lanes, skips, windows
from gpz_jax.types import InputError

SHAPE = (32, 32, 3)


def make(**options):
  small = {'width': 0.125, 'window': 2, 'stem': 'small'}
  return models.make('maxvit_t', num_classes=3, **small | options)


def paths(model):
  image = jnp.zeros((1, *SHAPE))
  params = jax.eval_shape(lambda: model.init(jax.random.key(0), image))['params']
  leaves = jax.tree_util.tree_leaves_with_path(params)
  return {jax.tree_util.keystr(p, simple=True, separator='/') for p, _ in leaves}


def test_splits():
  splits = partition.list_splits(models.make('maxvit_t', num_classes=10), (224, 224, 3))
  blocks = [f'block{s + 1}_{i}' for s, n in enumerate((2, 2, 5, 2)) for i in range(n)]
  assert list(splits) == ['stem', *blocks, 'embedding']
  assert splits['stem'].shape == (112, 112, 64)
  assert splits['block4_1'].shape == (7, 7, 512)


@pytest.mark.parametrize('is_grid', [False, True])
def test_groups_are_joined_again(is_grid):
  x = jnp.arange(2 * 4 * 6 * 1).reshape(2, 4, 6, 1)
  groups = windows.partition(x, 2, is_grid)
  assert groups.shape == (2 * 2 * 3, 4, 1)
  # by hand: rows of 6 pixels; neighbours, or every second row and third column
  first = [0, 3, 12, 15] if is_grid else [0, 1, 6, 7]
  assert groups[0, :, 0].tolist() == first
  np.testing.assert_array_equal(windows.join(groups, 2, is_grid, x.shape), x)


def test_the_bias_of_an_offset():
  table = jnp.arange(9.0).reshape(9, 1)
  bias = windows.offset_bias(table, 2)
  # by hand: offset (0, 0) is entry 4; from the last pixel to the first, (1, 1), entry 8
  np.testing.assert_array_equal(jnp.diagonal(bias[0]), 4)
  assert (bias[0, 3, 0], bias[0, 0, 3], bias[0, 0, 1]) == (8, 0, 3)


@pytest.mark.ci
def test_the_factor_of_a_mobile_block_is_on_the_shortcut_unless_asked():
  removed = '1110:mbconv'
  ours, theirs = make(skips=removed), make(skips=removed, mbconv_factor='branch')
  whole = paths(make())
  shortcut = {path for path in whole if path.startswith('block4_0/mbconv/shortcut/')}
  assert shortcut
  assert whole - paths(ours) == shortcut
  blocks = ('block4_0/mbconv/', 'block4_1/mbconv/')
  branches = {path for path in whole if path.startswith(blocks)} - shortcut
  assert whole - paths(theirs) == branches
  carried = skips.carry(make(mbconv_factor='branch'), [removed])
  assert paths(carried) == whole


def test_parts():
  lanes = skip_lanes.lane_arrays(
    skips.carry(make(), ['0111:attention']), ['0111:attention'], 2
  )
  expected = np.ones((1, 4, 3))
  expected[0, 0, 1] = 0
  np.testing.assert_array_equal(lanes['skips'], expected)


def test_sides_that_do_not_divide_are_refused():
  image = jnp.zeros((1, 48, 32, 3))
  with pytest.raises(InputError, match=r'48x32 is not a multiple of 32.*windows of 2'):
    jax.eval_shape(lambda: make().init(jax.random.key(0), image))
  with pytest.raises(InputError, match=r'mbconv_factor.*shortcut, branch'):
    make(mbconv_factor='both')
