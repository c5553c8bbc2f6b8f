import math

import numpy as np
import pytest

from gpz_jax.theory import examples, quantised
from gpz_jax.theory.spectrum import estimate_spectrum
from gpz_jax.types import InputError

SLACK = 0.5 * math.log(2 * math.pi * math.e / 12)  # of a Gaussian over a uniform


def _measure(z, step=None):
  data = examples.check(z, np.zeros(len(z), int))
  quantities = quantised.measure(data, estimate_spectrum(z), step)
  return {q.name: q.value for q in quantities}


@pytest.mark.parametrize('step', [1.0, 1e-3, 50.0])
def test_a_quantised_uniform(step):
  # 8 equal cells: H = ln 8, variance (8^2 - 1) / 12 steps^2, the bound ln 8 + SLACK
  z = step * np.arange(8.0)[:, None]
  bound = quantised.bound_quantised(estimate_spectrum(z), step)
  assert bound == pytest.approx(math.log(8) + SLACK)


def test_more_dimensions_than_examples():
  # one direction of variance (1/4) 2 steps^2, three of none
  z = np.array([[0.0, 0, 5, 5], [1, 1, 5, 5]])
  bound = quantised.bound_quantised(estimate_spectrum(z), 1.0)
  assert bound == pytest.approx(4 * SLACK + 0.5 * math.log(1 + 12 / 2))


def test_a_finer_step_adds_its_logarithm():
  z = np.random.default_rng(0).normal(size=(500, 3))
  coarse, fine = (
    quantised.bound_quantised(estimate_spectrum(z), s) for s in (2e-4, 1e-4)
  )
  assert fine - coarse == pytest.approx(3 * math.log(2), abs=1e-6)


def test_payloads_by_hand():
  # every code of int8 once a column: ln 256 an element, and as float16 the same
  levels = np.arange(256.0)[:, None] * np.ones(3)
  found = _measure(levels, step=1.0)
  assert found['payload_int8'] == pytest.approx(3 * math.log(256))
  assert found['payload_float16'] == pytest.approx(3 * math.log(256))
  assert found['entropy_int8'] == pytest.approx(found['entropy_step'])
  # half of the elements 0, whatever its sign
  sparse = np.array([[0.0, 1], [-0.0, 1]])
  assert _measure(sparse)['payload_float16'] == pytest.approx(2 * math.log(2))


@pytest.mark.parametrize('size', [3.0, 2.0, 1e-6, 60_000.0])
def test_float16_step_at_the_root_mean_square(size):
  z = np.array([[size], [-size]])
  step = float(np.spacing(np.float16(size)))
  expected = quantised.bound_quantised(estimate_spectrum(z), step)
  assert _measure(z)['entropy_float16'] == pytest.approx(expected)


def test_codes():
  codes = quantised.encode_int8(np.array([[-1.0, 0, 1]]), -1, 1)
  np.testing.assert_array_equal(codes, [[0, 128, 255]])
  np.testing.assert_array_equal(quantised.encode_int8(np.ones((1, 2)), 1, 1), [[0, 0]])
  codes = quantised.encode_float16(np.array([1e9, -0.0]))  # 65504 is 0x7bff
  np.testing.assert_array_equal(codes, [0x7BFF, 0])


def test_a_sample_of_the_elements_gives_nearly_the_same(monkeypatch):
  z = np.random.default_rng(0).normal(size=(2_000, 10))
  every = _measure(z)['payload_int8']
  monkeypatch.setattr(quantised, 'COUNTED', 10_000)
  assert _measure(z)['payload_int8'] == pytest.approx(every, rel=0.01)


@pytest.mark.parametrize('step', [0.0, -1.0, math.nan, math.inf])
def test_a_bad_step(step):
  with pytest.raises(InputError, match='step'):
    quantised.bound_quantised(estimate_spectrum(np.eye(3)), step)
