"""Means, lanes and datasets."""

import jax.numpy as jnp
import numpy as np
import pytest

from gpz_jax.means import Mean
from gpz_jax.types import Dataset, Lane, Treatment


def test_mean_ignores_masked_values_and_merges():
  first = Mean.of(jnp.array([1.0, 2.0, 99.0]), jnp.array([1.0, 1.0, 0.0]))
  second = Mean.of(jnp.array([6.0]), jnp.array([1.0]))
  assert first.merge(second).merge(Mean.zero()).compute() == 3.0  # (1 + 2 + 6) / 3


def test_lane_id_is_stable_and_tells_lanes_apart():
  lane = Lane('vgg11', 'cifar10', Treatment(0.3), 1)
  assert lane.lane_id == '28bfdb7e'  # printed once; a change would orphan every row
  others = [
    Lane('vgg13', 'cifar10', Treatment(0.3), 1),
    Lane('vgg11', 'mnist', Treatment(0.3), 1),
    Lane('vgg11', 'cifar10', Treatment(-0.3), 1),
    Lane('vgg11', 'cifar10', Treatment(0.3), 2),
  ]
  assert len({lane.lane_id, *(other.lane_id for other in others)}) == 5
  assert all((lane.key() != other.key()).any() for other in others)


def test_dataset_rejects_floats_and_missing_labels():
  with pytest.raises(ValueError, match='float64'):
    Dataset(np.zeros((2, 4, 4, 1)), np.zeros(2, np.int32))
  with pytest.raises(ValueError, match='2 images'):
    Dataset(np.zeros((2, 4, 4, 1), np.uint8), np.zeros(3, np.int32))
