"""The page of a study of model inversion, from made-up rows."""

import base64
import io
import math
import re
import shutil

import made_up_inversions as made_up
import numpy as np
import pytest
from made_up import make_row
from pages import check_is_self_contained, read_page
from PIL import Image

from gpz_jax import report, results
from gpz_jax.report.figures import join_images
from gpz_jax.report.inversion import figures, findings
from gpz_jax.report.inversion import page as page_lib
from gpz_jax.results import CLASSES, INVERSIONS
from gpz_jax.results.formats import format_number, format_share
from gpz_jax.study.workdir import Workdir
from gpz_jax.types import InputError, Treatment

BIDO = 'bido:hidden=0.05:output=0.5'
LAST = Treatment(skips='1110')
ATTACKS = ('ppa', 'ppa:adaptive=taa')


@pytest.fixture(scope='module')
def finished(tmp_path_factory):
  """A finished study of 7 treatments and 3 seeds, under two attacks."""
  folder = tmp_path_factory.mktemp('inversion')
  weak = made_up.make_study()
  strong = [row | {'attack': ATTACKS[1]} for row in weak]
  for row in weak:  # by a tenth, so that everything is said of the other
    for name in ('att_acc1', 'att_acc1_low', 'att_acc1_high'):
      row[name] -= 0.1
  rows = weak + strong
  made_up.write(folder, rows)
  made_up.add_files(folder, rows)
  return folder


@pytest.fixture(autouse=True)
def no_charts(monkeypatch):
  """Draws no chart, which takes a second or two, but where a test undoes this."""
  monkeypatch.setattr(page_lib.svg, 'embed', lambda panels, above: '')
  monkeypatch.setattr(page_lib, 'save_png', lambda panel, path: None)


@pytest.fixture
def workdir(finished, tmp_path):
  """A copy to be changed."""
  folder = tmp_path / 'study'
  shutil.copytree(finished, folder)
  return folder


@pytest.fixture(scope='module')
def page(finished):
  """Its text and its tables."""
  return read_page(finished)


def write(folder, rows, **options):
  """The page of some rows, and its tables."""
  made_up.write(folder, rows, **options)
  return read_page(folder)


def column(table, title):
  """Row heading -> the text of a cell, without its interval."""
  place = table[0].index(title)
  return {line[0]: line[place] for line in table[1:]}


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


def test_the_front_holds_what_no_other_outdoes(page, finished):
  # By hand, see make_study: 1110@5 outdoes stages 2 and 3, and 1110 outdoes BiDO.
  on_front = column(page[1].tables['treatments'], 'on the front')
  assert on_front == {
    'untreated': 'yes',
    'skips 0111': 'yes',
    'skips 1110@5': 'yes',
    'skips 1110': 'yes',
    'skips 1011': 'no',
    'skips 1101': 'no',
    f'defence {BIDO}': 'no',
  }
  axes = figures.draw_trade(findings.read_workdir(finished))[0].axes[0]
  (path,) = [line for line in axes.lines if line.get_linestyle() == '--']
  expected = [(0.948, 0.83), (0.945, 0.82), (0.943, 0.71), (0.927, 0.59)]
  np.testing.assert_allclose(path.get_xydata(), expected)


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


def test_stages_stand_beside_the_intact_target(page, finished, tmp_path):
  assert '<h2 id="stages">' in page[0]
  panels = figures.draw_stages(findings.read_workdir(finished))
  heights = [[bar.get_height() for bar in panel.axes[0].patches] for panel in panels]
  np.testing.assert_allclose(heights[0], [0.83, 0.82, 0.80, 0.74, 0.59])
  np.testing.assert_allclose(heights[1], [0.948, 0.945, 0.940, 0.937, 0.927])
  names = [label.get_text() for label in panels[0].axes[0].get_xticklabels()]
  assert names == ['intact', '1', '2', '3', '4']
  rows = [row for row in made_up.make_study() if row['skips'] in ('intact', '1110@5')]
  assert '<h2 id="stages">' not in write(tmp_path, rows)[0]


def pictures_of(text):
  """alt text -> pixels of each picture of the page."""
  found = {}
  for source, alt in re.findall(
    r'<img src="data:image/png;base64,(.*?)" alt="(.*?)"', text
  ):
    with Image.open(io.BytesIO(base64.b64decode(source))) as picture:
      found[alt] = np.asarray(picture)
  return found


def strip(path, place):
  return join_images(np.load(path)[place])


