"""What the last bits depend on is recorded, and what changed is named."""

from gpz_jax import results
from gpz_jax.study import conditions
from gpz_jax.training.engine import Engine


def test_conditions_are_columns_of_rows():
  found = conditions.conditions(Engine('map').resolve())
  assert found.keys() <= results.RESULTS.types.keys()


def test_the_number_of_processors_is_a_condition(monkeypatch):
  engine = Engine('map').resolve()
  monkeypatch.setattr(results, 'count_processors', lambda: 2)
  before = conditions.environment(engine)
  monkeypatch.setattr(results, 'count_processors', lambda: 1)
  now = conditions.environment(engine)
  assert conditions.contrast(before, before) == ''
  assert conditions.contrast(before, now) == 'processors 2, now 1'


def test_what_was_not_recorded_has_changed():
  assert conditions.contrast({}, {'jax': '0.10'}) == 'jax None, now 0.10'
