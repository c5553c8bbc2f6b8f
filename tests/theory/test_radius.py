import math

import numpy as np
import pytest

from gpz_jax.theory import examples, radius
from gpz_jax.theory.scatter import Scatter, gather
from gpz_jax.types import InputError


def _measure(z, y, **options):
  return {q.name: q for q in radius.measure(z, y, **options)}


def _mixture(N=4_000, seed=0):
  """Two classes of covariance diag(1, 4) and diag(9, 16), 20 apart."""
  rng = np.random.default_rng(seed)
  y = np.arange(N) % 2
  spread = np.array([[1.0, 2], [3, 4]])[y]
  return rng.normal(size=(N, 2)) * spread + 20 * y[:, None] * np.array([1, 0]), y


def test_two_classes_by_hand():
  z = np.array([[0.0, 0], [2, 4], [1, 1], [1, 1], [1, 7]])
  found = _measure(z, np.array([0, 0, 1, 1, 1]))
  # by hand: class 0: 1 + 4 = 5; class 1: (4 + 4 + 16) / 3 = 8
  assert found['radius'].value == pytest.approx(6.5)
  assert found['radius_per_dim'].value == pytest.approx(3.25)
  assert found['radius_unbiased'].value == pytest.approx((10 + 12) / 2)
  # by hand: variances 2/5 and 34 - 2.6^2 ... of 5 points, times 5/4
  total = (z.var(0) * 5 / 4).sum()
  assert found['radius_share'].value == pytest.approx(11 / total)
  assert found['scatter_within'].value == pytest.approx((10 + 24) / 5)


def test_class_radii_by_hand():
  scatter = Scatter.zero(3, (1,))
  scatter.update(np.array([[0.0], [2], [5]]), np.array([0, 0, 1]))
  np.testing.assert_array_equal(radius.class_radii(scatter), [1, 0, math.nan])
  unbiased = radius.class_radii(scatter, unbiased=True)
  np.testing.assert_array_equal(unbiased, [2, math.nan, math.nan])


def test_known_class_covariances():
  found = _measure(*_mixture())
  # traces 5 and 25; total: their mean and 100 between centres 20 apart
  assert found['radius_unbiased'].value == pytest.approx(15, rel=0.05)
  assert found['radius_share'].value == pytest.approx(15 / 115, rel=0.05)
  assert found['scatter_between'].value == pytest.approx(100, rel=0.05)
  # whitened: variances 5 + 100 and 10, of which the classes hold 5 and 10
  assert found['radius_unbiased_white'].value == pytest.approx(5 / 105 + 1, rel=0.05)
  # S_B^+ = diag(1/100, 0): 5 / 100 / 2
  assert found['nc1'].value == pytest.approx(0.025, rel=0.05)


def test_second_pass_equals_the_streamed_sums():
  rng = np.random.default_rng(0)
  z, y = rng.normal(size=(30, 4, 4, 2)) + 5, rng.integers(3, size=30)
  scatter = gather(examples.check(z, y))
  found = _measure(z, y)
  assert found['radius'].value == pytest.approx(radius.class_radii(scatter).mean())
  unbiased = radius.class_radii(scatter, unbiased=True).mean()
  assert found['radius_unbiased'].value == pytest.approx(unbiased)


def test_scaling_and_rotation():
  rng = np.random.default_rng(0)
  z, y = rng.normal(size=(40, 6)), rng.integers(3, size=40)
  z[:, 0] += 3 * y
  plain, scaled = _measure(z, y), _measure(7 * z + 2, y)
  rotated = _measure(z @ np.linalg.qr(rng.normal(size=(6, 6)))[0], y)
  for name, q in plain.items():
    squared = q.unit == 'squared activation'
    factor = 49 if squared else 1
    assert scaled[name].value == pytest.approx(factor * q.value), name
    if not name.endswith('_white'):  # rotation mixes the channels
      assert rotated[name].value == pytest.approx(q.value), name


