"""Our numbers beside published ones."""

import pytest

from gpz_jax import results
from gpz_jax.report import comparison
from gpz_jax.report.comparison import Cell, Claim, Number
from gpz_jax.types import Treatment

NUMBERS = """artefact,run,row,alpha,split,attack,column,value,tolerance
table9,run_a,first,0,unit_50,inversion,test_mse_paper,0.10,0.1
table9,run_a,second,0,unit_50,inversion:enhance=x,test_mse_paper,0.20,0.1
table9,run_a,third,0.3,unit_50,inversion,test_mse_paper,0.30,
other,run_a,none,0,unit_50,inversion,test_mse_paper,9,0.1
"""
BASELINE, X = (
  f'run_a|0|unit_50|inversion{o}|test_mse_paper' for o in ('', ':enhance=x')
)
CLAIMS = f"""artefact,claim,left,relation,factor,right
table9,x helps,{X},<,2,{BASELINE}
table9,small,{BASELINE},<,1,0.5
table9,absent,run_b|0|unit_50|inversion|test_mse_paper,<,2,0.5
"""


def row(alpha, seed, attack, mse):
  values = {c.name: {str: 'x', int: 1, float: 0.5}[c.type] for c in results.COLUMNS}
  values |= Treatment(alpha).columns
  values |= {'seed': seed, 'split': 'unit_24', 'attack': attack}
  return values | {'test_mse_paper': mse, 'status': 'done'}


@pytest.fixture
def runs():
  rows = [
    row(0.0, 0, 'inversion', 0.10),
    row(0.0, 1, 'inversion', 0.11),
    row(0.0, 0, 'inversion:enhance=x:at=unit_24', 0.30),
    row(0.3, 0, 'inversion', 0.20),
  ]
  return comparison.Runs({'run_a': rows}, {'unit_50': 'unit_24'})


def test_numbers_find_their_rows_through_at_and_stand_in_splits(runs, tmp_path):
  (tmp_path / 'numbers.csv').write_text(NUMBERS)
  first, second, third = comparison.read_numbers(
    tmp_path / 'numbers.csv', 'table9', runs
  )
  assert first.values == [0.10, 0.11]
  assert first.mean == pytest.approx(0.105)
  assert first.difference == pytest.approx(0.05)
  verdicts = [number.verdict for number in (first, second, third)]
  assert verdicts == ['within 10%', 'outside 10%', 'measured otherwise']
  # ours 0.105, 0.30, 0.20 against 0.10, 0.20, 0.30: ranks 0 2 1, by hand 1 - 6*2/24
  order = comparison.rank_correlations([first, second, third])
  assert order == {'test_mse_paper at unit_50': pytest.approx(0.5)}
  assert comparison.rank_correlations([first, second]) == {}


def test_claims_hold_fail_or_were_not_run(runs, tmp_path):
  (tmp_path / 'claims.csv').write_text(CLAIMS)
  claims = comparison.read_claims(tmp_path / 'claims.csv', 'table9', runs)
  assert [claim.holds for claim in claims] == [False, True, None]
  text = comparison.format_comparison([], claims)
  assert [line.split()[-1] for line in text.splitlines()] == [
    'here',
    '0.105',
    '0.5',
    '-',
  ]


def test_a_factor_multiplies_the_right_side():
  assert Claim('c', 0.5, '>', 2.0, 0.2).holds
  assert not Claim('c', 0.5, '>', 3.0, 0.2).holds


def test_format_gives_mean_and_range_over_seeds():
  cell = Cell('run_a', 0.0, 'unit_50', 'inversion', 'test_mse_paper')
  number = Number('first', cell, 0.1, 0.1, [0.10, 0.12])
  line = comparison.format_comparison([number], []).splitlines()[1]
  assert line.split()[:8] == [
    'first',
    'test_mse_paper',
    '0.1',
    '0.11',
    '(0.1',
    'to',
    '0.12)',
    '2',
  ]
  assert 'outside 10%' not in line
  small = comparison.format_comparison([number], [], has_verdicts=False)
  assert 'tolerance' not in small
  assert comparison.Number('x', cell, 0.1, 0.1, []).verdict == 'not run'


def test_cells_are_addresses_or_numbers():
  assert Cell.parse('0.02') == 0.02
  assert Cell.parse('r|0.3|s|a:b=c|m') == Cell('r', 0.3, 's', 'a:b=c', 'm')
