"""Strategies: same results, whatever runs beside a lane."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gpz_jax.training import lanes
from gpz_jax.types import InputError


@pytest.mark.parametrize('strategy', ['map', 'vmap', 'unroll', 'chunk:2'])
def test_every_strategy_computes_each_lane(strategy):
  values = {'x': jnp.arange(5.0), 'y': jnp.arange(10.0).reshape(5, 2)}

  def one(lane, shared):
    return lane['x'] + shared * lane['y'].sum()

  found = lanes.over_lanes(one, strategy)(values, 2.0)
  expected = [x + 2 * (4 * x + 1) for x in range(5)]  # by hand: y = [2x, 2x + 1]
  np.testing.assert_allclose(found, expected)


def test_take_undoes_stack():
  singles = [{'a': jnp.full(3, i)} for i in range(4)]
  stacked = lanes.stack(singles)
  assert lanes.count(stacked) == 4
  np.testing.assert_array_equal(lanes.take(stacked, 2)['a'], singles[2]['a'])
  np.testing.assert_array_equal(
    lanes.take(stacked, np.array([3, 0]))['a'][:, 0], [3, 0]
  )


@pytest.mark.parametrize('strategy', ['vmapp', 'chunk:', 'chunk:0', 'chunk:x', ''])
def test_unknown_strategies_are_refused(strategy):
  with pytest.raises(InputError, match=r'not known. Known: auto, map, vmap'):
    lanes.resolve(strategy)


def test_auto_avoids_grouped_convolutions_on_cpu():
  assert lanes.resolve('auto') == ('map' if jax.default_backend() == 'cpu' else 'vmap')


def test_padding_repeats_the_last_lane():
  found = lanes.pad({'x': jnp.array([3, 5, 7])}, 4)
  np.testing.assert_array_equal(found['x'], [3, 5, 7, 7])
  whole = {'x': jnp.arange(4)}
  assert lanes.pad(whole, 2) is whole


@pytest.mark.parametrize('strategy', ['map', 'vmap', 'unroll', 'chunk:2'])
def test_lanes_that_are_not_as_many_are_refused(strategy):
  uneven = {'x': jnp.arange(3), 'y': jnp.arange(2)}
  with pytest.raises(AssertionError, match='every array of the lanes'):
    lanes.over_lanes(lambda lane: lane['x'] + lane['y'], strategy)(uneven)
