"""The pages in a browser: what fits, what can be read, and what can be operated.

Needs Playwright and axe (the extra `browser`) and a Chromium, as Debian's package.
Screenshots are kept in the folder that GPZ_SCREENSHOTS names, if it is set.
"""

import json
import os
import pathlib
import shutil

import made_up_inversions
import made_up_threats
import numpy as np
import pytest
from browser import CHARTS, CUT_OFF, RIGHT_ENDS, TOO_WIDE, opened
from made_up import (
  ERRORS,
  SHARE,
  embed,
  make_finished,
  make_rows,
  make_training,
  write,
)
from PIL import Image

from gpz_jax import report, threats
from gpz_jax.report.threats import page as threats_page
from gpz_jax.study.workdir import Workdir

playwright = pytest.importorskip(
  'playwright.sync_api', reason='no Playwright: pip install gpz_jax[browser]'
)
axe = pytest.importorskip(
  'axe_playwright_python.sync_playwright',
  reason='no axe: pip install gpz_jax[browser]',
)
CHROMIUM = shutil.which('chromium') or shutil.which('chromium-browser')
pytestmark = pytest.mark.skipif(
  CHROMIUM is None, reason='no Chromium: apt-get install chromium'
)

WIDTHS, SCHEMES = (360, 800, 1280), ('light', 'dark')
LONG = 'backbone.stage_4.block_12.conv_3.normalization'
LEAST_TEXT = 8.0  # pixels, of the letters of a chart


@pytest.fixture(scope='module')
def index(tmp_path_factory) -> pathlib.Path:
  """The page of a sweep with a theory, several attacks, images and a long name."""
  folder = tmp_path_factory.mktemp('browser')
  rows, theory_rows = [], []
  for alpha in (0.0, 0.3):
    for seed in (0, 1):
      lane = {'alpha': alpha, 'seed': seed}
      rows += make_rows(ERRORS, **lane)
      other = make_rows([2 * error for error in ERRORS], **lane)
      rows += [row | {'attack': 'query_free'} for row in other]
      theory_rows += make_finished([x + 0.02 * seed for x in SHARE], **lane)
      theory_rows += make_training(
        [[8.0] * 4, [9.0] * 4, [7.0] * 4], [[0.1] * 4], **lane
      )
  for row in (*rows, *theory_rows):
    row['split'] = {'d': LONG}.get(row['split'], row['split'])
  write(folder, rows, theory_rows)
  embed(folder, [row for row in theory_rows if row['seed'] == 0])
  _add_images(folder, rows)
  return report.build(folder)


@pytest.fixture(scope='module')
def inversion_index(tmp_path_factory) -> pathlib.Path:
  """The page of a study of model inversion, with two attacks and a long name."""
  folder = tmp_path_factory.mktemp('inversion')
  rows = made_up_inversions.make_study()
  rows += [row | {'attack': 'ppa:preset=small:adaptive=taa'} for row in rows]
  classes = made_up_inversions.make_classes(rows)
  for row in classes:
    row['class_name'] = {2: LONG}.get(row['label'], row['class_name'])
  made_up_inversions.write(folder, rows, classes)
  made_up_inversions.add_files(folder, rows)
  return report.build(folder)


@pytest.fixture(scope='module')
def threats_index(tmp_path_factory) -> pathlib.Path:
  """The page of both threats, with a doubt, a long name and a loss."""
  sweep, faces = made_up_threats.make_many(3)
  for row in sweep:
    if row['alpha'] == 0.1:
      row['test_mse'] *= 0.5
    if row['split'] == 'c':
      row |= {'split': LONG, 'loss_fall': 0.5 if row['alpha'] == 0.2 else 0.01}
  for row in faces:
    row['att_acc1'] = 0.8 if row['alpha'] == 0.3 else row['att_acc1']
  crossing = threats.cross(sweep, faces, made_up_inversions.make_classes(faces))
  path = tmp_path_factory.mktemp('threats') / 'threats.html'
  studies = (
    [threats.Study('runs/' + LONG, sweep, False)],
    [threats.Study('runs/faces', faces, True)],
  )
  threats_page.build(path, crossing, LONG, *studies)
  return path


# How many charts the page of each study has.
NUM_CHARTS = {
  'sweep': 2 + 2 + 4 + 3 + 4,
  'inversion': 2 + 2 + 1 + 3,
  'threats': 3,
}


