"""The page of a study of model inversion, from made-up rows."""

import math
import re

import made_up_inversions as made_up
import numpy as np
import pytest
from inversion_pages import ATTACKS, column, write
from made_up import make_row
from pages import check_is_self_contained, read_page

from gpz_jax import report, results
from gpz_jax.results import CLASSES, INVERSIONS
from gpz_jax.results.formats import format_number, format_share
from gpz_jax.study.workdir import Workdir
from gpz_jax.types import InputError, Treatment


def test_the_answer_is_the_headline(page):
  text, _ = page
  # by hand, see make_study: 83 to 59, at 94.8 - 92.7
  assert (
    '<h1>Removing the skips of the last stage costs 2.1 points of accuracy and takes'
    ' AttAcc@1 from 83% to 59%.</h1>'
  ) in text
  assert re.search(r'AttAcc@1 falls by 24.0 points \(23.0 to 25.0 over 3 seeds\)', text)
  assert re.search(r'Accuracy falls by 2.1 points \(1.9 to 2.3 over 3 seeds\)', text)
  assert 'The trade that is named is the one that lowers' in text
  assert 'One seed' not in text


def test_without_a_conclusion_the_page_says_why(tmp_path):
  text, parser = write(tmp_path, made_up.make_study(evaluator_accuracy=0.5))
  assert '<h1>No conclusion can be drawn from these results.</h1>' in text
  assert re.search(r'<b>Why</b>: the evaluator names 50.0% of private test', text)
  assert 'The trade that is named' not in text
  assert 'golden: the trade' not in text
  assert column(parser.tables['treatments'], 'AttAcc@1')  # numbers stay


def test_untreated_targets_alone_name_what_to_compare(tmp_path):
  rows = [row for row in made_up.make_study() if Treatment.of(row) == Treatment()]
  text, parser = write(tmp_path, rows)
  assert 'there is no other treatment to compare with' in text
  assert 'Name other treatments (--skips, --defence, --alphas)' in text
  assert len(parser.tables['treatments']) == 2


def test_one_seed_rests_on_classes_and_says_so(tmp_path):
  text, parser = write(tmp_path, made_up.make_study(seeds=(1,)))
  assert '<b>One seed.</b> Intervals are over classes only' in text
  assert 'over 6 classes' in text
  # The accuracy of one target has no interval; AttAcc@1 has the row's.
  (line,) = [line for line in parser.tables['treatments'] if line[0] == 'skips 1110']
  assert line[1:4] == ['1', '92.7%', '59.0%54.0% to 64.0%']


def test_delta_is_said_where_it_is_defined(page, tmp_path):
  delta = column(page[1].tables['treatments'], 'Delta')
  assert delta['untreated'] == '-'
  assert delta['skips 1110'] == '11.43'  # by hand: 24 / 2.1
  rows = made_up.make_study()
  for row in rows:
    if row['skips'] == '1110':
      row['target_accuracy'] = 0.96
  other = write(tmp_path, rows)[1].tables['treatments']
  assert column(other, 'Delta')['skips 1110'] == 'undefined'


# Of all rows alike: said once.
OF_THE_STUDY = {
  'chance_accuracy': 'guessing',
  'chance_att_acc': 'chance',
  'evaluator_accuracy': 'its accuracy',
  'generator_fid': 'its FID',
  'devices': 'device',
}
COUNTS = {
  'num_classes': 'of 1,234 classes attacked',
  'num_attacked': '<b>57</b><span>of 1,234',
  'num_candidates': 'of 316 candidates',
  'num_final': '<b>83</b><span>of 316',
}


def test_every_number_of_the_parquet_is_on_the_page(tmp_path):
  rng = np.random.default_rng(0)
  rows = made_up.make_study()
  common = {name: float(rng.uniform(0.01, 0.99)) for name in OF_THE_STUDY}
  counts = {'num_classes': 1234, 'num_attacked': 57, 'num_candidates': 316}
  common |= counts | {'num_final': 83, 'devices': 29}
  of_row = [
    each.name
    for each in INVERSIONS.columns
    if each.type is float and each.name not in ('alpha', *common)
  ]
  for row in rows:
    row |= common | {name: float(rng.uniform(0.01, 0.99)) for name in of_row}
  text, parser = write(tmp_path, rows)
  header, *lines = parser.tables['rows']
  assert len(lines) == len(rows) == 21
  for row in results.read_parquet(tmp_path / 'inversions.parquet', INVERSIONS):
    key = ['0', row['skips'], row['defence'], str(row['seed'])]
    (line,) = [line for line in lines if line[:4] == key]
    for name in of_row:
      shown = ' '.join(line[4:])
      assert format_share(row[name]) in shown or format_number(row[name]) in shown, name
  assert header[:4] == ['alpha', 'skips', 'defence', 'seed']
  for name, title in OF_THE_STUDY.items():
    (said,) = re.findall(rf'<dt>{title}</dt><dd>(.*?)</dd>', text)
    forms = (format_share(common[name]), format_number(common[name]), '29 x ')
    assert any(form in said for form in forms), name
  assert all(words in text for words in COUNTS.values())
  numbers = {name for name, kind in INVERSIONS.types.items() if kind is not str}
  assert numbers == {*of_row, *OF_THE_STUDY, *COUNTS, 'alpha', 'seed'}


