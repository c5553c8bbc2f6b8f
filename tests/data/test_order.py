import numpy as np
import pytest

from gpz_jax import data
from gpz_jax.data import order
from gpz_jax.types import InputError


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


LABELS = np.array([0] * 7 + [1] * 12 + [2] * 5 + [4] * 2 + [7] * 10)


def test_balanced_batches_have_as_many_of_each_class():
  index, mask = data.balanced_order(LABELS, 3, 0, 0, len(LABELS), 6)
  assert index.shape == mask.shape == (6, 6)
  assert (index.dtype, mask.dtype) == (np.int32, np.float32)
  assert (mask == 1).all()
  for batch in LABELS[index]:
    _, counts = np.unique(batch, return_counts=True)
    assert counts.tolist() == [3, 3]


def test_balanced_orders_use_classes_and_their_examples_alike():
  index, _ = data.balanced_order(LABELS, 3, 0, 0, len(LABELS), 6)
  classes, counts = np.unique(LABELS[index], return_counts=True)
  assert classes.tolist() == [0, 1, 2, 4, 7]
  assert counts.max() - counts.min() <= 3  # one batch
  for label in classes:
    rows = np.flatnonzero(label == LABELS)
    used = np.array([(index == row).sum() for row in rows])
    assert used.max() - used.min() <= 1


def test_balanced_order_is_a_function_of_seed_and_epoch():
  def draw(seed, epoch):
    return data.balanced_order(LABELS, 2, seed, epoch, len(LABELS), 4)[0]

  np.testing.assert_array_equal(draw(1, 2), draw(1, 2))
  assert (draw(1, 2) != draw(1, 3)).any()
  assert (draw(1, 2) != draw(2, 2)).any()
  many = np.concatenate([draw(0, epoch).ravel() for epoch in range(20)])
  assert set(many) == set(range(len(LABELS)))


def test_balanced_orders_reject_what_cannot_be_drawn():
  with pytest.raises(ValueError, match='batches of 6 classes, 1 examples each'):
    data.balanced_order(LABELS, 1, 0, 0, len(LABELS), 6)
  with pytest.raises(ValueError, match='cannot be drawn'):
    data.balanced_order(LABELS, 4, 0, 0, len(LABELS), 6)


@pytest.mark.parametrize('text', ['16', '16x', '0x4', 'ax4', '1x1', '9999x99', '-1x4'])
def test_batches_that_are_none_are_one_line(text):
  assert order.parse_batches('16x4') == (16, 4)
  with pytest.raises(InputError, match=f'--batches={text} is not allowed; give class'):
    order.parse_batches(text)