def test_the_white_form_does_not_see_the_scale_of_channels():
  rng = np.random.default_rng(0)
  z, y = rng.normal(size=(40, 2, 2, 3)), rng.integers(3, size=40)
  z[..., 0] += y[:, None, None]
  plain, scaled = _measure(z, y), _measure(z * np.array([0.01, 1, 30]), y)
  names = [name for name in plain if name.endswith('_white')]
  assert len(names) == 6
  for name in names:
    assert scaled[name].value == pytest.approx(plain[name].value), name
  assert scaled['radius_share'].value != pytest.approx(plain['radius_share'].value)


def test_shuffled_labels_hold_all_variance():
  z, y = _mixture(2_000)
  shuffled = np.random.default_rng(1).permutation(y)
  found = _measure(z, shuffled)['radius_share']
  assert found.value == pytest.approx(1, abs=0.01)


def test_intervals_cover_the_truth_as_often_as_they_say():
  rng = np.random.default_rng(0)
  y = np.arange(80) % 2
  covered = 0
  for _ in range(200):
    z = rng.normal(size=(80, 3))
    found = _measure(z, y, resamples=200, silhouette_examples=4)['radius_unbiased']
    covered += found.low <= 3 <= found.high
  assert 0.88 < covered / 200 < 0.99  # 95%, less what 40 examples a class cost


def test_labels_are_any_integers():
  z, y = _mixture(50)
  assert _measure(z, y * 9 - 5)['radius'].value == _measure(z, y)['radius'].value


def test_one_example_classes_are_left_out_and_said():
  z = np.array([[0.0, 0], [2, 4], [9, 9]])
  found = _measure(z, np.array([0, 0, 1]))['radius']
  assert found.value == pytest.approx(5)
  assert '1 classes with one example' in found.assumes


def test_one_example_classes_count_as_0_in_the_released_form():
  # by hand: R_c^2 is 19.42 in two classes, and the third has one example;
  # (19.42 + 19.42 + 0) / 3 = 12.95
  z = np.array([[1.0], [-1], [1], [-1], [3]]) * np.sqrt(19.42)
  labels = np.array([0, 0, 1, 1, 2])
  ours, released = (_measure(z, labels, count_single=s) for s in (False, True))
  assert ours['radius'].value == pytest.approx(19.42)
  for name in ('radius', 'radius_per_dim'):
    assert released[name].value == pytest.approx(12.95, abs=0.005)
    assert released[name].low <= released[name].value <= released[name].high
    assert '1 classes with one example counted as 0' in released[name].assumes
  for name in ('radius_unbiased', 'radius_share'):  # one example has no such radius
    assert released[name] == ours[name]


@pytest.mark.parametrize(
  ('z', 'labels'),
  [
    (np.zeros((1, 3)), [0]),
    (np.eye(3), [0, 1, 2]),
    (np.full((4, 2, 2), 0.1), [0, 0, 1, 1]),
    (np.full((4, 2, 2), 1e-200), [0, 0, 1, 1]),
    (np.arange(4.0)[:, None], [0, 0, 1, 1]),
    (np.array([[1e59], [-1e59], [0], [0]]), [0, 0, 1, 1]),
    (np.eye(4, dtype=np.float16), [0, 0, 0, 0]),
    (np.array([[1e-170], [0], [0], [0]]), [0, 0, 1, 1]),
  ],
)
def test_degenerate_input_gives_a_number_or_a_reason(z, labels):
  for q in radius.measure(z, np.array(labels)):
    assert not math.isinf(q.value), q
    assert q.assumes or not math.isnan(q.value), q


def test_bad_input():
  with pytest.raises(InputError, match='labels'):
    radius.measure(np.zeros((3, 2)), np.zeros(2, int))
  with pytest.raises(InputError, match='at least 1'):
    radius.measure(np.zeros((3, 2)), np.zeros(3, int), resamples=0)
