"""A training that is interrupted anywhere, and often, ends as if it was not."""

import dataclasses
import os
import random
import signal

import numpy as np
import pytest
import toys
from toys import EPOCHS, FOREVER, STEPS

from gpz_jax import checkpoints, interruption
from gpz_jax.study.snapshots import SnapshotStore
from gpz_jax.training import lanes as lanes_lib
from gpz_jax.training import loop, segments
from gpz_jax.training.engine import Engine


@pytest.fixture(autouse=True)
def short_segments(monkeypatch):
  """One step each."""
  monkeypatch.setattr(segments, 'SEGMENT_SECONDS', 0.0)


@pytest.fixture(scope='module', params=['map', 'vmap'])
def trainer(request):
  return toys.make_trainer(Engine(request.param))


def fit(trainer, until=(FOREVER,) * 3, **options):
  return toys.fit(trainer, until, **options)


def make_snapshots(folder, trainer, said=None, seconds=1e9, **identity):
  say = (said if said is not None else []).append
  return SnapshotStore(folder / 'training', identity, trainer.engine, seconds, say)


def assert_equal(found, expected):
  assert checkpoints.checksums(found) == checkpoints.checksums(expected)


def fit_in_pieces(trainer, folder, moments, **options):
  """Trains with a signal after each of `moments` segments; the result, and how many."""
  count = 0
  while True:
    left = next(moments, None)

    def on_progress(done, total, values, left=left):
      nonlocal seen
      seen += not values  # a segment, and not the end of an epoch
      if seen == left:
        os.kill(os.getpid(), signal.SIGTERM)

    seen = 0
    try:
      with interruption.handled():
        snapshots = make_snapshots(folder, trainer)
        return fit(
          trainer, on_progress=on_progress, snapshots=snapshots, **options
        ), count
    except interruption.Interrupted:
      count += 1


def test_interrupted_after_every_single_step(trainer, tmp_path):
  moments = iter([1] * 100)
  found, count = fit_in_pieces(trainer, tmp_path, moments)
  assert count == EPOCHS * STEPS  # after the last one too: its epoch was not evaluated
  assert_equal(found, fit(trainer))


def test_an_evaluation_saves_nothing_that_is_saved_already(trainer, tmp_path):
  saved = []

  class Eager(SnapshotStore):
    def is_due(self):
      return True

    def save(self, snapshot):
      saved.append((snapshot.epoch, snapshot.step))

  fit(trainer, snapshots=Eager(tmp_path / 'training', {}, trainer.engine, 0, print))
  assert saved == [(e, s + 1) for e in range(EPOCHS) for s in range(STEPS)]


def test_interrupted_while_rows_are_renewed(trainer, tmp_path, monkeypatch):
  monkeypatch.setattr(toys, 'make_lanes', with_rows(toys.make_lanes, 3, toys.EXAMPLES))
  monkeypatch.setattr(toys, 'make_shared', with_rows(toys.make_shared, toys.EXAMPLES))
  renewed = []

  def renew(epoch):
    renewed.append(epoch)
    if renewed.count(epoch) == 1:
      os.kill(os.getpid(), signal.SIGTERM)
      interruption.check()
    return np.full((3, toys.EXAMPLES), epoch, np.float32)

  found, count = fit_in_pieces(trainer, tmp_path, iter(()), renew=renew)
  assert (renewed, count) == ([1, 1, 2, 2, 3, 3], EPOCHS - 1)  # no epoch is lost
  assert_equal(found, fit(trainer))  # as the loss does not read the rows


def with_rows(make, *shape):
  return lambda *args: make(*args) | {'train': np.zeros(shape, np.float32)}


def test_interrupted_within_every_evaluation(trainer, tmp_path, monkeypatch):
  expected = fit(trainer)
  run, count = trainer.evaluator.run, 0

  def signalled(variables, lanes, shared, between):
    nonlocal count
    pieces = 0

    def then():
      nonlocal pieces
      pieces += 1
      if pieces == 2 and count % 2:
        os.kill(os.getpid(), signal.SIGTERM)
      between()

    count += 1  # every other one: each epoch's first, as the second follows a resume
    return run(variables, lanes, shared, then)

  monkeypatch.setattr(trainer.evaluator, 'run', signalled)
  found, interruptions = fit_in_pieces(trainer, tmp_path, iter(()))
  assert (interruptions, count) == (EPOCHS, 2 * EPOCHS)
  assert_equal(found, expected)


def test_interrupted_at_random_with_a_lane_that_diverges(trainer, tmp_path):
  rng = random.Random(0)
  moments = iter(lambda: rng.randint(1, 6), None)
  until = (
    FOREVER,
    0.6,
    FOREVER,
  )  # the second lane's loss is NaN from the third epoch on
  found, count = fit_in_pieces(trainer, tmp_path, moments, until=until)
  assert count >= 3
  assert_equal(found, fit(trainer, until=until))


def test_a_lane_that_diverges_leaves_its_siblings_as_they_were(trainer):
  (states, history), (healthy, _) = fit(trainer, (FOREVER, 0.6, FOREVER)), fit(trainer)
  np.testing.assert_array_equal(states.train.is_finite, [True, False, True])
  np.testing.assert_array_equal(states.train.step, [16, 8, 16])
  assert states.best.epoch[1] in (1, 2)  # of what was finite
  assert np.isnan(history['loss'][2:, 1]).all()
  assert np.isfinite(history['mse']).all()
  for lane in (0, 2):
    assert_equal(lanes_lib.take(states, lane), lanes_lib.take(healthy, lane))


def test_a_lost_process_costs_what_came_after_the_last_snapshot(trainer, tmp_path):
  class LostError(Exception):
    pass

  def on_progress(done, total, values):
    if done == 7:
      raise LostError

  with pytest.raises(LostError):
    fit(
      trainer,
      on_progress=on_progress,
      snapshots=make_snapshots(tmp_path, trainer, seconds=0.0),
    )
  said, steps = [], []
  found = fit(
    trainer,
    on_progress=lambda done, total, values: steps.append(done),
    snapshots=make_snapshots(tmp_path, trainer, said),
  )
  assert 1 < steps[0] <= 7
  assert 'goes on after epoch' in said[0]
  assert_equal(found, fit(trainer))


def test_other_conditions_are_said_and_kept_in_mind(trainer, tmp_path):
  fit_once(trainer, tmp_path)
  engine = dataclasses.replace(trainer.engine, conv='lax')
  other = loop.Trainer(trainer.objective, trainer.recipe, engine)
  said = []
  snapshots = make_snapshots(tmp_path, other, said)
  fit(other, snapshots=snapshots)
  assert snapshots.changed == f'conv {trainer.engine.conv}, now lax'
  assert snapshots.changed in said[0]


def test_a_snapshot_of_another_training_is_not_taken(trainer, tmp_path):
  fit_once(trainer, tmp_path, lanes=['a'])
  said = []
  found = fit(trainer, snapshots=make_snapshots(tmp_path, trainer, said, lanes=['b']))
  assert said == ['training: the snapshot is of another training; it begins again']
  assert_equal(found, fit(trainer))


def fit_once(trainer, folder, **identity):
  """Trains until the second segment and leaves a snapshot."""

  def on_progress(done, total, values):
    if done == 2:
      os.kill(os.getpid(), signal.SIGTERM)

  with interruption.handled(), pytest.raises(interruption.Interrupted):
    fit(
      trainer,
      on_progress=on_progress,
      snapshots=make_snapshots(folder, trainer, **identity),
    )
