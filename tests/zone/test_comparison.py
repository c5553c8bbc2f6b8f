"""How often the probe names the attack's split; counts by hand."""

import math

import pytest
from made_up import make_rows, make_theory

from gpz_jax import zone
from gpz_jax.types import InputError


def by_voter(rows, theory, **options):
  return {each.voter: each for each in zone.agreement(rows, theory, **options)}


@pytest.fixture
def lanes():
  """Attack at c in four lanes; the probe names c, c, b and e."""
  attack = [0.01, 0.012, 0.05, 0.06, 0.06]
  probes = {
    (0.0, 0): [1, 0.9, 0.4, 0.4, 0.4],
    (0.0, 1): [1, 0.9, 0.3, 0.3, 0.3],
    (0.3, 0): [1, 0.5, 0.45, 0.45, 0.45],
    (0.3, 1): [1, 0.9, 0.8, 0.7, 0.1],
  }
  rows = [r for a, s in probes for r in make_rows(attack, alpha=a, seed=s)]
  theory = [
    r for (a, s), values in probes.items() for r in make_theory(values, alpha=a, seed=s)
  ]
  return rows, theory


def test_exact_and_within_one_split(lanes):
  found = by_voter(*lanes)['radius_share']
  assert found.compared == 4
  assert (found.exact, found.near) == (0.5, 0.75)
  # of the candidates b to e one is c, and three are b, c or d
  assert (found.chance_exact, found.chance_near) == (0.25, 0.75)
  assert found.sentence() == (
    "The radius share names the attack's split in 50% of 4 lanes (chance 25%), and one "
    'at most one split off in 75% (chance 75%).'
  )


def test_a_quantity_that_was_not_measured_is_compared_nowhere(lanes):
  found = by_voter(*lanes)['entropy']
  assert found.compared == 0
  assert math.isnan(found.exact)
  assert not found.is_measured
  assert 'and the attack never both name a split' in found.sentence()


def test_lanes_without_a_zone_or_a_drop_are_counted_apart(lanes):
  rows, theory = lanes
  rows += make_rows([0.03] * 5, alpha=0.6)
  theory += make_theory([1, 0.5, 0.4, 0.3, 0.2], alpha=0.6)
  rows += make_rows([0.01, 0.05, 0.06], alpha=0.7)
  theory += make_theory([1, 2, 3], alpha=0.7)
  found = by_voter(rows, theory)['radius_share']
  assert (found.compared, found.no_zone, found.no_drop) == (4, 1, 1)
  assert found.sentence().endswith(
    '; the attack finds no zone in 1 more; the probe finds none in 1 where the attack '
    'does.'
  )


def test_missing_and_diverged_lanes_do_not_count(lanes):
  rows, theory = lanes
  for row in rows:
    if (row['alpha'], row['seed']) == (0.3, 1):
      row |= {'status': 'diverged', 'test_mse': math.nan, 'test_mse_paper': math.nan}
  theory = [r for r in theory if (r['alpha'], r['seed']) != (0.3, 0)]
  theory += make_theory([1, 0.1], alpha=0.9)  # not attacked yet
  found = by_voter(rows, theory)['radius_share']
  assert (found.compared, found.exact) == (2, 1.0)
  single = by_voter(make_rows([0.1]), make_theory([0.5]))['radius_share']
  assert (single.compared, single.no_zone) == (0, 0)


def test_the_rule_of_the_attack_can_be_set(lanes):
  assert by_voter(*lanes, threshold=1.0)['radius_share'].no_zone == 4
  assert by_voter(*lanes, ratio=1.1)['radius_share'].compared == 4


def test_theory_of_other_targets_is_refused(lanes):
  rows, theory = lanes
  with pytest.raises(InputError, match='several values of dataset'):
    zone.agreement(rows, [row | {'dataset': 'y'} for row in theory])


def test_sweeps_of_one_model_are_counted_together(lanes):
  rows, theory = lanes
  right = make_rows([0.01, 0.012, 0.05]), make_theory([1, 0.9, 0.4])
  named = {'model': 'y'}
  other = [row | named for row in right[0]], [row | named for row in right[1]]
  found = zone.agreement_by_model([(rows, theory), right, other, (rows, [])])
  assert list(found) == ['x', 'y']
  record = {each.voter: each for each in found['x']}['radius_share']
  # By hand: 2 of 4 lanes among 5 splits, and 1 of 1 among 3.
  assert (record.compared, record.exact) == (5, pytest.approx(0.6))
  assert record.near == pytest.approx(0.8)
  assert record.chance_exact == pytest.approx((4 * 0.25 + 0.5) / 5)
  # Clopper and Pearson's table has 14.7% to 94.7% for 3 of 5.
  assert record.interval == pytest.approx((0.147, 0.947), abs=5e-4)
  lines = zone.format_agreements(found).splitlines()
  assert lines[0].split()[:3] == ['model', 'probe', 'lanes']
  x, y = (line.split() for line in lines[1:])
  assert x[:5] == ['x', 'the', 'radius', 'share', '5']
  assert x[5:] == ['60%', '15%', 'to', '95%', '30%', '80%', '80%', '0']
  assert y[:6] == ['y', 'the', 'radius', 'share', '1', '100%']
  assert zone.format_agreements({}) == ''


def test_a_model_without_a_zone_has_a_line_without_shares():
  flat = make_rows([0.03, 0.04, 0.05]), make_theory([1, 0.9, 0.4])
  (line,) = zone.format_agreements(zone.agreement_by_model([flat])).splitlines()[1:]
  assert line.split() == ['x', 'the', 'radius', 'share', '0', *'-----', '1']
