"""The plateau against torch's."""

import numpy as np
import pytest

from gpz_jax.training.state import Plateau

VALUES = [1.0, 0.9, 0.95, 0.91, 0.9, 0.89999, 0.8, 0.85, 0.85, 0.85, 0.85, 0.85, 0.85]


def test_plateau_scales_as_torch_does():
  torch = pytest.importorskip('torch')
  optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
  scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(
    optimizer, factor=0.5, patience=2, threshold=1e-4
  )
  plateau, found, expected = Plateau.create(), [], []
  for value in VALUES:
    scheduler.step(value)
    plateau = plateau.update(np.float32(value), patience=2, factor=0.5, threshold=1e-4)
    found.append(float(plateau.scale))
    expected.append(optimizer.param_groups[0]['lr'])
  assert found == expected
  assert found[-1] < 1  # it fired


def test_a_value_that_is_not_finite_is_no_improvement():
  plateau = Plateau.create().update(
    np.float32(np.nan), patience=0, factor=0.5, threshold=0
  )
  assert float(plateau.scale) == 0.5
