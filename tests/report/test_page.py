import functools
import json
import math

import forked
import made_up_page
import numpy as np
import pytest
from made_up_page import ALPHAS, SEEDS, SPLITS, make_rows
from pages import check_is_self_contained, read_page

from gpz_jax import report, results
from gpz_jax.report import figures
from gpz_jax.report.styles import treatment_colours
from gpz_jax.results import formats
from gpz_jax.types import InputError, Treatment


@pytest.fixture
def workdir(tmp_path):
  made_up_page.write_workdir(tmp_path)
  return tmp_path


def mean(rows, column, **where):
  values = [r[column] for r in rows if all(r[k] == v for k, v in where.items())]
  return sum(values) / len(values)


def test_every_number_of_the_tables_is_in_the_rows(workdir):
  rows = results.read_parquet(workdir / 'results.parquet')
  tables = read_page(workdir)[1].tables
  score_rows = tables['scores'][2:]
  assert [line[0] for line in score_rows] == list(SPLITS)
  for split, *cells in score_rows:
    expected = []
    for alpha in ALPHAS:
      cell = {'split': split, 'alpha': alpha}
      expected += [
        f'{mean(rows, "test_mse", **cell):.5f}',
        f'{mean(rows, "test_mse_paper", **cell):.5f}',
        f'{mean(rows, "test_psnr", **cell):.2f}',
        f'{mean(rows, "test_ssim", **cell):.3f}',
      ]
    assert cells == expected
  for (split, *cells), index in zip(tables['cost'][1:], range(5), strict=True):
    row = next(r for r in rows if r['split'] == split)
    assert cells[0] == row['split_module']
    assert cells[2] == f'{1000 * 3**index:,}'
    assert cells[3] == f'{row["edge_params_share"]:.1%}'
    assert cells[6] == results.format_bytes(65536 >> index)
  for (_, accuracy, *_), alpha in zip(tables['accuracy'][1:], ALPHAS, strict=True):
    seeds = [
      next(r for r in rows if (r['alpha'], r['seed']) == (alpha, seed))
      for seed in SEEDS
    ]
    assert accuracy == f'{mean(seeds, "target_accuracy"):.1%}'
  assert [line[0] for line in tables['ladder'][1:]] == ['mean image', 'class mean']
  assert tables['ladder'][1][1:] == ['0.06100', '12.00', '0.100', '0.18300']


def test_the_full_table_has_every_row_in_both_forms(workdir):
  rows = results.read_parquet(workdir / 'results.parquet')
  header, *lines = read_page(workdir)[1].tables['rows']
  assert len(lines) == len(rows) == 30
  for line, row in zip(lines, rows, strict=True):
    cells = dict(zip(header, line, strict=True))
    assert cells['alpha'] == f'{row["alpha"]:g}'
    assert cells['split'] == row['split']
    assert cells['MSE'] == f'{row["test_mse"]:.5f}'
    assert cells['MSE summed'] == f'{row["test_mse_paper"]:.5f}'
    assert cells['PSNR'] == f'{row["test_psnr"]:.2f}'


def test_names_are_escaped_and_nothing_is_fetched(workdir):
  text, parser = read_page(workdir)
  check_is_self_contained(text, parser)
  assert 'vgg&lt;b&gt;11' in text
  assert 'a &amp; b' in text
  for tag, attrs in parser.tags:
    if tag == 'img':
      assert attrs['alt']


def test_the_answer_names_the_zone_and_its_cost(workdir):
  text = read_page(workdir)[0]
  # made-up error is 4x larger from block_4 on
  assert '<h1>The golden zone starts at block_4.</h1>' in text
  assert 'alpha -0.05: golden zone from block_4 on' in text
  assert 'of the parameters on the device and sends 8 KiB' in text


def test_limits_of_the_config_bound_the_recommendation(workdir):
  (workdir / 'config.json').write_text(json.dumps({'max_edge_params': 1000}))
  assert '<b>Cut at block_1 with alpha' in read_page(workdir)[0]
  (workdir / 'config.json').write_text(json.dumps({'max_edge_params': 10}))
  assert (
    '<b>No cut fits</b>: max_edge_params=10 excludes 15 of 15' in read_page(workdir)[0]
  )


def test_the_cuts_worth_considering_and_what_is_private_enough(workdir):
  assert 'cuts' not in read_page(workdir)[1].tables  # no score of a thumbnail
  scores = {'mse': 0.02, 'psnr': 12.0, 'ssim': 1.0, 'mse_paper': 0.06}
  (workdir / 'ladder.json').write_text(json.dumps({'thumbnail_4': scores}))
  text, parser = read_page(workdir)
  assert '<b>Cut at block_4 with alpha' in text
  assert 'no attack is better than a 4x4 thumbnail (MSE 0.02, SSIM 1).' in text
  header, *lines = parser.tables['cuts']
  said = [dict(zip(header, line, strict=True)) for line in lines]
  # By hand: about 0.002 times the depth, and four times that from block_4 on.
  assert [(one['split'], one['verdict']) for one in said] == [
    ('block_1', 'not private'),
    ('block_2', 'not private'),
    ('block_3', 'not private'),
    ('block_4', 'recommended'),
    (SPLITS[4], 'private enough, most private'),
  ]
  (workdir / 'config.json').write_text(json.dumps({'private_enough': '0.5'}))
  text = read_page(workdir)[0]
  assert (
    '<b>No cut is private enough</b>: on every cut an attack is better than' in text
  )


