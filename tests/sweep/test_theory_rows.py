"""What a sweep measures of the theory again, and which attack its bounds rest on."""

import types

import pytest
import tiny
from made_up import make_row, make_rows

from gpz_jax import checkpoints, results
from gpz_jax.study.workdir import Workdir
from gpz_jax.sweep import make_plan, measurable
from gpz_jax.sweep import theory as sweep_theory
from gpz_jax.theory.quantity import Quantity
from gpz_jax.types import InputError, Lane, Treatment

LANE = Lane('x', 'x', Treatment(), 0)


@pytest.fixture
def session(tmp_path):
  """All that is read of a session of two splits, a and b."""
  plan = types.SimpleNamespace(
    lanes=[LANE],
    splits=('a', 'b'),
    config=types.SimpleNamespace(theory_limit=600),
    task=types.SimpleNamespace(train=range(30_000)),
  )
  said = []
  return types.SimpleNamespace(
    workdir=Workdir(tmp_path), plan=plan, said=said, say=said.append
  )


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


def write_theory(workdir, examples, epochs=(0,)):
  rows = [
    make_row(
      results.THEORY,
      lane_id=LANE.lane_id,
      split=split,
      epoch=epoch,
      examples=examples,
      quantity='radius',
    )
    for split in ('a', 'b')
    for epoch in epochs
  ]
  workdir.append_rows(rows, results.THEORY)


@pytest.mark.parametrize(
  ('limit', 'train', 'missing'),
  [(600, 30_000, []), (1000, 600, []), (20_000, 30_000, [0]), (500, 30_000, [0])],
)
def test_what_was_measured_on_other_images_is_missing(session, limit, train, missing):
  write_theory(session.workdir, 600)
  session.plan.config.theory_limit = limit
  session.plan.task.train = range(train)
  assert sweep_theory.missing(session.plan, session.workdir) == missing
  assert sweep_theory.is_incomplete(session.plan, session.workdir) == bool(missing)


def test_quantities_of_another_number_of_images_give_way(session):
  """Those of epochs stay: nobody can measure them again."""
  workdir, schema = session.workdir, results.THEORY
  write_theory(workdir, 600, epochs=(0, 1, 2))
  results.write_parquet(workdir.table(schema), workdir.read_rows(schema), schema)
  sweep_theory._remove_others(session)
  assert len(workdir.read_rows(schema)) == 6
  assert workdir.table(schema).exists()
  assert session.said == []
  session.plan.config.theory_limit = 20_000
  sweep_theory._remove_others(session)
  assert [row['epoch'] for row in workdir.read_rows(schema)] == [1, 2, 1, 2]
  assert not workdir.table(schema).exists()
  assert session.said == [
    'the theory was measured on 600 images and is measured again on 20,000'
  ]


def test_the_rest_of_a_training_is_followed_on_as_many_images(tmp_path, monkeypatch):
  """The tiny task has 16 training images, of which --theory_limit=24 takes all."""
  config = tiny.sweep_config(tmp_path / 'run', theory_every=1, theory_limit=24)
  workdir = Workdir(config.workdir)
  workdir.path.mkdir()
  workdir.write_identity(config)
  write_theory(workdir, 16, epochs=(1,))
  assert make_plan(config)
  write_theory(workdir, 12, epochs=(2,))
  before = workdir.lines(results.THEORY).read_bytes()
  with pytest.raises(InputError, match='were measured on 12; give') as caught:
    make_plan(config)
  assert str(caught.value) == (
    f'--theory_limit=24 is 16 images, and the epochs so far in {workdir}/theory.jsonl'
    ' were measured on 12; give --theory_limit=12, or name another workdir'
  )
  assert workdir.lines(results.THEORY).read_bytes() == before
  monkeypatch.setattr(checkpoints, 'has_step', lambda folder: True)
  measurable.check_epochs(config, tiny.task())  # no epoch is measured any more


def test_a_training_that_is_over_and_cannot_be_followed_is_told(tmp_path):
  config = tiny.sweep_config(tmp_path / 'run', theory_every=1)
  workdir = Workdir(config.workdir)
  assert list(measurable.describe_epochs(config)) == []  # it is yet to come
  checkpoints.save(workdir.targets, {'x': 0}, {'lanes': []})
  (line,) = measurable.describe_epochs(config)
  assert line.startswith('WARNING: --theory_every=1 measures nothing, because the tar')
  imported = tiny.sweep_config(
    tmp_path / 'new', theory_every=1, target_weights='a.safetensors'
  )
  assert list(measurable.describe_epochs(imported)) == [line]
  plain = tiny.sweep_config(tmp_path / 'run')
  assert list(measurable.describe_epochs(plain)) == []
  write_theory(workdir, 16, epochs=(1,))
  assert list(measurable.describe_epochs(config)) == []
