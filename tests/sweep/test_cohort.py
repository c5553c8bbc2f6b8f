"""What the rows say of a decoder's training."""

import types
from typing import Any

import numpy as np
import pytest

from gpz_jax.attacks.activation.protocol import Outcome
from gpz_jax.sweep import cohort as cohort_lib
from gpz_jax.sweep.cohort import Cohort, measure_fall


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


def test_an_attack_whose_test_error_is_not_finite_is_not_done(monkeypatch):
  monkeypatch.setattr(Cohort, '_common', lambda *args: {})
  monkeypatch.setattr(Cohort, '_row', lambda self, lane, quality, ok: {'done': ok})
  monkeypatch.setattr(cohort_lib.doubts, 'describe_row', lambda row: '')
  nothing = types.SimpleNamespace
  ahead: Any = nothing(take=lambda job: None)
  workdir = nothing(save_sample=lambda *args: None)
  session: Any = nothing(plan=None, workdir=workdir, say=lambda text: None)
  cohort = Cohort(session, (4,), ahead, lambda count: 0.0)
  outcome = Outcome(lambda rows: rows, 5, [True, True, False])
  scores = {'test_mse': np.array([0.1, np.nan, 0.1])}
  lanes: Any = [nothing(lane=nothing(lane_id=str(i)), split='a') for i in range(3)]
  run: Any = nothing(
    attack=nothing(text='own'), run=lambda *args: (outcome, scores, [None] * 3)
  )
  intercepted: Any = None
  rows = cohort._attack(run, lanes, intercepted, None, None)
  assert [row['done'] for row in rows] == [True, False, False]
