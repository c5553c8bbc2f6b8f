import math

import numpy as np
import pytest

from gpz_jax.theory import entropy
from gpz_jax.theory.spectrum import estimate_spectrum
from gpz_jax.types import InputError

LN_2PIE = math.log(2 * math.pi * math.e)


def _measure(z, y, **options):
  return {q.name: q for q in entropy.measure(z, y, **options)}


def _values(z, y, **options):
  return {name: q.value for name, q in _measure(z, y, **options).items()}


def _gaussian(N, covariance, seed=0):
  rng = np.random.default_rng(seed)
  return rng.normal(size=(N, len(covariance))) @ np.linalg.cholesky(covariance).T


def test_gaussian_of_known_covariance():
  covariance = np.array([[4.0, 1, 0], [1, 2, 0.5], [0, 0.5, 1]])
  spectrum = estimate_spectrum(_gaussian(20_000, covariance))
  exact = 0.5 * (3 * LN_2PIE + math.log(np.linalg.det(covariance)))
  assert entropy.bound_logdet(spectrum) == pytest.approx(exact, abs=0.03)
  trace = 1.5 * (LN_2PIE + math.log(7 / 3))
  assert entropy.bound_trace(spectrum) == pytest.approx(trace, abs=0.03)


def test_bounds_by_hand():
  # +-2 and +-1 on the axes: variances 2 and 1/2, without noise and with 1/2 of it
  z = np.array([[2.0, 0], [-2, 0], [0, 1], [0, -1]])
  spectrum = estimate_spectrum(z)
  assert entropy.bound_logdet(spectrum) == pytest.approx(LN_2PIE)
  assert entropy.bound_trace(spectrum) == pytest.approx(LN_2PIE + math.log(1.25))
  noisy = LN_2PIE + 0.5 * math.log(2.5 * 1)
  assert entropy.bound_logdet(spectrum, 0.5) == pytest.approx(noisy)
  information = 0.5 * math.log(5 * 2)
  assert entropy.bound_information(spectrum, 0.5) == pytest.approx(information)


@pytest.mark.parametrize(('N', 'D'), [(6, 15), (40, 5)])
def test_gram_form_equals_the_direct_form(N, D):
  z = np.random.default_rng(0).normal(size=(N, D)) + 3
  spectrum = estimate_spectrum(z)
  covariance = np.cov(z.T, bias=True)
  direct = np.linalg.slogdet(covariance + 0.1 * np.eye(D))[1]
  found = entropy.bound_logdet(spectrum, 0.1)
  assert found == pytest.approx(0.5 * (D * LN_2PIE + direct))
  # the form of the specification: the information and the entropy of the noise
  information = entropy.bound_information(spectrum, 0.1)
  assert found == pytest.approx(information + 0.5 * D * (LN_2PIE + math.log(0.1)))
  shrunk = 0.7 * covariance + 0.3 * np.trace(covariance) / D * np.eye(D)
  expected = 0.5 * (D * LN_2PIE + np.linalg.slogdet(shrunk)[1])
  assert entropy.bound_shrunk(spectrum, 0.3) == pytest.approx(expected)


def test_a_singular_covariance_has_no_density():
  for z in (np.eye(3), np.array([[1.0, 0], [2, 0], [3, 0]])):
    assert entropy.bound_logdet(estimate_spectrum(z)) == -math.inf
  assert entropy.bound_trace(estimate_spectrum(np.ones((3, 2)))) == -math.inf


def test_linear_gaussian_channel_is_exact():
  # z = W x + e: I(z; x) = 1/2 ln det(I + W W' / noise)
  W = np.array([[1.0, 2], [0, 1], [1, 0]])
  z = np.random.default_rng(0).normal(size=(40_000, 2)) @ W.T
  exact = 0.5 * math.log(np.linalg.det(np.eye(3) + W @ W.T / 0.2))
  found = entropy.bound_information(estimate_spectrum(z), 0.2)
  assert found == pytest.approx(exact, abs=0.03)


def test_label_entropy():
  assert entropy.label_entropy(np.array([5, 5, 0])) == pytest.approx(math.log(2))
  assert entropy.label_entropy(np.array([7])) == 0


def test_mixture_of_known_class_covariances():
  rng = np.random.default_rng(0)
  y = np.repeat([0, 1], [6_000, 2_000])
  scale = np.array([[1.0, 2], [3, 4]])[y]
  z = rng.normal(size=(8_000, 2)) * scale + 30 * y[:, None]
  found = _values(z, y, noise_share=1e-9, max_examples=8_000)
  logdets = LN_2PIE + np.log([2, 12])
  traces = LN_2PIE + np.log([2.5, 12.5])
  share = np.array([0.75, 0.25])
  labels = -(share * np.log(share)).sum()
  expected = {
    'entropy_class_logdet': share @ logdets,
    'entropy_class_trace': share @ traces,
    'entropy_class_gap': share @ (traces - logdets),
    'entropy_decision_logdet': logdets[1] + math.log(2),
    'entropy_decision_trace': traces[1] + math.log(2),
    'entropy_decision_logdet_label': logdets[1] + labels,
    'entropy_decision_trace_label': traces[1] + labels,
  }
  for name, value in expected.items():
    assert found[name] == pytest.approx(value, abs=0.05), name


