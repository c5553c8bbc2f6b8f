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
  return values | {'test_mse_paper': mse, 'status': 'done', 'doubt': ''}


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


def test_one_seed_cannot_decide_a_claim(runs, tmp_path):
  (tmp_path / 'claims.csv').write_text(CLAIMS)
  claims = comparison.read_claims(tmp_path / 'claims.csv', 'table9', runs)
  # x has seed 0 alone, the baseline has two, and run_b was not run
  assert [claim.verdict for claim in claims] == [
    'cannot decide: one seed',
    'holds',
    'not run',
  ]
  lines = comparison.format_comparison([], claims).splitlines()
  assert lines[0].split() == ['claim', 'verdict', 'here', 'margin']
  # By hand: 2 x 0.10 - 0.30 in seed 0; 0.5 less 0.10 and 0.11, 12.706 x 0.005 around.
  assert lines[1].endswith('0.3 < 2 x 0.105  -0.1')
  assert lines[2].endswith('0.105 < 0.5      +0.395 (+0.331 to +0.459)')
  assert lines[3].split()[-2:] == ['-', '-']


def test_seeds_are_compared_one_by_one():
  left, right = {0: 0.5, 1: 0.91, 2: 0.1}, {0: 0.2, 1: 0.4, 3: 9.0}
  assert Claim('c', left, '>', 2.0, right).margins == pytest.approx([0.1, 0.11])
  assert Claim('c', left, '>', 2.0, right).verdict == 'holds'
  assert Claim('c', left, '<', 2.0, right).verdict == 'does not hold'
  # By hand: 0.5 - 0.5 and 0.91 - 1.0, of either sign within 12.706 x 0.045.
  assert Claim('c', left, '>', 2.5, right).verdict == 'cannot decide'
  assert Claim('c', {0: 1.0}, '>', 1.0, {1: 0.5}).verdict == (
    'cannot decide: no seed has both'
  )
  assert Claim('c', {}, '>', 1.0, {1: 0.5}).verdict == 'not run'
  # Two equal margins say nothing of how far a third would lie.
  assert Claim('c', {0: 0.3, 1: 0.3}, '>', 1.0, 0.2).verdict == 'cannot decide'


def test_a_doubt_of_the_rows_stands_beside_the_verdict(runs, tmp_path):
  (tmp_path / 'numbers.csv').write_text(NUMBERS)
  (tmp_path / 'claims.csv').write_text(CLAIMS)
  for doubt, verdict in (
    ('loss still falling', 'holds (loss still falling)'),
    ('target near chance; loss still falling', 'cannot decide: target near chance'),
  ):
    runs.rows['run_a'][1]['doubt'] = doubt  # seed 1 of the baseline
    claims = comparison.read_claims(tmp_path / 'claims.csv', 'table9', runs)
    assert claims[1].verdict == verdict
  numbers = comparison.read_numbers(tmp_path / 'numbers.csv', 'table9', runs)
  lines = comparison.format_comparison(numbers, [], has_verdicts=False).splitlines()
  assert '0.16853)?' in lines[1]  # By hand: 0.105 + 12.706 x 0.005.
  assert '?' not in lines[2]
  assert '? doubtful: target near chance, loss still falling' in lines


def test_format_gives_the_mean_and_its_interval_over_seeds():
  cell = Cell('run_a', 0.0, 'unit_50', 'inversion', 'test_mse_paper')
  number = Number('first', cell, 0.1, 0.1, [0.10, 0.12])
  line = comparison.format_comparison([number], []).splitlines()[1]
  # By hand: 0.11, and 12.706 x 0.01 to either side.
  assert line.split()[:8] == [
    'first',
    'test_mse_paper',
    '0.1',
    '0.11',
    '(-0.017062',
    'to',
    '0.23706)',
    '2',
  ]
  assert 'outside 10%' not in line
  small = comparison.format_comparison([number], [], has_verdicts=False)
  assert 'tolerance' not in small
  assert comparison.Number('x', cell, 0.1, 0.1, []).verdict == 'not run'


def test_cells_are_addresses_or_numbers():
  assert Cell.parse('0.02') == 0.02
  assert Cell.parse('r|0.3|s|a:b=c|m') == Cell('r', 0.3, 's', 'a:b=c', 'm')
