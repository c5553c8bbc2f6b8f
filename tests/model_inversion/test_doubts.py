import dataclasses

import numpy as np
import pytest
import tiny
from made_up_inversions import make_inversion

from gpz_jax import tradeoff
from gpz_jax.attacks.model import Outcome
from gpz_jax.evaluators import KES
from gpz_jax.model_inversion import doubts, scoring


def test_public_images_of_the_same_people_are_told():
  task = dataclasses.replace(tiny.task(), class_names=('a; b', '1', 'c'))
  assert doubts.of_public(task) == ''
  task = dataclasses.replace(task, aux_class_names=('A_B', '1', 'd'))
  assert doubts.of_public(task) == (
    "1 of 3 private classes have the name of a public class, such as 'a, b'"
  )


@pytest.mark.parametrize(
  ('values', 'mean', 'doubt'),
  [
    ([[0.0, 2.0], [4.0, 0.0]], 1.5, ''),
    ([[0.0, 0.0], [0.0, 0.0]], 0.0, ''),  # the row says so itself
    ([[0.0, 0.0], [4.0, 2.0]], 1.5, 'no gradient in 1 of 2'),
    ([[np.nan] * 2, [np.inf] * 2], np.nan, 'no gradient in 2 of 2'),
    ([[np.nan, 4.0], [2.0, 3.0]], 3.0, ''),
  ],
)
def test_a_search_that_no_gradient_led_is_doubted(values, mean, doubt):
  history = {'gradient_mean': np.array([values]), 'gradient_std': np.array([values])}
  images = np.zeros((1, 2, 1, 4, 4, 3), np.uint8)
  outcome = Outcome(images, np.zeros((1, 2, 1)), 1, history=history)
  found = doubts.of_search(outcome, 0)
  assert (doubt in found) if doubt else not found
  assert scoring._gradients(outcome, 0)['gradient_mean'] == pytest.approx(
    mean, nan_ok=True
  )
  # Beside a prior, the target's part decides.
  part = {'target_gradient': np.zeros((1, 2, 2))}
  outcome = outcome._replace(history=history | part)
  assert 'no gradient in 2 of 2' in doubts.of_search(outcome, 0)
  assert doubts.of_search(outcome._replace(history=None), 0) == ''


def test_a_row_without_a_gradient_says_so():
  row = make_inversion(0.9, 0.5)
  for size, text in ((0.0, 'the search had no gradient'), (0.1, ''), (np.nan, '')):
    assert tradeoff.describe_row(row | {'gradient_mean': size}) == text


def test_a_student_that_diverged_is_told():
  kes = KES(np.array([0.4, np.nan]), 0.2)
  assert doubts.of_student(kes, 0) == ''
  assert 'diverged, so there is no KES' in doubts.of_student(kes, 1)
  assert doubts.of_student(kes._replace(chance=np.nan), 1) == ''  # not asked for