def test_scaling_shifts_entropies_by_d_ln_s():
  rng = np.random.default_rng(0)
  z, y = rng.normal(size=(30, 2, 2, 10)), np.arange(30) % 3
  plain, scaled = _measure(z, y), _measure(8 * z, y)
  for name, q in plain.items():
    shift = 0.0
    if name.startswith('entropy') and 'gap' not in name:
      # the steps of int8 and float16 scale along
      shift = 0 if name in ('entropy_int8', 'entropy_float16') else 40 * math.log(8)
    factor = 64 if name == 'noise_variance' else 1
    assert scaled[name].value == pytest.approx(factor * q.value + shift), name


def test_rotations_are_not_seen():
  rng = np.random.default_rng(0)
  z, y = rng.normal(size=(30, 12)) * np.arange(12), np.arange(30) % 3
  plain = _values(z, y)
  rotated = _values(z @ np.linalg.qr(rng.normal(size=(12, 12)))[0], y)
  for name, value in plain.items():
    if not name.endswith(('int8', 'float16')):  # the axes are the payload's
      assert rotated[name] == pytest.approx(value), name


def test_order_of_the_bounds():
  rng = np.random.default_rng(0)
  z, y = rng.normal(size=(60, 90)) ** 2, np.arange(60) % 3
  found = _values(z, y, step=0.1)
  for prefix in ('entropy', 'entropy_class'):
    assert found[f'{prefix}_logdet'] < found[f'{prefix}_trace']
    assert found[f'{prefix}_gap'] > 0
  assert found['entropy_logdet_lw'] < found['entropy_trace']
  assert found['entropy_int8'] < found['payload_int8'] <= 90 * math.log(256)
  assert found['payload_float16'] <= 90 * 16 * math.log(2)
  assert 1 < found['participation_ratio'] < found['effective_rank'] < 60


def test_no_gap_where_all_directions_are_alike():
  z = np.concatenate([np.eye(4), -np.eye(4)])
  found = _values(z, np.zeros(8, int))
  assert found['entropy_gap'] == pytest.approx(0, abs=1e-9)
  assert found['effective_rank'] == pytest.approx(4)


def test_compare_subtracts_the_bounds():
  rng = np.random.default_rng(0)
  y = np.arange(40) % 4
  feature, decision = rng.normal(size=(40, 60)), rng.normal(size=(40, 5)) + y[:, None]
  first, second = entropy.measure(feature, y), entropy.measure(decision, y)
  found = {q.name: q for q in entropy.compare(first, second)}
  # Delta h as printed, with d = 60, D = 5 and K = 4
  s2 = feature.var(0).mean()
  radii = [decision[y == k].var(0).sum() for k in range(4)]
  printed = 30 * math.log(s2) - 2.5 * math.log(max(radii) / 5)
  printed += (60 - 5) / 2 * LN_2PIE - math.log(4)
  assert found['delta_h_trace'].value == pytest.approx(printed)
  gain = {q.name: q.value for q in first}['entropy_logdet']
  gain -= {q.name: q.value for q in second}['entropy_logdet']
  assert found['residual_gain_logdet'].value == pytest.approx(gain)
  assert all('nor its sign' in q.assumes for q in found.values())
  with pytest.raises(InputError, match='entropy_trace'):
    entropy.compare([], second)


def test_few_examples_are_said():
  z, y = np.random.default_rng(0).normal(size=(10, 30)), np.arange(10) % 2
  found = _measure(z, y)
  assert 'too few to span D' in found['entropy_logdet'].assumes
  assert 'N_c 5 to 5' in found['entropy_class_logdet'].assumes


@pytest.mark.parametrize(
  ('z', 'labels'),
  [
    (np.zeros((1, 3)), [0]),
    (np.eye(3), [0, 1, 2]),
    (np.eye(3), [0, 0, 1]),
    (np.full((4, 2, 2), 0.1), [0, 0, 1, 1]),
    (np.full((4, 2, 2), 1e-200), [0, 0, 1, 1]),
    (np.array([[1.0], [1], [2], [2]]), [0, 0, 1, 1]),
    (np.arange(4.0)[:, None], [0, 0, 1, 1]),
    (np.array([[1e59], [-1e59], [0], [0]]), [0, 0, 1, 1]),
    (np.array([[1e-170], [0], [0], [0]]), [0, 0, 1, 1]),
    (np.array([[1e-150, 0], [0, 0], [0, 0], [0, 0]]), [0, 0, 1, 1]),
    (np.array([[True, False], [True, True]]), [0, 0]),
  ],
)
def test_degenerate_input_gives_a_number_or_a_reason(z, labels):
  for q in entropy.measure(z, np.array(labels)):
    assert not math.isinf(q.value), q
    assert q.assumes or not math.isnan(q.value), q


@pytest.mark.parametrize(
  'options', [{'noise_share': 0}, {'step': -1.0}, {'max_examples': 1}]
)
def test_bad_settings(options):
  with pytest.raises(InputError):
    entropy.measure(np.eye(4), np.zeros(4, int), **options)
  with pytest.raises(InputError, match='labels'):
    entropy.measure(np.eye(4), np.zeros(3, int))