def test_files_beside_the_page_and_a_repeatable_page(workdir):
  first = read_page(workdir)[0]
  assert sorted(p.name for p in (workdir / 'report').iterdir()) == [
    'index.html',
    'mse_psnr.png',
    'reconstructions.png',
  ]
  assert read_page(workdir)[0] == first


def test_a_running_sweep_has_a_page(tmp_path):
  rows = make_rows()[:9]  # split 1 complete, split 2 half; nothing else written yet
  rows[4] |= {'status': 'diverged', 'test_mse': math.nan, 'test_psnr': math.nan}
  for row in rows:
    results.append_rows(tmp_path / 'results.jsonl', [row])
  text, parser = read_page(tmp_path)
  assert 'The sweep is not finished' in text
  assert '1 of 9 lanes diverged' in text
  assert len(parser.tables['rows']) == 10
  assert parser.tables['scores'][3][-4:] == ['-'] * 4
  assert 'ladder' not in parser.tables
  assert 'NaN' not in text


@pytest.mark.parametrize('count', [1, 2])
def test_a_page_where_nothing_is_finite(tmp_path, count):
  for row in make_rows()[:count]:
    row |= {'status': 'diverged'}
    row |= {c.name: math.nan for c in results.COLUMNS if c.name.startswith('test_')}
    results.append_rows(tmp_path / 'results.jsonl', [row])
  text = read_page(tmp_path)[0]
  assert 'Fewer than two splits have a result, so no zone can be named.' in text
  assert '<b>No cut is recommended</b>: no results.' in text


@pytest.mark.parametrize('selection', ['aux', 'test'])
def test_selection_on_the_test_subset_is_marked(tmp_path, selection):
  for row in make_rows():
    results.append_rows(tmp_path / 'results.jsonl', [row | {'selection': selection}])
  marked = 'Chosen on the test subset' in read_page(tmp_path)[0]
  assert marked == (selection == 'test')


def test_bad_workdirs_are_refused_in_one_line(tmp_path):
  with pytest.raises(InputError, match=r'no results\.parquet or results\.jsonl'):
    report.build(tmp_path)
  (tmp_path / 'results.jsonl').write_text('')
  with pytest.raises(InputError, match='no finished row yet'):
    report.build(tmp_path)
  results.append_rows(tmp_path / 'results.jsonl', [make_rows()[0]])
  (tmp_path / 'ladder.json').write_text('{')
  with pytest.raises(InputError, match=r'cannot read .*ladder\.json'):
    report.build(tmp_path)
  (tmp_path / 'ladder.json').write_text('{}')
  (tmp_path / 'samples').mkdir()
  np.save(tmp_path / 'samples' / 'originals.npy', np.zeros((2, 8, 8, 3)))
  with pytest.raises(InputError, match=r'uint8 images .* got float64 \(2, 8, 8, 3\)'):
    report.build(tmp_path)
  assert not (tmp_path / 'report').exists()


def test_colours_differ_between_alphas():
  treatments = [Treatment(alpha) for alpha in (-0.3, -0.05, 0.0, 0.05, 0.1, 0.3)]
  colours = treatment_colours(treatments)
  assert len(set(colours.values())) == 6


def test_images_are_joined_with_a_white_gap():
  images = np.zeros((2, 1, 2, 1), np.uint8)
  # by hand
  np.testing.assert_array_equal(figures.join_images(images), [[0, 0, 255, 255, 0, 0]])
  assert figures.join_images(np.zeros((3, 4, 4, 3), np.uint8)).shape == (4, 16, 3)
  with pytest.raises(AssertionError, match=r'images \[n, H, W, C\]'):
    figures.join_images(np.zeros((4, 4, 3), np.uint8))


def test_numbers_are_written_short():
  assert formats.format_error(0.0123456) == '0.01235'
  assert formats.format_error(0.0000123) == '1.2e-05'
  assert formats.format_error(math.nan) == '-'
  assert formats.format_fixed(math.nan, 2) == '-'
  assert formats.format_count(1_234_567) == '1.235 M'
  assert formats.format_number(1606.2) == '1,606'
  assert formats.format_number(-0.04137, 3) == '-0.0414'
  assert formats.format_number(0.0) == '0'
  assert formats.format_number(-1.247e-7) == '-1.2e-07'
  assert formats.format_number(math.nan) == '-'
  assert formats.format_share(0.1234) == '12.3%'
  assert formats.format_setting([1, None, 'a']) == '1, null, a'


def test_the_command_prints_the_page(workdir):
  done = run_command(f'--workdir={workdir}')
  assert done.returncode == 0
  assert done.stdout.strip() == str(workdir / 'report' / 'index.html')


def test_an_unknown_flag_is_one_line_and_status_2():
  done = run_command('--worksdir=x')
  assert (done.returncode, done.stdout) == (2, '')
  assert done.stderr.startswith('report: Unknown command line flag')
  assert done.stderr.count('\n') == 1


@pytest.mark.parametrize(
  ('arguments', 'complaint'),
  [((), '--workdir is missing'), (('--workdir=nowhere',), "workdir 'nowhere'")],
)
def test_a_bad_workdir_is_one_line_and_status_2(arguments, complaint):
  done = run_command(*arguments)
  assert done.returncode == 2
  assert complaint in done.stderr
  assert done.stderr.count('\n') == 1


run_command = functools.partial(forked.run, 'report')