@pytest.fixture(scope='module', params=NUM_CHARTS)
def study(request):
  return request.param


@pytest.fixture
def each_index(request, study) -> pathlib.Path:
  """The page of one study after the other."""
  name = 'index' if study == 'sweep' else f'{study}_index'
  return request.getfixturevalue(name)


def _add_images(folder, rows):
  rungs = {'mean_image': 0.055, 'class_mean': 0.054, 'thumbnail_8': 0.007}
  scores = {'psnr': 12.0, 'ssim': 0.1}
  ladder = {k: {'mse': v, 'mse_paper': 3 * v, **scores} for k, v in rungs.items()}
  (folder / 'ladder.json').write_text(json.dumps(ladder))
  (folder / 'samples').mkdir()
  images = np.random.default_rng(0).integers(0, 255, (8, 16, 16, 3), np.uint8)
  np.save(folder / 'samples' / 'originals.npy', images)
  for row in rows:
    path = Workdir(folder).sample(row['lane_id'], row['split'], row['attack'])
    np.save(path, images)


@pytest.fixture(scope='module')
def chromium():
  with playwright.sync_playwright() as started:
    browser = started.chromium.launch(executable_path=CHROMIUM)
    yield browser
    browser.close()


@pytest.mark.parametrize('width', WIDTHS)
def test_everything_fits_the_window(chromium, each_index, width):
  with opened(chromium, each_index, width) as page:
    assert page.evaluate('document.documentElement.scrollWidth') == width
    assert page.evaluate(TOO_WIDE) == []
    assert page.evaluate(CUT_OFF) == []


def test_everything_fits_a_page_of_paper(chromium, each_index):
  """A4 within margins of 10 mm at 96 dots an inch; the widest table lies across it."""
  with opened(chromium, each_index, 718) as page:
    page.emulate_media(media='print')
    upright = page.evaluate(RIGHT_ENDS)
    page.set_viewport_size({'width': 1047, 'height': 718})
    across = page.evaluate(RIGHT_ENDS)
    assert page.locator('.contents, .hint').first.is_hidden()
  assert across.pop('rows') <= 1047.5
  del upright['rows']
  assert max(upright.values()) <= 718.5, upright


@pytest.mark.parametrize('width', WIDTHS)
def test_charts_can_be_read(chromium, each_index, study, width):
  with opened(chromium, each_index, width) as page:
    charts = page.evaluate(CHARTS)
    assert len(charts) == NUM_CHARTS[study]
    assert [chart['out'] for chart in charts] == [[]] * len(charts)
    assert min(chart['smallest'] for chart in charts) >= LEAST_TEXT
    first, second = charts[:2]
    is_stacked = first['left'] == second['left'] and first['top'] < second['top']
    assert is_stacked == (width == 360)


# Each width and each scheme is among the first three, and the rest takes long.
@pytest.mark.parametrize(
  ('width', 'scheme'),
  [
    *((360, 'light'), (800, 'dark'), (1280, 'light')),
    *(
      pytest.param(*view, marks=pytest.mark.slow)
      for view in ((360, 'dark'), (800, 'light'), (1280, 'dark'))
    ),
  ],
)
def test_axe_finds_nothing(chromium, each_index, study, width, scheme, tmp_path):
  """Contrast, headings, names, landmarks, tables, languages and much else."""
  folder = pathlib.Path(os.environ.get('GPZ_SCREENSHOTS', tmp_path))
  folder.mkdir(parents=True, exist_ok=True)
  with opened(chromium, each_index, width, scheme, bypass_csp=True) as page:
    page.screenshot(path=folder / f'{study}_{width}_{scheme}.png', full_page=True)
    assert page.locator('img:not([alt])').count() == 0
    assert page.locator('th:not([scope])').count() == 0
    found = run_axe(page)
    assert found.response['passes']
    assert found.violations_count == 0, found.generate_report()


def run_axe(page):
  """All rules of axe, on all but the insides of charts, which have a name instead."""
  return axe.Axe().run(page, context={'exclude': [['svg']]})


