"""Rows of the theory of several studies, joined; values by hand."""

import types

import pytest
from made_up import make_row

from gpz_jax import results
from gpz_jax.launching import merge_theory
from gpz_jax.launching.parts import Part
from gpz_jax.launching.units import Unit
from gpz_jax.study.workdir import Workdir
from gpz_jax.types import Lane, Treatment

LANE = Lane('x', 'x', Treatment(), 0)

BOUNDS = {
  'entropy_trace': 0.0,
  'entropy_logdet': -1.0,
  'entropy_int8': 50.0,
  'entropy_decision_trace': 2.0,
  'entropy_decision_logdet': 1.0,
}


def make_bounds(index, split, total, *, gain, lane='one', epoch=0):
  """The bounds of a split, `total` nats up, and its gain as a study computed it."""
  values = {name: value + total for name, value in BOUNDS.items()}
  values |= {'residual_gain_trace': gain, 'delta_h_logdet': gain}
  return [
    make_row(
      results.THEORY,
      lane_id=lane,
      split=split,
      split_index=index,
      epoch=epoch,
      subset='train',
      quantity=name,
      value=value,
    )
    for name, value in values.items()
  ]


def read(rows, name):
  return {
    (row['lane_id'], row['split'], row['epoch']): row['value']
    for row in rows
    if row['quantity'] == name
  }


def test_every_split_is_compared_with_the_first_one_of_all():
  """Of two studies, one begins at the third split: its own gain there was 0."""
  rows = [
    *make_bounds(2, 'c', 60.0, gain=0.0),
    *make_bounds(3, 'd', 45.0, gain=15.0),
    *make_bounds(0, 'a', 100.0, gain=0.0),
    *make_bounds(1, 'b', 90.0, gain=10.0),
    *make_bounds(2, 'c', 7.0, gain=0.0, lane='two'),
  ]
  found = merge_theory.compare_again(rows)
  assert len(found) == len(rows)
  assert read(found, 'residual_gain_trace') == {
    ('one', 'a', 0): 0.0,
    ('one', 'b', 0): 10.0,
    ('one', 'c', 0): 40.0,
    ('one', 'd', 0): 55.0,
    ('two', 'c', 0): 0.0,
  }
  # The bound of a less that of the decision chain, which is 2 nats above its own.
  assert read(found, 'delta_h_logdet')['one', 'd', 0] == 99.0 - 46.0
  assert read(found, 'entropy_trace') == read(rows, 'entropy_trace')


def test_a_merge_writes_what_it_compared_again(tmp_path):
  whole, *folders = (tmp_path / name for name in ('whole', 'deep', 'shallow'))
  studies = (
    make_bounds(2, 'c', 60.0, gain=0.0, lane=LANE.lane_id),
    make_bounds(0, 'a', 100.0, gain=0.0, lane=LANE.lane_id),
  )
  found = []
  for folder, rows in zip(folders, studies, strict=True):
    folder.mkdir()
    Workdir(folder).append_rows(rows, results.THEORY)
    unit = Unit(str(folder), 'seed', (), (), 'one of --studies')
    found.append(Part(unit, Workdir(folder), [], {}))
  whole.mkdir()
  plan = types.SimpleNamespace(
    lanes=(LANE,),
    splits=('a', 'c'),
    config=types.SimpleNamespace(theory=True, theory_limit=1),
    task=types.SimpleNamespace(train=range(5)),
  )
  session = types.SimpleNamespace(plan=plan, workdir=Workdir(whole), say=pytest.fail)
  merge_theory.join(session, found, pytest.fail, True)
  rows, is_final = results.read_workdir(whole, results.THEORY)
  assert is_final
  gains = read(rows, 'residual_gain_trace')
  assert gains == {(LANE.lane_id, 'a', 0): 0.0, (LANE.lane_id, 'c', 0): 40.0}


def test_what_cannot_be_compared_again_is_left_out():
  rows = [*make_bounds(0, 'a', 100.0, gain=0.0), *make_bounds(1, 'b', 90.0, gain=3.0)]
  rows = [
    row for row in rows if (row['split'], row['quantity']) != ('a', 'entropy_int8')
  ]
  found = merge_theory.compare_again(rows)
  assert read(found, 'residual_gain_trace') == {}
  assert len(found) == len(rows) - 4


def test_epochs_of_a_training_are_left_as_they_are():
  rows = make_bounds(2, 'c', 60.0, gain=5.0, epoch=3)
  assert merge_theory.compare_again(rows) == rows
