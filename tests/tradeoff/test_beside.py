"""The second paper's table as it is published, and our numbers beside it."""

import csv
import io

import pytest
from made_up_skips import PAPER, study

from gpz_jax import tradeoff
from gpz_jax.tradeoff.published import StudyRows
from gpz_jax.types import InputError


def test_deltas_follow_from_their_rows_but_for_the_one_that_is_marked():
  rows = tradeoff.read_paper(PAPER).rows
  base = {row.net: row for row in rows if row.treatment == 'none'}
  with_delta = [row for row in rows if row.delta is not None]
  assert len(with_delta) == 9
  assert len(rows) == 13
  for row in with_delta:
    none = base[row.net]
    computed = (none.att_acc - row.att_acc) / (none.accuracy - row.accuracy)
    follows = abs(computed - row.delta) < 0.006
    assert follows == (not row.note), row
  stacked = next(row for row in rows if row.treatment == 'rolss+bido')
  assert (stacked.att_acc, stacked.accuracy) == (41.44, None)


def test_each_finding_of_the_issue_is_there_with_a_margin():
  findings = {each.name: each for each in tradeoff.read_paper(PAPER).findings}
  of_paper = {name for name, each in findings.items() if each.of == 'paper'}
  assert of_paper == {
    *('families', 'last_stage', 'fusion', 'false_positives', 'beats_bido', 'stack'),
  }
  assert all(0 < each.margin < 0.1 for each in findings.values())


def test_our_numbers_stand_beside_those_of_the_table():
  paper = tradeoff.read_paper(PAPER).at_small_scale()
  runs = {
    'mi_table1_resnet_small': study({'intact': (0.95, 0.83), '1110': (0.925, 0.6)})
  }
  lines = tradeoff.format_beside(paper, '1', runs).splitlines()
  rolss = next(line for line in lines if line.startswith('ResNet-34     rolss'))
  # 0.6 +- Student's 4.303 x 0.004 / sqrt(3); Delta is 23 / 2.5, by hand.
  assert '91.38     92.5 (92.5 to 92.5)  71.86     60.0 (59.0 to 61.0)' in rolss
  assert rolss.split()[-2:] == ['5.72', '9.20']
  judged = tradeoff.judge(paper, runs)
  table = list(csv.DictReader(io.StringIO(tradeoff.write_csv(judged))))
  assert len(table) == sum(len(each.contrasts) for each in judged)
  assert {line['finding'] for line in table} == {each.finding.name for each in judged}


def test_one_net_beside_two_of_the_paper_is_named():
  paper = tradeoff.read_paper(PAPER).at_small_scale()
  runs = {'mi_table1_resnet_small': study({'intact': (0.95, 0.83)})}
  text = tradeoff.format_beside(paper, '1', runs)
  assert text.splitlines()[-1] == (
    'Ours of ResNet-34 and ResNet-101 is one net, resnet18 of mi_table1_resnet_small,'
    ' which stands for each of them.'
  )
  assert 'is one net' not in tradeoff.format_beside(paper, '1', {})
  full = {'mi_table1_resnet34': runs['mi_table1_resnet_small']}
  whole = tradeoff.read_paper(PAPER)
  assert 'is one net' not in tradeoff.format_beside(whole, '1', full)


def test_no_delta_of_ours_is_against_anything_but_untreated_targets():
  """The targets with a defence are nearest to untreated ones, and are none."""
  paper = tradeoff.read_paper(PAPER).at_small_scale()
  treated = study({'intact': (0.93, 0.7)}, defence='bido:lx=0.05:ly=0.5')
  whole = study({'intact': (0.95, 0.83), '1110': (0.925, 0.6)})
  for row in whole.rows:
    if row['skips'] == 'intact':
      row['status'] = 'diverged'
  runs = {'mi_table1_resnet_small': StudyRows([*treated.rows, *whole.rows], [])}
  lines = tradeoff.format_beside(paper, '1', runs).splitlines()
  rolss = next(line for line in lines if line.startswith('ResNet-34     rolss'))
  assert '92.5' in rolss
  assert rolss.split()[-2:] == ['5.72', '-']


@pytest.mark.parametrize(
  'text',
  [
    '[[row]',
    '[[row]]\nnet = 1',
    "[[row]]\ntable='1'",
    "finding = [{name='x'}]\nrow=[]",
  ],
)
def test_a_damaged_file_is_refused_in_one_line(tmp_path, text):
  (tmp_path / 'x.toml').write_text(text)
  with pytest.raises(InputError, match=r'x\.toml cannot be read') as caught:
    tradeoff.read_paper(tmp_path / 'x.toml')
  assert '\n' not in str(caught.value)
