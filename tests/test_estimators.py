"""The benchmark of the estimators: its truths, its verdicts, its table."""

import math

import numpy as np
import pytest
from scipy.integrate import dblquad

from gpz_jax.commands.benchmarks import estimators
from gpz_jax.theory.information import kinds, neural
from gpz_jax.theory.information.critics import BOUNDS

TINY = neural.Recipe(steps=2, batch=16, hidden=4, features=2)


def test_the_truth_of_clusters_is_the_integral_over_both():
  centre, spread, noise = estimators.CLUSTER

  def of_x(x):
    parts = [
      math.exp(-((x - side * centre) ** 2) / (2 * spread**2)) for side in (-1, 1)
    ]
    return sum(parts) / (2 * spread * math.sqrt(2 * math.pi))

  def of_z_given(e):
    return math.exp(-(e**2) / (2 * noise**2)) / (noise * math.sqrt(2 * math.pi))

  variance = spread**2 + noise**2

  def of_z(z):
    squares = [(z - side * centre) ** 2 for side in (-1, 1)]
    parts = [math.exp(-square / (2 * variance)) for square in squares]
    return sum(parts) / (2 * math.sqrt(2 * math.pi * variance))

  def integrand(e, x):  # p(x, z) ln p(z|x) / p(z) at z = x + e
    given = of_z_given(e)
    return of_x(x) * given * math.log(given / of_z(x + e))

  one, _ = dblquad(integrand, 0, 4, -4 * 0.99, 4 * 0.99, epsabs=1e-5)
  assert estimators.clusters(2).truth == pytest.approx(2 * 2 * one, abs=1e-3)


@pytest.mark.ci
def test_every_case_and_estimator_gets_a_record():
  cases = [estimators.CASES[name] for name in ('clusters d=2', 'cube d=2 I=1')]
  found = estimators.estimators(
    seeds=2, examples=64, recipe=TINY, cases=cases, networks=['mine']
  )
  names = {case.name: {r.estimator for r in found if r.case == case.name}
           for case in cases}  # fmt: skip
  others = {f'information_{name}' for name in BOUNDS if name != 'mine'}
  assert 'information_mine' in names['cube d=2 I=1'] < names['clusters d=2']
  assert names['clusters d=2'] == {
    name for name in kinds.DIRECTIONS if name.startswith('information')
  } - others  # fmt: skip
  for record in found:
    assert (record.seeds, record.examples) == (2, 64)
    assert record.bias == pytest.approx(record.mean - record.truth)
    assert record.error == pytest.approx(record.spread / math.sqrt(2))
  lines = estimators.format_estimators(found).splitlines()
  assert len(lines) == 1 + len(found)


@pytest.mark.parametrize(
  ('name', 'values', 'wrong'),
  [
    ('information_nwj', [2.0, 2.02], True),
    ('information_nwj', [0.5, 1.6], False),  # above, within three errors
    ('information_club', [2.0, 2.02], False),
    ('information_club', [0.5, 0.52], True),
    ('information_ksg', [0.5, 0.52], False),
  ],
)
def test_a_bound_beyond_the_truth_is_on_the_wrong_side(name, values, wrong):
  case = estimators.CASES['linear d=2 I=1']
  record = estimators._record(case, name, values, 64, TINY)
  assert record.wrong_side == wrong
  assert ('WRONG' in estimators.format_estimators([record])) == wrong


@pytest.mark.parametrize('name', list(estimators.CASES))
def test_samples_of_a_case_are_its_own(name):
  case = estimators.CASES[name]
  draw = case.sample(np.random.default_rng(0), 2000)
  assert draw.x.shape == draw.z.shape == (2000, case.dimension)
  if draw.clean is not None:
    left = (draw.z - draw.clean).var()
    assert left == pytest.approx(draw.noise_variance, rel=0.1)
