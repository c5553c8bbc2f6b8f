import math

import made_up_page
import pytest
from made_up_page import make_rows
from pages import read_page

from gpz_jax import report, results
from gpz_jax.report import page


@pytest.fixture
def workdir(tmp_path):
  made_up_page.write_workdir(tmp_path)
  return tmp_path


def test_a_zone_that_leaves_images_recognisable_says_so_in_the_headline(workdir):
  rows = [
    row | {'recognised': 0.9 * row['target_accuracy'] * (row['alpha'] == 0.3)}
    for row in results.read_parquet(workdir / 'results.parquet')
  ]
  results.write_parquet(workdir / 'results.parquet', rows)
  text = read_page(workdir)[0]
  assert (
    '<h1>The golden zone starts at block_4, but images stay recognisable there for'
    ' alpha 0.3.</h1>'
  ) in text
  assert text.count('Images stay recognisable there: the target still gives') == 1


def test_targets_that_guess_are_named_by_seed_where_others_do_not(workdir):
  rows = [
    row | {'chance_accuracy': 0.2, 'target_accuracy': 0.9 - 0.8 * row['seed']}
    for row in make_rows()
  ]
  results.write_parquet(workdir / 'results.parquet', rows)
  text = read_page(workdir)[0]
  assert (
    '<b>Some targets are within reach of guessing</b> (alpha -0.05 with seed 1:'
    in (text)
  )
  assert 'alpha 0.3 with seed 1: 10.0% test accuracy).' in text


def test_alphas_that_differ_are_grouped_in_the_headline(workdir):
  rows = make_rows()
  for row in rows:
    if row['alpha'] == 0.3:  # flat: no jump anywhere
      row |= {'test_mse_paper': 0.05}
  results.write_parquet(workdir / 'results.parquet', rows)
  assert page.make_headline(report.read_workdir(workdir)) == (
    'The golden zone starts at block_4 for alpha -0.05 and 0 and nowhere for alpha 0.3'
  )


def test_a_treatment_without_results_does_not_hide_what_another_shows(workdir):
  rows = make_rows()
  for row in rows:
    if row['alpha'] == 0.3:
      row |= {'status': 'diverged', 'test_mse': math.nan, 'test_mse_paper': math.nan}
    else:  # flat: no jump anywhere
      row |= {'test_mse_paper': 0.05}
  results.write_parquet(workdir / 'results.parquet', rows)
  headline = page.make_headline(report.read_workdir(workdir))
  assert headline == (
    'No split is in a golden zone for alpha -0.05 and 0;'
    ' fewer than two splits have a result for alpha 0.3'
  )


@pytest.mark.parametrize(
  ('change', 'is_flat', 'headline'),
  [
    (
      {'loss_fall': 0.3},
      False,
      'The golden zone starts at block_4 for alpha -0.05 and 0;'
      ' no conclusion can be drawn for alpha 0.3',
    ),
    (
      {'loss_fall': 0.3},
      True,
      'No split is in a golden zone for alpha -0.05 and 0;'
      ' no conclusion can be drawn for alpha 0.3',
    ),
    (
      {'status': 'diverged'},
      False,
      'The golden zone starts at block_4 for alpha -0.05 and 0;'
      ' fewer than two splits have a result for alpha 0.3',
    ),
  ],
)
def test_the_headline_says_nothing_of_a_treatment_of_which_nothing_is_known(
  workdir, change, is_flat, headline
):
  rows = make_rows()
  for row in rows:
    if row['alpha'] == 0.3:
      row |= change
    elif is_flat:
      row |= {'test_mse_paper': 0.05}
  results.write_parquet(workdir / 'results.parquet', rows)
  assert page.make_headline(report.read_workdir(workdir)) == headline


def test_where_no_treatment_can_be_judged_nothing_is_concluded(workdir):
  rows = [
    row | ({'loss_fall': 0.3} if row['alpha'] == 0.3 else {'status': 'diverged'})
    for row in make_rows()
  ]
  results.write_parquet(workdir / 'results.parquet', rows)
  headline = page.make_headline(report.read_workdir(workdir))
  assert headline == 'No conclusion can be drawn from these results'
