"""Rows are grouped by their whole treatment, and not by its alpha alone."""

import pytest
from made_up import make_rows, make_theory
from pages import read_page

from gpz_jax import report, results, zone
from gpz_jax.report import page, styles
from gpz_jax.report.theory import read_theory
from gpz_jax.types import Lane, Treatment

# Errors jump and radii drop at c without a defence, and at b with one.
ERRORS = {'none': [0.01, 0.012, 0.05, 0.06], 'noise': [0.01, 0.05, 0.06, 0.07]}
SHARES = {'none': [0.9, 0.8, 0.4, 0.35], 'noise': [0.9, 0.4, 0.35, 0.3]}


BARE, NOISY = Treatment(), Treatment(defence='noise')


def treat(rows, defence):
  lane_id = Lane('x', 'x', Treatment(defence=defence), 0).lane_id
  return [row | {'defence': defence, 'lane_id': lane_id} for row in rows]


@pytest.fixture
def rows():
  return [row for d, errors in ERRORS.items() for row in treat(make_rows(errors), d)]


@pytest.fixture
def theory_rows():
  return [row for d, shares in SHARES.items() for row in treat(make_theory(shares), d)]


@pytest.fixture
def workdir(tmp_path, rows, theory_rows):
  results.write_parquet(tmp_path / 'results.parquet', rows)
  results.write_parquet(tmp_path / 'theory.parquet', theory_rows, results.THEORY)
  return tmp_path


def test_the_summary_keeps_treatments_apart(rows):
  assert results.list_treatments(rows[::-1]) == [BARE, NOISY]
  assert len(results.strongest(rows)) == 8
  values = [
    results.seed_values(rows, 'test_mse_paper', treatment=treatment, split='b')
    for treatment in (BARE, NOISY)
  ]
  assert values == [[0.012], [0.05]]
  assert results.nearest_untreated([NOISY, BARE]) == BARE
  smooth = Treatment(0.3), Treatment(0.3, defence='noise')
  assert results.most_smoothed([NOISY, *smooth[::-1], BARE]) == smooth[0]
  names = results.format_table(rows).splitlines()[0]
  assert names.split('  ')[-1].strip() == 'alpha 0, defence noise'
  assert 'alpha 0  ' in names


def test_the_zone_keeps_treatments_apart(rows, theory_rows):
  found = zone.golden_zone(rows).treatments
  assert [(z.treatment, z.split) for z in found] == [(BARE, 'c'), (NOISY, 'b')]
  votes = zone.vote(rows, theory_rows)
  named = [
    (of.treatment, of.by('attack').split, of.by('radius_share').split)
    for of in votes.treatments
  ]
  assert named == [(BARE, 'c', 'c'), (NOISY, 'b', 'b')]
  assert zone.probe(theory_rows).treatments[1].by('radius_share').split == 'b'
  record = {each.voter: each for each in zone.agreement(rows, theory_rows)}
  assert (record['radius_share'].compared, record['radius_share'].exact) == (2, 1.0)


def test_the_recommendation_names_the_whole_treatment(rows):
  found = zone.recommend(rows)
  assert (found.split, found.treatment) == ('b', NOISY)
  assert found.sentence().startswith('Cut at b with alpha 0, defence noise: ')
  assert {each.treatment for each in found.alternatives} == {NOISY, BARE}
  flat = zone.recommend(
    [row | {'test_mse_paper': 0.03} for row in rows], max_edge_params=1e6
  )
  assert flat.reason.endswith('this treatment has no golden zone')


def test_the_page_keeps_treatments_apart(workdir):
  text, parser = read_page(workdir)
  assert '<span>treatments</span>' in text
  assert 'alpha 0, defence noise: golden zone from b on' in text
  assert [line[0] for line in parser.tables['accuracy'][1:]] == [
    '0',
    '0, defence noise',
  ]
  header, *lines = parser.tables['rows']
  assert header[:3] == ['alpha', 'defence', 'seed']
  assert [line[1] for line in lines] == ['none', 'noise'] * 4
  assert parser.tables['votes'][0] == ['vote of', 'alpha 0', 'alpha 0, defence noise']
  assert page.make_headline(report.read_workdir(workdir)) == (
    'The golden zone starts at c for alpha 0 and b for alpha 0, defence noise'
  )


def test_the_theory_keeps_treatments_apart(workdir, rows):
  theory = read_theory(workdir, rows)
  assert theory is not None
  assert (theory.treatments, theory.one_hot) == ([BARE, NOISY], BARE)
  for treatment, defence in ((BARE, 'none'), (NOISY, 'noise')):
    profile = theory.profile('radius_share', treatment)
    assert profile.mean().tolist() == SHARES[defence]


def test_treatments_of_one_alpha_look_different():
  colours = styles.treatment_colours([NOISY, BARE])
  assert colours[NOISY] != colours[BARE]
