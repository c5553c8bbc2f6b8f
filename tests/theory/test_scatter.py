import numpy as np
import pytest

from gpz_jax.theory import examples
from gpz_jax.theory.scatter import Scatter, gather
from gpz_jax.types import InputError


def _draw(N=40, shape=(2, 3), K=4, seed=0):
  rng = np.random.default_rng(seed)
  return rng.normal(size=(N, *shape)), rng.integers(K, size=N)


def _assert_same(a: Scatter, b: Scatter):
  np.testing.assert_array_equal(a.count, b.count)
  np.testing.assert_allclose(a.mean, b.mean, atol=1e-12)
  np.testing.assert_allclose(a.square, b.square, rtol=1e-10)


def test_two_points_a_class_by_hand():
  scatter = Scatter.zero(3, (2,))
  scatter.update(np.array([[0.0, 0], [2, 4], [1, 1]]), np.array([0, 0, 2]))
  np.testing.assert_array_equal(scatter.count, [2, 0, 1])
  np.testing.assert_array_equal(scatter.mean, [[1, 2], [0, 0], [1, 1]])
  # by hand: class 0 lies 1 and 2 from its centre along the axes, twice
  np.testing.assert_array_equal(scatter.square, [[2, 8], [0, 0], [0, 0]])
  assert scatter.within() == pytest.approx(10 / 3)
  # by hand: mean (1, 5/3); 2/3 of (1/3)^2 + 1/3 of (2/3)^2
  assert scatter.between() == pytest.approx(2 / 9)


@pytest.mark.parametrize('size', [1, 7, 40])
def test_streaming_and_merging_equal_one_pass(size):
  z, y = _draw()
  data = examples.check(z, y)
  streamed, rest = Scatter.zero(4, (2, 3)), Scatter.zero(4, (2, 3))
  for i in range(0, 40, size):
    part = streamed if i < 20 else rest
    part.update(z[i : i + size], y[i : i + size])
  streamed.merge(rest)
  _assert_same(streamed, gather(data))


def test_equals_numpy_and_adds_up_to_the_covariance():
  z, y = _draw()
  scatter = gather(examples.check(z, y))
  flat = z.reshape(40, -1)
  for k in range(4):
    np.testing.assert_allclose(scatter.mean[k], flat[y == k].mean(0))
    variance = flat[y == k].var(0).sum()
    assert scatter.square[k].sum() / scatter.count[k] == pytest.approx(variance)
  assert scatter.within() + scatter.between() == pytest.approx(flat.var(0).sum())


def test_channel_variance_is_that_of_a_norm():
  z, y = _draw(shape=(2, 2, 3))
  scatter = gather(examples.check(z + np.array([0, 5, -9]), y))
  np.testing.assert_allclose(scatter.channel_variance(), z.var(axis=(0, 1, 2)))


def test_an_offset_costs_no_digits():
  z, y = _draw()
  z = np.round(z * 64) / 64  # exact at the offset as well
  near, far = (gather(examples.check(z + offset, y)) for offset in (0, 2.0**40))
  np.testing.assert_allclose(far.square, near.square, rtol=1e-10)
  assert far.between() == pytest.approx(near.between(), rel=1e-3)  # means round


@pytest.mark.parametrize('value', [0.1, 1e9 / 3])
def test_constant_activations_have_no_scatter_at_all(value):
  scatter = gather(examples.check(np.full((7, 2, 3), value), np.arange(7) % 3))
  assert scatter.within() == scatter.between() == 0
  np.testing.assert_array_equal(scatter.channel_variance(), 0)


def test_what_does_not_fit():
  scatter = Scatter.zero(2, (2, 3))
  for shape, labels, words in (
    ((1, 3), [0], 'does not fit'),
    ((1, 3, 2), [0], 'does not fit'),
    ((1, 2, 3), [2], 'must be in'),
    ((1, 2, 3), [-1], 'must be in'),
  ):
    with pytest.raises(InputError, match=words):
      scatter.update(np.zeros(shape), np.array(labels))
  with pytest.raises(InputError, match='one shape'):
    scatter.merge(Scatter.zero(3, (2, 3)))
  for call in (scatter.between, scatter.within, scatter.channel_variance):
    with pytest.raises(InputError, match='no examples'):
      call()
  for num_classes, shape in ((0, (2,)), (2, ()), (2, (0,))):
    with pytest.raises(InputError, match='needs classes'):
      Scatter.zero(num_classes, shape)
