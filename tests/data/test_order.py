import numpy as np
import pytest

from gpz_jax import data


@pytest.mark.parametrize(
  ('num_examples', 'batch_size'), [(10, 4), (8, 4), (3, 8), (1, 1)]
)
def test_every_example_is_real_exactly_once(num_examples, batch_size):
  orders = (
    data.epoch_order(3, 0, num_examples, batch_size),
    data.eval_order(num_examples, batch_size),
  )
  for index, mask in orders:
    assert index.shape == mask.shape == (-(-num_examples // batch_size), batch_size)
    assert (index.dtype, mask.dtype) == (np.int32, np.float32)
    np.testing.assert_array_equal(np.sort(index[mask == 1]), np.arange(num_examples))


def test_epoch_order_fills_the_last_batch_with_the_first_examples():
  index, mask = data.epoch_order(0, 0, 10, 4)
  np.testing.assert_array_equal(mask[-1], [1, 1, 0, 0])
  np.testing.assert_array_equal(index[-1, 2:], index[0, :2])


def test_epoch_order_is_a_function_of_seed_and_epoch():
  first, _ = data.epoch_order(1, 2, 100, 10)
  np.testing.assert_array_equal(first, data.epoch_order(1, 2, 100, 10)[0])
  assert (first != data.epoch_order(1, 3, 100, 10)[0]).any()
  assert (first != data.epoch_order(2, 2, 100, 10)[0]).any()


def test_eval_order_is_natural():
  index, mask = data.eval_order(5, 3)
  np.testing.assert_array_equal(index, [[0, 1, 2], [3, 4, 0]])
  np.testing.assert_array_equal(mask, [[1, 1, 1], [1, 1, 0]])


@pytest.mark.parametrize(('num_examples', 'batch_size'), [(0, 4), (4, 0)])
def test_orders_reject_empty(num_examples, batch_size):
  with pytest.raises(ValueError, match='at least 1'):
    data.eval_order(num_examples, batch_size)
  with pytest.raises(ValueError, match='at least 1'):
    data.epoch_order(0, 0, num_examples, batch_size)
