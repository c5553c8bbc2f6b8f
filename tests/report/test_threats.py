"""The page of both threats, from made-up rows."""

import re

import made_up_inversions
import pytest
from made_up_threats import make_faces, make_many, make_sweep
from pages import Tables, check_is_self_contained

from gpz_jax import atomic, threats
from gpz_jax.report import svg
from gpz_jax.report.threats import figures
from gpz_jax.report.threats import page as page_lib
from gpz_jax.threats import Study
from gpz_jax.threats.crossing import DOUBTFUL, LEAKS, MODEL, OPEN, PROTECTS

SKIPS, FREE = 'alpha 0, skips 1110', 'no loss of accuracy'
ROGUE = '<b>$b$</b> & c'


@pytest.fixture(autouse=True)
def no_charts(monkeypatch, request):
  """Draws no chart, which takes a second, but where a test asks for it."""
  if 'charts' not in request.fixturenames:
    monkeypatch.setattr(page_lib, '_draw', lambda *_: '')


@pytest.fixture
def charts():
  """The charts are drawn."""


def cross(sweep, faces):
  return threats.cross(sweep, faces, made_up_inversions.make_classes(faces))


def read(sweep, faces, *, is_final=True, workdir='runs/sweep'):
  """The page with the picture of the deepest split first, and what is in it."""
  crossing = cross(sweep, faces)
  studies = [Study(workdir, sweep, is_final)], [Study('runs/faces', faces, True)]
  text = page_lib.render(crossing, crossing.splits[-1], *studies)
  parser = Tables()
  parser.feed(text)
  return text, parser


def make_mixed():
  """Treated targets protect at a, leak more at b, and nothing is told of the model."""
  sweep = make_sweep()
  for row in sweep:
    if row['split'] == 'b' and row['skips'] != 'intact':
      row['test_mse'] *= 0.5
  return sweep, make_faces(0.8)


def headline_of(text):
  (headline,) = re.findall('<h1[^>]*>(.*)</h1>', text)
  return headline


def test_the_headline_is_the_one_of_the_text():
  text, _ = read(make_sweep(), make_faces())
  assert headline_of(text) == (
    f'These protect against both threats: {SKIPS} (at a and b, for {FREE}).'
  )
  assert 'To tell more' not in text
  crossing = cross(*make_mixed())
  text, _ = read(*make_mixed())
  assert headline_of(text) == f'{threats.conclude(crossing).headline}.'
  assert headline_of(text) in threats.format_crossed(crossing)
  assert '<b>To tell more, run more seeds (--seeds) or attack more classes' in text


def test_each_treatment_has_a_verdict_on_each_threat():
  _, parser = read(*make_mixed())
  table = parser.tables['crossed']
  assert table[1][:4] == ['treatment', 'a', 'b', MODEL]
  # By hand, see make_sweep: half of 1.3 is a loss of 35%, with half of the interval.
  assert [line[:3] for line in table[2:]] == [
    ['alpha 0', '-', '-'],
    [SKIPS, 'protects+30.0% (26.8 to 33.2)', 'leaks more-35.0% (-36.6 to -33.4)'],
  ]
  assert table[3][3].startswith('cannot tell+0.0 points (')
  assert table[3][4] == '0.00.0 to 0.0'  # the cost and its interval
  rows = parser.tables['rows']
  assert [line[1:3] for line in rows[4:]] == [
    ['a', PROTECTS],
    ['b', LEAKS],
    [MODEL, OPEN],
  ]
  assert rows[4][3:5] == ['+30.0% (26.8 to 33.2)', '3 seeds']
  assert rows[4][5].startswith('0.01300')  # the error: 1.3 times 0.01
  assert [line[-1] for line in rows[1:]] == ['3'] * 6


def test_a_doubtful_verdict_leads_to_its_reason():
  sweep = make_sweep(loss_fall=0.5)
  text, parser = read(sweep, make_faces(evaluator_accuracy=0.5))
  for line in parser.tables['rows'][1:]:
    number = '3' if line[1] == MODEL else {'a': '1', 'b': '2'}[line[1]]
    assert line[2] == f'{DOUBTFUL}, reason {number}'
    assert f'<a href="#reason{number}">' in text
  assert '<li id="reason1">the decoder at a was still improving' in text
  assert '<li id="reason3">the evaluator names 50.0% of private test' in text
  assert '<b>3</b><span>of 3 effects are doubtful' in text


def test_without_a_conclusion_the_page_says_so_and_what_to_run():
  text, parser = read(make_sweep(1.0), make_faces(0.8))
  assert headline_of(text) == 'No conclusion can be drawn from these results.'
  assert 'To tell more, run more seeds (--seeds) or attack more classes' in text
  assert 'id="doubts"' not in text
  assert len(parser.tables['rows']) == 1 + 6  # numbers stay
  text, _ = read(make_sweep(guess_mse=0.001), make_faces(evaluator_accuracy=0.5))
  assert headline_of(text) == 'No conclusion can be drawn from these results.'
  assert 'raise --decoder_epochs or --aux_limit' in text.split('id="verdicts"')[0]


