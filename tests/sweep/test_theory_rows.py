"""What a sweep measures of the theory again, and which attack its bounds rest on."""

import dataclasses
import types

import pytest
from made_up import make_rows

from gpz_jax.study.workdir import Workdir
from gpz_jax.sweep import theory as sweep_theory
from gpz_jax.theory.quantity import Quantity
from gpz_jax.types import Lane, Treatment

LANE = Lane('x', 'x', Treatment(), 0)


@pytest.fixture
def session(tmp_path):
  """All that is read of a session of two splits, a and b."""
  plan = types.SimpleNamespace(lanes=[LANE], splits=('a', 'b'))
  return types.SimpleNamespace(workdir=Workdir(tmp_path), plan=plan)


def test_a_decoders_bound_is_of_the_strongest_attack_that_has_finished(session):
  rows = [row | {'n_test': 10_000} for row in make_rows([0.03, 0.06])]
  weaker = [row | {'attack': 'weaker', 'test_mse': 0.5} for row in rows]
  astray = [
    row | {'attack': 'astray', 'status': 'diverged', 'test_mse': 0.001} for row in rows
  ]
  search = [row | {'attack': 'rmle', 'n_test': 32, 'test_mse': 0.002} for row in rows]
  session.workdir.append_rows([*weaker, *astray, *search, *rows])
  found = sweep_theory._strongest(session, LANE)
  assert {split: row['attack'] for split, row in found.items()} == {'a': 'x', 'b': 'x'}
  # test_mse is a third of the error summed over three channels, see make_rows
  assert [row['test_mse'] for row in found.values()] == pytest.approx([0.01, 0.02])


def test_without_a_finished_attack_at_a_split_there_is_no_bound(session):
  first, second = make_rows([0.03, 0.06])
  session.workdir.append_rows([first, second | {'status': 'diverged'}])
  assert sweep_theory._strongest(session, LANE) == {}


def test_a_bound_names_its_attack_and_its_test_images():
  bound = Quantity('conditional_entropy_decoder', -3.0, assumes='upper bound on h(x|z)')
  other = Quantity('radius', 1.0, assumes='as it was')
  row = {'attack': 'inversion', 'n_test': 300}
  found = sweep_theory._name_attacks({'a': [bound, other]}, {'a': row})
  note = 'MSE of inversion on 300 test images; upper bound on h(x|z)'
  assert found == {'a': [bound._replace(assumes=note), other]}
  assert sweep_theory._name_attacks({'a': [other]}, {}) == {'a': [other]}
