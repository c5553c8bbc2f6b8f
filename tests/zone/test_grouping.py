"""Rows are grouped once, and not walked again for each treatment."""

import pytest
from made_up import make_rows

from gpz_jax import results, zone
from gpz_jax.types import Treatment


def rows_of(treatments):
  """Rows of two seeds for each of so many treatments, which have a zone at c."""
  return [
    row | {'defence': f'noise:sigma={i + 1}', 'guess_mse': 0.045}
    for seed in (0, 1)
    for i in range(treatments)
    for row in make_rows([0.01, 0.012, 0.05, 0.06], seed=seed)
  ]


def test_grouped_rows_are_those_that_are_looked_for_one_by_one():
  rows = rows_of(3)
  grouped = results.Grouped(rows)
  for treatment in (*results.list_treatments(rows), Treatment(0.7)):
    own = results.of_treatment(rows, treatment)
    assert list(results.of_treatment(grouped, treatment)) == own
    for split in ('a', 'd', 'nowhere'):
      cell = results.of_cell(rows, treatment, split)
      assert results.of_cell(grouped, treatment, split) == cell
  assert len(results.of_cell(grouped, Treatment.of(rows[0]), 'a')) == 2


@pytest.mark.parametrize(
  'conclude',
  [
    zone.golden_zone,
    lambda rows: zone.recommend(rows, private_enough=0.015),
    lambda rows: zone.recommend(rows, max_edge_params=400),
  ],
)
def test_a_row_is_looked_at_no_more_often_beside_more_treatments(conclude, monkeypatch):
  asked, of = [], Treatment.of
  monkeypatch.setattr(Treatment, 'of', lambda row: asked.append(row) or of(row))

  def count(treatments):
    asked.clear()
    rows = rows_of(treatments)
    conclude(rows)
    return len(asked) / len(rows)

  few = count(2)
  assert count(12) < 1.2 * few  # one walk for each treatment would be six times as many