def test_untreated_targets_alone_say_what_to_give(charts):
  alone = [row for row in make_faces() if row['skips'] == 'intact']
  text, parser = read(make_sweep(), alone)
  assert headline_of(text) == 'There is no treatment beside alpha 0 to compare with.'
  assert 'To compare, give both studies the same --treatments' in text
  assert f'left out, without a finished row in both studies: {SKIPS}.' in text
  assert len(parser.tables['crossed']) == 3
  assert '<svg' not in text


def test_names_are_shown_as_they_are(charts):
  sweep, faces = make_sweep(), make_faces()
  for row in (*sweep, *faces):
    row['model'] = 'vgg<i>11'
    if row.get('split') == 'b':
      row['split'] = ROGUE
  text, parser = read(sweep, faces, workdir='<script>alert(1)</script>')
  check_is_self_contained(text, parser)
  assert '<b>$b' not in text
  assert 'vgg<i>' not in text
  assert parser.tables['crossed'][1][2] == ROGUE
  assert parser.tables['joined'][1][0] == '<script>alert(1)</script>'
  # Namespaces of SVG are names, and nothing is fetched from them.
  shown = re.sub(r'<(svg|style|script).*?</\1>', '', text, flags=re.S)
  assert '//' not in shown


def test_each_split_has_a_picture_that_can_be_heard(charts):
  _, parser = read(*make_mixed())
  pictures = [attrs for _, attrs in parser.tags if attrs.get('role') == 'img']
  assert [attrs['aria-label'] for attrs in pictures] == [
    f'b. Under activation inversion at b, these leak more: {SKIPS} (error -35%, for'
    f' {FREE}). The tables hold the same numbers.',
    f'a. Under activation inversion at a, these protect: {SKIPS} (error +30%, for'
    f' {FREE}). The tables hold the same numbers.',
  ]
  assert all('scope' in attrs for tag, attrs in parser.tags if tag == 'th')


def test_the_first_picture_explains_the_symbols_of_all():
  crossing = cross(*make_many(4))
  panels = figures.draw_panels(crossing, 'c')
  assert [*panels] == ['c', 'a', 'b', 'd']
  legends = [len(figure.legends) for figure in panels.values()]
  assert legends == [1, 0, 0, 0]
  told = [text.get_text() for text in panels['c'].legends[0].get_texts()]
  assert told == [
    'alpha -0.1, skips 1110 (-5.0)',
    'alpha 0.0001, skips 1110 (-4.0)',
    'alpha 0.1, skips 1110 (-3.0)',
    'alpha 0.2, skips 1110 (-2.0)',
    'alpha 0.3, skips 1110 (-1.0)',
  ]


def test_doubtful_points_are_hollow():
  crossing = cross(make_sweep(loss_fall=0.5), make_faces())
  (axes,) = figures.draw_panels(crossing, 'a')['a'].axes
  (points,) = [line for line in axes.lines if line.get_marker() == 's']
  assert points.get_markerfacecolor() == 'none'


def test_what_was_joined_is_named_with_what_stands_behind():
  sweep = make_sweep(n_test=1000, n_aux=1600)
  for row in sweep:
    row['n_test'] = {'a': 50, 'b': 1000}[row['split']]
  text, parser = read(sweep, make_faces())
  assert parser.tables['joined'][1:] == [
    [
      *('runs/sweep', 'activation inversion', '2', '0, 1 and 2', 'inversion'),
      *("50 to 1,000 test images, and 1,600 of the attacker's", 'yes'),
    ],
    [
      *('runs/faces', MODEL, '2', '0, 1 and 2', 'ppa'),
      *('6 of 50 classes, and 8 of 16 candidates of each', 'yes'),
    ],
  ]
  assert 'is not finished' not in text
  text, parser = read(sweep, make_faces(), is_final=False)
  assert parser.tables['joined'][1][-1] == 'no'
  assert 'The study in runs/sweep is not finished.' in text


def test_an_old_page_stays_until_a_new_one_is_whole(tmp_path, monkeypatch):
  path = tmp_path / 'threats.html'
  path.write_text('old')
  sweep, faces = make_sweep(model='half \ud800'), make_faces(model='half \ud800')
  arguments = cross(sweep, faces), 'a', [Study('s', sweep, True)]

  def fail(*_):
    raise OSError('full')

  with monkeypatch.context() as patch:
    patch.setattr(atomic.os, 'replace', fail)
    with pytest.raises(OSError, match='full'):
      page_lib.build(path, *arguments, [Study('f', faces, True)])
  assert [each.name for each in tmp_path.iterdir()] == ['threats.html']
  assert path.read_text() == 'old'
  page_lib.build(path, *arguments, [Study('f', faces, True)])
  assert '<b>half ?</b>' in path.read_text()


def test_each_figure_has_a_note_of_its_own():
  panels = figures.draw_panels(cross(make_sweep(), make_faces()), 'a')
  with pytest.raises(ValueError, match='argument 2 is shorter'):
    svg.embed(panels.values(), ['one'])
