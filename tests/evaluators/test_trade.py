import math

import numpy as np
import pytest

from gpz_jax.evaluators import delta

# Accuracy and AttAcc in percent, and Delta, of the project page of arXiv 2409.01696
UNDEFENDED = {
  'resnet34': (94.69, 90.78),
  'resnet101': (94.86, 83.00),
  'densenet121': (94.67, 78.09),
}
PUBLISHED = [
  ('resnet34', 91.66, 81.98, 2.90),
  ('resnet34', 91.38, 71.86, 5.72),
  ('resnet34', 94.21, 79.79, 22.90),
  ('resnet34', 94.40, 81.65, 31.48),
  ('resnet101', 90.31, 67.07, 3.50),
  ('resnet101', 92.40, 58.68, 9.89),
  ('resnet101', 93.79, 71.06, 11.16),
  ('densenet121', 86.86, 24.48, 6.86),
  ('densenet121', 91.73, 56.32, 7.40),  # the page says 7.35
]


@pytest.mark.parametrize(('net', 'accuracy', 'att_acc', 'expected'), PUBLISHED)
def test_the_published_values(net, accuracy, att_acc, expected):
  accuracy_none, att_acc_none = UNDEFENDED[net]
  found = delta(att_acc_none, att_acc, accuracy_none, accuracy)
  assert found.value == pytest.approx(expected, abs=0.006)
  assert found.reason is None


@pytest.mark.parametrize('accuracy', [0.9, 0.95, math.nan])
def test_it_is_undefined_where_accuracy_did_not_fall(accuracy):
  found = delta(0.8, 0.4, 0.9, accuracy)
  assert found.value is None
  assert found.reason is not None
  assert 'accuracy did not fall' in found.reason
  assert '0.9 without the defence' in found.reason


def test_a_fall_within_the_noise_is_none():
  assert delta(0.8, 0.4, 0.9, 0.89).value == pytest.approx(40)
  found = delta(0.8, 0.4, 0.9, 0.89, least_fall=0.02)
  assert found.value is None
  assert found.reason is not None
  assert 'by more than 0.02' in found.reason
  assert delta(np.nan, 0.4, 0.9, 0.8).value is None
  # A defence that helps the attacker has a negative value, which means something
  assert delta(0.4, 0.5, 0.9, 0.8).value == pytest.approx(-1)
