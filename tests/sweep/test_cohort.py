"""What the rows say of a decoder's training."""

import numpy as np
import pytest

from gpz_jax.sweep.cohort import measure_fall


def test_the_fall_of_the_last_fifth_by_hand():
  # Ten epochs: the last two of them. The second lane rises again, which is no fall.
  errors = np.stack(
    [[9, 8, 7, 6, 5, 4, 3, 2.0, 1.9, 1.6], [9, 8, 7, 6, 5, 4, 3, 2, 2.5, 3]], axis=1
  )
  np.testing.assert_allclose(measure_fall({'mse': errors}, 2), [0.2, 0.0])


def test_the_fall_of_few_epochs_is_scaled_to_a_fifth():
  # Three epochs: the last one is a third of them, so a fifth is 0.6 epochs.
  errors = np.array([[4.0], [1.0], [0.5]])
  found = measure_fall({'mse': errors}, 1)
  assert found == pytest.approx([1 - 0.5**0.6])


@pytest.mark.parametrize(
  'history', [None, {'loss': np.ones((3, 2))}, {'mse': [[1, 1]]}]
)
def test_a_fall_that_nobody_can_tell_is_not_a_number(history):
  assert np.isnan(measure_fall(history, 2)).all()