def test_the_checks_find_faults(chromium, index):
  with opened(chromium, index, 360, bypass_csp=True) as page:
    page.evaluate("""() => {
      document.documentElement.lang = '';
      document.querySelector('img').removeAttribute('alt');
      document.querySelector('h1').style.color = '#bbb';
      document.querySelector('h3').outerHTML = '<h5>deep</h5>';
      document.querySelector('main').insertAdjacentHTML('beforeend',
        '<p id="wide" style="width: 500px; max-width: none">wide</p>'
        + '<p id="cut" style="width: 20px; overflow: hidden; white-space: pre">'
        + 'incomprehensible</p>');
      document.querySelector('svg g[id*="-text_"]').setAttribute(
        'transform', 'translate(-400 0)');
    }""")
    found = {each['id'] for each in run_axe(page).response['violations']}
    assert found >= {'html-has-lang', 'image-alt', 'color-contrast', 'heading-order'}
    assert [text for text in page.evaluate(TOO_WIDE) if 'id="wide"' in text]
    assert [cut for *_, cut in page.evaluate(CUT_OFF) if 'id="cut"' in cut]
    assert len(page.evaluate(CHARTS)[0]['out']) == 1


@pytest.mark.parametrize('scheme', SCHEMES)
def test_charts_stand_out_in_both_schemes(chromium, each_index, scheme, tmp_path):
  """axe does not see charts: the strongest ink against the page, by its pixels."""
  with opened(chromium, each_index, 800, scheme) as page:
    for i, chart in enumerate(page.locator('svg').all()):
      chart.screenshot(path=tmp_path / f'{i}.png')
      with Image.open(tmp_path / f'{i}.png') as picture:
        pixels = np.asarray(picture.convert('RGB')) / 255
      assert _contrast(pixels) >= 4.5
    background = page.evaluate('getComputedStyle(document.body).backgroundColor')
  assert (background == 'rgb(255, 255, 255)') == (scheme == 'light')


def _contrast(pixels) -> float:
  """WCAG 2.2: (lighter + 0.05) / (darker + 0.05), of the background and the rest."""
  linear = np.where(
    pixels <= 0.04045, pixels / 12.92, ((pixels + 0.055) / 1.055) ** 2.4
  )
  light = (linear @ [0.2126, 0.7152, 0.0722]).ravel()
  values, counts = np.unique(light, return_counts=True)
  background = values[counts.argmax()]
  pairs = [
    sorted((background, end), reverse=True) for end in (light.min(), light.max())
  ]
  return max((high + 0.05) / (low + 0.05) for high, low in pairs)


def test_columns_sort_up_down_and_back(chromium, index):
  with opened(chromium, index, 1280) as page:
    heading = page.locator('#cost thead th', has_text='parameters on the device')
    names = page.locator('#cost tbody th')
    before = names.all_text_contents()
    orders = []
    for _ in range(3):
      heading.get_by_role('button').focus()
      page.keyboard.press('Enter')
      orders.append((heading.get_attribute('aria-sort'), names.all_text_contents()))
    assert before == ['a', 'b', 'c', LONG]
    # costs grow with depth
    assert orders == [
      ('ascending', before),
      ('descending', before[::-1]),
      (None, before),
    ]


def test_tables_say_that_they_scroll_where_they_do(chromium, index):
  with opened(chromium, index, 360) as page:
    hint = page.locator('.scroll:has(#ladder)').locator('xpath=preceding-sibling::*[1]')
    assert hint.is_visible()
    assert hint.text_content() == '\u2194 More to the side: scroll.'
    assert page.locator('.scroll:has(#ladder)').get_attribute('tabindex') == '0'
    page.set_viewport_size({'width': 2400, 'height': 800})
    playwright.expect(hint).to_be_hidden()
    assert page.locator('.scroll:has(#ladder)').get_attribute('tabindex') is None


def test_the_contents_lead_to_every_section(chromium, each_index):
  with opened(chromium, each_index, 800) as page:
    links = page.locator('nav a').all()
    assert [link.text_content() for link in links] == (
      page.locator('h2').all_text_contents()
    )
    targets = [link.get_attribute('href') for link in links]
    assert len(set(targets)) == len(targets) > 5
    assert all(page.locator(f'h2{target}').count() == 1 for target in targets)
    ids = page.evaluate('[...document.querySelectorAll("[id]")].map((e) => e.id)')
    assert len(set(ids)) == len(ids)


def test_the_page_is_whole_without_its_script(chromium, index):
  with opened(chromium, index, 360, java_script_enabled=False) as page:
    assert page.locator('button').count() == 0
    assert page.locator('#cost thead th').first.text_content() == 'split'
    assert page.locator('#rows tbody tr').count() == 32
