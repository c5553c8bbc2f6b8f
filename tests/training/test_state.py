"""The plateau, against torch's and by hand."""

import numpy as np
import pytest

from gpz_jax.training.state import create_plateau, update_plateau

VALUES = [1.0, 0.9, 0.95, 0.91, 0.9, 0.89999, 0.8, 0.85, 0.85, 0.85, 0.85, 0.85, 0.85]


def test_plateau_scales_as_torch_does():
  torch = pytest.importorskip('torch')
  optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
  scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(
    optimizer, factor=0.5, patience=2, threshold=1e-4
  )
  plateau, found, expected = create_plateau(), [], []
  for value in VALUES:
    scheduler.step(value)
    plateau = update_plateau(
      plateau, np.float32(value), patience=2, factor=0.5, threshold=1e-4
    )
    found.append(float(plateau.scale))
    expected.append(optimizer.param_groups[0]['lr'])
  assert found == expected
  assert found[-1] < 1  # it fired


@pytest.mark.parametrize('patience', [0, 1, 2])
def test_plateau_fires_after_one_epoch_more_than_the_patience(patience):
  """By hand: the first epoch is the best, and none after it improves."""
  plateau, scales = create_plateau(), []
  for _ in range(1 + 2 * (patience + 1)):
    plateau = update_plateau(
      plateau, np.float32(1), patience=patience, factor=0.5, threshold=1e-4
    )
    scales.append(float(plateau.scale))
  # the patience passes, one more fires, and the count starts anew
  waiting = patience + 1
  assert scales == [1.0] * waiting + [0.5] * waiting + [0.25]


def test_only_what_exceeds_the_threshold_is_an_improvement():
  plateau = create_plateau()
  bad = []
  for value in (1.0, 0.95, 0.85, 0.8):  # threshold 0.1: 0.85 < 0.9, then 0.8 > 0.765
    plateau = update_plateau(
      plateau, np.float32(value), patience=9, factor=0.5, threshold=0.1
    )
    bad.append(int(plateau.plateau_count))
  assert bad == [0, 1, 0, 1]
  np.testing.assert_allclose(plateau.best_value, 0.85)


def test_a_value_that_is_not_finite_is_no_improvement():
  plateau = update_plateau(
    create_plateau(), np.float32(np.nan), patience=0, factor=0.5, threshold=1e-4
  )
  assert float(plateau.scale) == 0.5