def test_means_of_the_page_are_those_of_the_rows(page, finished):
  rows = results.read_parquet(finished / 'inversions.parquet', INVERSIONS)
  tables = page[1].tables
  attacks = column(tables['attacks'], 'skips 1110')
  for attack in ATTACKS:
    own = [r['att_acc1'] for r in rows if (r['skips'], r['attack']) == ('1110', attack)]
    assert attacks[attack] == f'{np.mean(own):.1%}'
  classes = results.read_parquet(finished / 'classes.parquet', CLASSES)
  of_class = column(tables['labels'], 'skips 1110')
  for label in made_up.LABELS:
    own = [
      each['att_acc1']
      for each in classes
      if (each['skips'], each['attack'], each['label']) == ('1110', ATTACKS[1], label)
    ]
    assert of_class[f'person {label}'] == f'{np.mean(own):.1%}'


def test_a_running_study_has_a_page(tmp_path):
  rows = made_up.make_study()[:5]
  rows[4] |= {'status': 'diverged', 'att_acc1': math.nan, 'confidence': math.nan}
  text, parser = write(tmp_path, rows, classes=[], is_final=False)
  assert 'The study is not finished' in text
  assert 'This page shows the 5 rows written so far' in text
  assert '1 of 5 rows diverged' in text
  assert len(parser.tables['rows']) == 6
  assert 'labels' not in parser.tables
  assert not re.search(r'\bnan\b', text, re.IGNORECASE)
  # Two seeds of the treatment, of which one diverged.
  assert column(parser.tables['treatments'], 'seeds') == {
    'untreated': '3',
    'skips 0111': '1',
  }


def test_a_page_where_everything_diverged(tmp_path):
  rows = made_up.make_study(seeds=(0,))[:2]
  for row in rows:
    row |= {'status': 'diverged'}
    row |= {c.name: math.nan for c in INVERSIONS.columns if c.name.startswith('att_')}
  text, parser = write(tmp_path, rows, classes=[], is_final=False)
  assert 'No conclusion can be drawn from these results' in text
  assert 'no attack has finished without going astray' in text
  assert 'treatments' not in parser.tables
  assert len(parser.tables['rows']) == 3


def test_names_are_escaped_and_nothing_is_fetched(tmp_path):
  rows = made_up.make_study(seeds=(0,), dataset='a & b', public_dataset='<i>x</i>')
  classes = [
    make_row(CLASSES, **row | {'class_name': '<script>alert(1)</script>'})
    for row in made_up.make_classes(rows)
  ]
  made_up.write(tmp_path, rows, classes)
  made_up.add_files(tmp_path, rows)
  text, parser = read_page(tmp_path)
  check_is_self_contained(text, parser)
  assert 'a &amp; b' in text
  assert '&lt;i&gt;x&lt;/i&gt;' in text
  assert all(attrs['alt'] for tag, attrs in parser.tags if tag == 'img')


def test_files_beside_the_page_and_a_repeatable_page(workdir, page, monkeypatch):
  monkeypatch.undo()
  assert read_page(workdir)[0] == page[0]
  names = sorted(p.stem for p in (workdir / 'report').glob('*.png'))
  assert names == [
    *('gradients1', 'gradients2', 'gradients3', 'positives'),
    *('stages1', 'stages2', 'trade1', 'trade2'),
  ]


def test_bad_workdirs_are_refused_in_one_line(workdir, tmp_path):
  (tmp_path / 'inversions.jsonl').write_text('')
  with pytest.raises(InputError, match='no finished row yet'):
    report.build(tmp_path)
  np.save(Workdir(workdir).privates, np.zeros((4, 3, 16, 16, 3)))
  text, _ = read_page(workdir)  # its checksum differs: it is not even read
  assert '1 pictures are damaged' in text
