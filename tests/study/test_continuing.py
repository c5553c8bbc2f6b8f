"""A study goes on only with the targets and images that its rows are of."""

import json

import jax.numpy as jnp
import numpy as np
import pytest
import tiny
from made_up import make_row

from gpz_jax import sweep
from gpz_jax.study import continuing
from gpz_jax.study.workdir import Workdir
from gpz_jax.targets import Targets
from gpz_jax.training.state import Best
from gpz_jax.types import Dataset, InputError, Lane, Task, Treatment


def lose_a_row(workdir):
  """As a kill between two splits leaves it."""
  path = workdir.lines()
  path.write_text(''.join(path.read_text().splitlines(keepends=True)[:-1]))


@pytest.fixture(scope='module')
def half(tmp_path_factory):
  """A sweep of two splits, of which one has its row."""
  config = tiny.sweep_config(
    tmp_path_factory.mktemp('half') / 'run', splits=('conv_1', 'conv_2')
  )
  sweep.run(config, quiet=True)
  lose_a_row(Workdir(config.workdir))
  return config


def test_rows_of_another_target_are_refused(half, monkeypatch):
  before = Workdir(half.workdir).lines().read_bytes()
  measure = continuing.check_accuracy

  def check(workdir, whose, was, now, count):  # the weights were replaced in between
    measure(workdir, whose, was, now + 0.5 if now < 0.5 else now - 0.5, count)

  monkeypatch.setattr(continuing, 'check_accuracy', check)
  with pytest.raises(InputError, match=r'the target alpha 0.*name another workdir'):
    sweep.run(half, quiet=True)
  assert Workdir(half.workdir).lines().read_bytes() == before


def test_other_images_are_refused(half, monkeypatch):
  measure = continuing.check_guesses

  def check(workdir, was, now):
    more = {rung: {'mse': 1.1 * scores['mse']} for rung, scores in now.items()}
    measure(workdir, was, more)

  monkeypatch.setattr(continuing, 'check_guesses', check)
  with pytest.raises(InputError, match='was begun with other images: the guess'):
    sweep.run(half, quiet=True)


def test_a_target_of_the_same_accuracy_is_another_one_if_its_variables_are(half):
  workdir = Workdir(half.workdir)
  before = continuing.read_targets(workdir)
  (lane,) = half.list_lanes()
  assert before.keys() == {lane.lane_id}
  workdir.attacked.write_text(json.dumps({lane.lane_id: 'another'}))
  with pytest.raises(InputError, match='holds rows of another target alpha 0 seed 0'):
    sweep.run(half, quiet=True)
  workdir.attacked.write_text(json.dumps(before))


def test_targets_without_rows_may_be_replaced(tmp_path):
  workdir = Workdir(tmp_path)
  lanes = [Lane('cnn', 'x', Treatment(alpha), 0) for alpha in (0.0, 0.3)]
  first, second = (lane.lane_id for lane in lanes)
  continuing.keep_targets(workdir, lanes, {first: '1', second: '1'})
  continuing.keep_targets(workdir, lanes, {first: '1', second: '2'})
  workdir.append_rows([make_row(lane_id=first, status='done')])
  continuing.keep_targets(workdir, lanes, {first: '1', second: '3'})
  assert continuing.read_targets(workdir) == {first: '1', second: '3'}
  with pytest.raises(InputError, match='another target alpha 0 seed 0'):
    continuing.keep_targets(workdir, lanes, {first: '2', second: '3'})
  workdir.attacked.unlink()  # of an earlier version
  continuing.keep_targets(workdir, lanes, {first: '2', second: '3'})


def test_the_digest_of_targets_tells_variables_and_not_what_others_carry():
  lanes = [Lane('cnn', 'x', Treatment(), seed) for seed in (0, 1)]

  def digest(w, lanes=lanes, **more):
    carried = {'skips': {'factors': np.ones((len(w), 4, 1))}} if more else {}
    variables = {'params': {'w': w, **more}, 'batch_stats': {'m': 0 * w}, **carried}
    best = Best.create(jnp.zeros(len(w)), 0, variables)
    return continuing.digest_targets(lanes, Targets(best, jnp.ones(len(w), bool)))

  w = np.arange(6.0).reshape(2, 3)
  both = digest(w)
  assert len(set(both.values())) == 2
  assert digest(w[1:], lanes[1:]) == {lanes[1].lane_id: both[lanes[1].lane_id]}
  assert digest(w, skip_logits=w) == both
  assert digest(w.astype(np.float32)) != both


def test_a_sweep_that_is_as_it_was_goes_on(half):
  found = sweep.run(half, quiet=True)
  assert [row['split'] for row in found.rows] == ['conv_1', 'conv_2']


def test_an_image_on_the_border_is_no_other_target(tmp_path):
  continuing.check_accuracy(tmp_path, 'it', 0.5, 0.525, 40)
  with pytest.raises(InputError, match=r'0\.500, and now it has 0\.550'):
    continuing.check_accuracy(tmp_path, 'it', 0.5, 0.55, 40)
  continuing.check_accuracy(tmp_path, 'it', 0.5, 0.509, 10_000)
  with pytest.raises(InputError):
    continuing.check_accuracy(tmp_path, 'it', 0.5, 0.511, 10_000)


def test_the_digest_of_data_tells_images_labels_and_their_order():
  rng = np.random.default_rng(0)
  image = rng.integers(0, 256, (6, 4, 4, 3)).astype(np.uint8)
  label = np.arange(6) % 2

  def digest(image, label):
    own = Dataset(image, label)
    return continuing.digest_data(Task('a', 'a', 2, ('x', 'y'), own, own, own, own))

  first = digest(image, label)
  assert digest(image.copy(), label.copy()) == first
  for other in (
    digest(image, 1 - label),
    digest(image[::-1], label[::-1]),
    digest(image[:5], label[:5]),
  ):
    assert other != first
    with pytest.raises(InputError, match='the targets of it were trained on other'):
      continuing.check_data('it', first, other)
  continuing.check_data('it', first, first)
  continuing.check_data('it', None, first)  # of a version that kept none


def test_targets_are_lent_to_a_study_that_chooses_by_other_images():
  label = np.arange(2)
  own, other = (Dataset(np.full((2, 4, 4, 3), i, np.uint8), label) for i in range(2))

  def digest(train, val):
    return continuing.digest_data(Task('a', 'a', 2, ('x', 'y'), train, val, own, own))

  lent = digest(own, own)
  continuing.check_trained_on('it', lent, digest(own, other))
  with pytest.raises(InputError, match='the targets of it were trained on other'):
    continuing.check_trained_on('it', lent, digest(other, own))
  continuing.check_trained_on('it', None, lent)  # of a version that kept none
