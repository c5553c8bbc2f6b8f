"""The theory in the report, on made-up rows; values by hand."""

import dataclasses
import math
import re

import pytest
from made_up import (
  ERRORS,
  SHARE,
  SPLITS,
  embed,
  make_finished,
  make_rows,
  make_theory,
  make_training,
  write,
)
from pages import check_is_self_contained, read_page

from gpz_jax import results
from gpz_jax.report.theory import along_epochs, findings
from gpz_jax.types import Treatment

HEADING = 'Theory against attack'
FIGURES = ('theory', 'theory_training', 'theory_embeddings')


@pytest.fixture(scope='module')
def page(tmp_path_factory):
  """A finished sweep of two alphas and two seeds: its folder, text and tables."""
  folder = tmp_path_factory.mktemp('sweep')
  rows, theory_rows = [], []
  for alpha in (0.0, 0.3):
    for seed in (0, 1):
      lane = {'alpha': alpha, 'seed': seed}
      rows += make_rows(ERRORS, **lane)
      theory_rows += make_finished([x + 0.02 * seed for x in SHARE], **lane)
      theory_rows += make_training(
        [[8.0] * 4, [9.0] * 4, [7.0] * 4], [[0.1] * 4] * 3, **lane
      )
  write(folder, rows, theory_rows)
  embed(folder, [row for row in rows if row['seed'] == 0])
  text, parser = read_page(folder)
  return folder, text, parser


def test_every_number_of_the_tables_is_a_mean_over_seeds(page):
  _, _, parser = page
  header, first, second, *_ = parser.tables['theory-radius']
  assert header == ['quantity', 'alpha', *SPLITS[:4]]
  radius = [line for line in parser.tables['theory-radius'] if line[0].startswith('R²')]
  # rows of a quantity follow each other: one line an alpha, named in the first
  assert [line[0] for line in radius] == [
    'R²squared activation',
    'R²/Dsquared activation',
    'R²/tr S',
  ]
  assert first[1:] == ['0', *['2.400'] * 4]
  assert second == ['0.3', *['2.400'] * 4]
  share = radius[2]
  assert [cell[:6] for cell in share[2:]] == ['0.9100', '0.8100', '0.4100', '0.3600']
  ends = [float(end) for end in share[2][6:].split(' to ')]
  # variance of the mean of two seeds: a half of 0.01^2 and of (0.05 / 1.96)^2
  half = 1.96 * math.sqrt((0.01**2 + (0.05 / 1.96) ** 2) / 2)
  assert ends == pytest.approx([0.91 - half, 0.91 + half], abs=0.004)


def test_estimates_say_on_which_side_they_are(page):
  lines = {line[0]: line for line in page[2].tables['theory-information'] if line}
  assert lines['mixtureall dimensions'][1:4] == ['upper', '-', '0']
  # ln 128, by hand
  assert lines['InfoNCEof projections'][1:4] == ['lower', '4.85', '0']
  assert lines['InfoNCEof projections'][4] == '-3.000'


def test_a_ratio_of_floors_is_not_called_the_least_error(tmp_path):
  rows = [
    *make_finished(SHARE),
    *make_theory([0.5] * 4, quantity='mse_floor_factor'),
  ]
  write(tmp_path, make_rows(ERRORS), rows)
  lines = read_page(tmp_path)[1].tables['theory-information']
  (line,) = [line for line in lines if 'MSE' in line[0]]
  assert line[:2] == ['ratio of the entropy floors of the MSEfor noisy z', 'neither']


def test_the_votes_are_those_of_the_zone(page):
  _, text, parser = page
  assert 'alpha 0: the zone begins at c by the attack and the radius share' in text
  table = {line[0]: line[1:] for line in parser.tables['votes']}
  assert table['vote of'] == ['alpha 0', 'alpha 0.3']
  assert table['attack'][0].startswith('c4.17x the error')  # 0.05 / 0.012
  assert table['radius share'][0].startswith('c49% lower')  # 1 - 0.41 / 0.81
  assert table['entropy bound'][0].startswith('none')  # -1 throughout


def test_the_story_and_the_predictions_are_told(page):
  text = page[1]
  assert 'From epoch 2 to 4 it grew at 4 of 4 splits with alpha 0 (median' in text
  assert 'it shrank at 4 of 4 splits with alpha 0.3 (median change -22.2%)' in text
  # predicted to grow twice; it grows, then shrinks
  assert 'has the sign of the true one in 8 of 16 steps (50%)' in text


def test_figures_are_on_the_page_and_beside_it(page):
  folder, text, _ = page
  # a panel each: MSE and PSNR; attack, radius, entropy and information; splits a, c
  # and d along the training; four splits embedded
  assert text.count('<svg') == 2 + 4 + 3 + 4
  for name in FIGURES:
    assert (folder / 'report' / f'{name}.png').stat().st_size > 10_000
  assert 't-SNE of 40 images' in text


def test_what_rows_say_is_escaped_and_nothing_is_fetched(page):
  _, text, parser = page
  assert '&lt;i&gt;a&lt;/i&gt;' in text
  assert '<i>a' not in text
  check_is_self_contained(text, parser)