def strongest(rows, treatment, seed):
  (row,) = [
    row
    for row in rows
    if Treatment.of(row) == treatment
    and (row['seed'], row['attack']) == (seed, ATTACKS[1])
  ]
  return row['lane_id'], row['attack']


def test_sheets_show_what_the_strongest_attack_made_of_the_lowest_seed(page, finished):
  shown = pictures_of(page[0])
  assert len(shown) == 4 * (1 + 7)
  folder, rows = (
    Workdir(finished),
    results.read_parquet(finished / 'inversions.parquet', INVERSIONS),
  )
  private = shown['3 private images of person 2']
  np.testing.assert_array_equal(private, strip(folder.privates, 2))
  for treatment in (Treatment(), LAST):
    made = shown[f'3 reconstructions of person 2 from the target with {treatment}']
    path = folder.reconstruction(*strongest(rows, treatment, 0))
    np.testing.assert_array_equal(made, strip(path, 2))
  # The share beside it: 0.59 - 0.1 of the weaker attack does not count; class 2 lies
  # 2 x 0.01 below the mean.
  assert re.search(r'skips</span> 1110<small>57.0%</small></th><td><img', page[0])


def test_another_seed_steps_in_for_a_picture_that_is_gone_or_damaged(workdir):
  rows = results.read_parquet(workdir / 'inversions.parquet', INVERSIONS)
  folder = Workdir(workdir)
  first, second, third = (
    folder.reconstruction(*strongest(rows, LAST, seed)) for seed in (0, 1, 2)
  )
  first.unlink()
  data = bytearray(second.read_bytes())
  data[-1] ^= 1
  second.write_bytes(data)
  text, _ = read_page(workdir)
  assert '1 pictures are damaged and 1 are gone. They are left out' in text
  made = pictures_of(text)[f'3 reconstructions of person 0 from the target with {LAST}']
  np.testing.assert_array_equal(made, strip(third, 0))


def test_without_private_images_there_is_no_sheet(workdir):
  Workdir(workdir).privates.unlink()
  text, _ = read_page(workdir)
  assert pictures_of(text) == {}
  assert '0 pictures are damaged and 1 are gone' in text


def test_without_any_picture_or_curve_the_page_is_whole(tmp_path):
  text, parser = write(tmp_path, made_up.make_study())
  assert pictures_of(text) == {}
  assert '<h2 id="seen">' not in text
  assert '<h2 id="gradients">' not in text
  assert len(parser.tables['rows']) == 1 + 21


def test_false_positives_are_dots_of_classes_and_means(page, finished):
  read = findings.read_workdir(finished)
  axes = figures.draw_false_positives(read).axes[0]
  small, large = axes.lines[::2], axes.lines[1::2]
  means = {line.get_label(): line.get_xydata()[0] for line in large}
  # False positives are 0.9 less AttAcc@1 here, and the confidence is 0.9.
  np.testing.assert_allclose(means['skips 1110'], [0.9, 0.31])
  np.testing.assert_allclose(means['untreated'], [0.9, 0.07])
  assert [len(line.get_xydata()) for line in small] == [6] * 7
  last = read.treatments.index(LAST)
  np.testing.assert_allclose(small[last].get_xydata()[0], [0.85, 0.36])
  assert 'of which the first 100 are shown' not in page[0]
  scores = column(page[1].tables['scores'], 'false positives')
  assert scores['skips 1110'].startswith('31.0%')


def test_curves_are_means_over_seeds_as_far_as_all_have_steps(workdir):
  rows = results.read_parquet(workdir / 'inversions.parquet', INVERSIONS)
  curves = findings.read_workdir(workdir).curves[LAST]
  assert len(curves['gradient_mean']) == 50
  # By hand: AttAcc@1 of 0.576, 0.59 and 0.604 times 1e-3 in the first step.
  assert curves['gradient_mean'][0] == pytest.approx(5.9e-4)
  panels = figures.draw_curves(findings.read_workdir(workdir))
  titles = [panel.axes[0].get_title(loc='left') for panel in panels]
  assert titles == [title for title, _ in figures.CURVES.values()]
  assert [panel.axes[0].get_yscale() for panel in panels] == ['log', 'log', 'linear']
  made_up.histories.write(
    Workdir(workdir).history(*strongest(rows, LAST, 1)), {'gradient_mean': np.ones(7)}
  )
  assert len(findings.read_workdir(workdir).curves[LAST]['gradient_mean']) == 7


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
