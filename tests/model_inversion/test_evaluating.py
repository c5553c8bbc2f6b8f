import types

import numpy as np
import pytest
from made_up_inversions import make_inversion

from gpz_jax import tradeoff
from gpz_jax.evaluators import Evaluator
from gpz_jax.model_inversion import evaluating
from gpz_jax.types import Dataset


class Stripes:
  """Tells stripes from a grey image, by their contrast."""

  name, accuracy = 'stripes', 1.0
  measure_accuracy = Evaluator.measure_accuracy

  def __init__(self):
    self.kept = {}

  def logits(self, images):
    contrast = np.ptp(images.astype(float), axis=(1, 2, 3)) > 50
    return np.stack([~contrast, contrast], axis=1)


def test_an_evaluator_is_measured_at_the_size_of_reconstructions():
  striped = np.zeros((8, 8, 3), np.uint8)
  striped[::2] = 200
  image = np.stack([np.full_like(striped, 100), striped] * 70)  # more than a piece
  test = Dataset(image, np.tile([0, 1], 70).astype(np.int32))
  task = types.SimpleNamespace(test=test)
  plan = types.SimpleNamespace(evaluator_task=task, imported=None)
  said = []
  session = types.SimpleNamespace(plan=plan, say=said.append)
  judge = Stripes()
  assert judge.measure_accuracy(test) == 1
  assert evaluating.accuracy_at(session, judge, (8, 8)) == 1
  assert not said
  for _ in range(2):  # by hand: smoothed stripes are grey, so half is right
    assert evaluating.accuracy_at(session, judge, (4, 4)) == 0.5
  assert said == [
    'evaluator stripes: accuracy 0.500 on test images of the 4x4 pixels that are'
    ' reconstructed'
  ]


@pytest.mark.parametrize(
  ('at_size', 'doubt'),
  [(0.33, 'the evaluator errs too often'), (0.9, ''), (np.nan, '')],
)
def test_what_an_evaluator_cannot_tell_at_that_size_is_doubted(at_size, doubt):
  row = make_inversion(0.9, 0.5, evaluator_accuracy_at_size=at_size)
  assert tradeoff.describe_row(row) == doubt