def test_a_page_says_on_how_many_images_a_training_was_followed(tmp_path):
  rows = [
    *make_finished(SHARE[:1], examples=20_000),
    *make_training([[8.0], [9.0], [7.0]], examples=600),
  ]
  write(tmp_path, make_rows(ERRORS[:1]), rows)
  text = read_page(tmp_path)[0]
  assert 'measured on 20,000 images of the train subset' in text
  assert 'The training was followed on 600 images.' in text


def test_names_of_splits_are_no_markup(tmp_path):
  name = '<b>$x$'
  rows = [row | {'split': name} for row in make_rows(ERRORS[:1])]
  theory_rows = [row | {'split': name} for row in make_finished(SHARE[:1])]
  write(tmp_path, rows, theory_rows)
  embed(tmp_path, rows)
  text = read_page(tmp_path)[0]
  assert '<b>$x$' not in text
  assert '&lt;b&gt;$x$' in text


def test_a_target_that_diverged_is_left_out_of_every_mean(tmp_path):
  astray = [row | {'status': 'diverged'} for row in make_rows(ERRORS, seed=1)]
  theory_rows = [
    *make_finished(SHARE),
    *make_training([[8.0] * 4, [9.0] * 4, [9.0] * 4]),
    *make_finished([0.99, 0.2, 0.19, 0.19], seed=1),
    *make_training([[8.0] * 4, [1.0] * 4, [1.0] * 4], seed=1),
  ]
  write(tmp_path, [*make_rows(ERRORS), *astray], theory_rows)
  text, parser = read_page(tmp_path)
  assert '4 of 8 lanes diverged' in text
  share = next(line for line in parser.tables['theory-radius'] if 'R²/tr S' in line[0])
  assert [cell[:6] for cell in share[2:]] == [f'{value:.4f}' for value in SHARE]
  # by hand: from 8 to 9
  assert 'grew at 4 of 4 splits with alpha 0 (median change +12.5%)' in text


def test_the_theory_of_nothing_but_diverged_targets_has_no_section(tmp_path):
  rows = [row | {'status': 'diverged'} for row in make_rows(ERRORS)]
  write(tmp_path, rows, make_finished(SHARE))
  assert HEADING not in read_page(tmp_path)[0]


def test_a_training_is_told_of_the_same_seeds_at_all_epochs(tmp_path):
  """Nothing moves, and one of two seeds is known only to the second epoch."""
  rows = [*make_rows(ERRORS), *make_rows(ERRORS, seed=1)]
  theory_rows = [
    *make_training([[8.0] * 4] * 5),
    *make_training([[4.0] * 4] * 2, seed=1),
  ]
  write(tmp_path, rows, theory_rows, is_final=False)
  found = findings.read_theory(tmp_path, rows)
  assert found.trail('radius', Treatment(), 'a').tolist() == [8.0] * 5
  (story,) = along_epochs.tell_story(found)
  assert 'grew at 0 of 4 splits with alpha 0 (median change +0.0%)' in story
  # two seeds that were followed as far are both in the mean
  both = [*theory_rows[:20], *make_training([[4.0] * 4] * 5, seed=1)]
  also = dataclasses.replace(found, followed=both)
  assert also.trail('radius', Treatment(), 'a').tolist() == [6.0] * 5
  # and epochs that only others know are left open
  late = dataclasses.replace(found, followed=theory_rows[8:])
  assert late.epochs == [2, 4, 6, 8, 10]
  trail = late.trail('radius', Treatment(), 'a').tolist()
  assert trail[2:] == [8.0] * 3
  assert all(map(math.isnan, trail[:2]))


SPARSE = {
  'one split and one alpha': make_finished(SHARE[:1]),
  'one quantity': make_theory([0.5, 0.4, 0.3], quantity='nc1'),
  'nothing finite': make_finished([math.nan] * 3) + make_training([[math.nan] * 3] * 2),
  'nothing finished': make_training([[8.0, 7.0, 6.0]]),
  'more than was attacked': make_finished([0.9] * 6) + make_finished(SHARE, alpha=0.1),
}


SLOW = ('one quantity', 'more than was attacked')


@pytest.mark.parametrize(
  'theory_rows',
  [
    pytest.param(rows, id=name, marks=[pytest.mark.slow] if name in SLOW else [])
    for name, rows in SPARSE.items()
  ],
)
def test_a_running_sweep_shows_what_it_has(tmp_path, theory_rows):
  write(tmp_path, make_rows(ERRORS[:3]), theory_rows, is_final=False)
  text, parser = read_page(tmp_path)
  assert HEADING in text
  assert not re.search(r'\bnan\b', re.sub(r'<svg.*?</svg>', '', text, flags=re.S), re.I)
  is_finished = any(row['epoch'] == 0 for row in theory_rows)
  assert ('votes' in parser.tables) == is_finished
  assert (tmp_path / 'report' / 'theory.png').exists() == is_finished


def test_without_theory_there_is_no_section(tmp_path):
  results.write_parquet(tmp_path / 'results.parquet', make_rows(ERRORS))
  assert HEADING not in read_page(tmp_path)[0]
  assert not list((tmp_path / 'report').glob('theory*'))
