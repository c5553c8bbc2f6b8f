"""Rows of the theory of several studies, joined; values by hand."""

import types

import pytest
from made_up import make_row, make_rows

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


def make_bound(attack, value, split='a'):
  return make_row(
    results.THEORY,
    lane_id=LANE.lane_id,
    split=split,
    epoch=0,
    subset='train',
    quantity='conditional_entropy_decoder',
    value=value,
    assumes=attack,
  )


@pytest.mark.parametrize('order', [(0, 1, 2), (2, 0, 1), (1, 2, 0)])
def test_a_decoders_bound_is_of_the_strongest_attack_of_all_parts(order):
  """The search has a lower error, but on fewer of the test images."""
  parts = []
  for attack, error, n_test, bound in (
    ('weak', 0.06, 300, -2.0),
    ('strong', 0.03, 300, -3.0),
    ('search', 0.01, 32, -4.0),
  ):
    changes = {'attack': attack, 'n_test': n_test}
    radius = make_bound(attack, 1.0) | {'quantity': 'radius'}
    rows = [row | changes for row in make_rows([error])]
    parts.append((rows, [make_bound(attack, bound), radius]))
  # Of what has no theory no bound can be taken.
  parts.append(([row | {'attack': 'best'} for row in make_rows([0.001])], []))
  joined = merge_theory.join_rows([parts[i] for i in (*order, 3)])
  found = {row['quantity']: row['assumes'] for row in joined.values()}
  last = ('weak', 'strong', 'search')[order[-1]]
  assert found == {'conditional_entropy_decoder': 'strong', 'radius': last}


def test_a_bound_that_only_a_weaker_part_has_stays():
  weak, strong = (
    [row | {'attack': attack} for row in make_rows([error, error])]
    for attack, error in (('weak', 0.06), ('strong', 0.03))
  )
  theirs = [make_bound('weak', -2.0), make_bound('weak', -2.0, split='b')]
  parts = [(weak, theirs), (strong, [make_bound('strong', -3.0)])]
  for given in (parts, parts[::-1]):
    joined = merge_theory.join_rows(given)
    assert {row['split']: row['assumes'] for row in joined.values()} == {
      'a': 'strong',
      'b': 'weak',
    }
