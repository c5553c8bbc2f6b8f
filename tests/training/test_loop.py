"""The trainer's parts that the attack's and the targets' tests do not reach."""

import os
import subprocess
import sys

import chex
import compilations
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys

from gpz_jax.data import epoch_order
from gpz_jax.training import segments, snapshots
from gpz_jax.training.epoch import Epoch


def test_lanes_start_from_what_the_model_draws_by_itself():
  keys = toys.make_lanes()['key']
  states = toys.make_trainer().create(keys)
  for i, key in enumerate(keys):
    expected = toys.MODEL.init(jax.random.fold_in(key, 0), jnp.zeros((1, 3)))['params']
    found = jax.tree.map(lambda leaf, i=i: leaf[i], states.train.params)
    chex.assert_trees_all_close(found, expected, rtol=1e-5, atol=1e-6)


def test_where_segments_end_does_not_change_the_result(monkeypatch):
  def fit(seconds):
    monkeypatch.setattr(segments, 'SEGMENT_SECONDS', seconds)
    reports = []
    states, history = toys.fit(
      toys.make_trainer(),
      on_progress=lambda done, total, values: reports.append((done, total)),
    )
    assert reports[-1] == (16, 16)  # 4 epochs of ceil(30 / 8) steps
    return states, history, len(reports)

  whole, history, few = fit(1e6)
  pieces, _, many = fit(0.0)
  assert many > few
  chex.assert_trees_all_equal(whole, pieces)
  assert (history['mse'][-1] < history['mse'][0]).all()


def test_the_best_epoch_is_the_one_with_the_lowest_held_out_value():
  # so large a learning rate makes it jump about
  states, history = toys.fit(toys.make_trainer(learning_rate=3.0))
  best = history['mse'].argmin(axis=0)
  np.testing.assert_array_equal(states.best.epoch, best + 1)
  np.testing.assert_array_equal(states.best.value, history['mse'].min(axis=0))


def test_one_trace_serves_all_epochs_and_segments(monkeypatch):
  monkeypatch.setattr(segments, 'SEGMENT_SECONDS', 0.0)
  once = chex.assert_max_traces(Epoch.segment, n=1)
  monkeypatch.setattr(Epoch, 'segment', once)
  trainer = toys.make_trainer()
  with compilations.counted() as compiled:
    toys.fit(trainer)
  assert trainer.traces == 1
  names = ('jit(segment)', 'jit(evaluate)', 'jit(end_epoch)')
  assert [compiled[name] for name in names] == [1, 1, 1]


ON_TWO_DEVICES = """
import chex, compilations, jax, numpy as np, toys
from gpz_jax.training import segments
from gpz_jax.training.engine import Engine

segments.SEGMENT_SECONDS = 0.0
given = np.random.default_rng(0).normal(size=(3, toys.EXAMPLES)).astype(np.float32)

def loss(variables, lane, shared, batch, info):
  kernel = variables['params']['line']['kernel']
  return (lane['train'][batch.index].mean() - kernel.sum()) ** 2, {}

def fit(devices, rows):
  objective = toys.make_objective(loss=loss)
  trainer = toys.make_trainer(Engine('map', devices=devices), objective)
  lanes = toys.make_lanes((1.0,) * 3) | {'train': rows}
  shared = toys.make_shared() | {'train': jax.numpy.zeros(toys.EXAMPLES)}
  return trainer.fit(lanes, shared, num_examples=toys.EXAMPLES, order_seed=0)

alone = fit(1, jax.device_put(given))
for rows in (jax.device_put(given), given):  # the latter are streamed
  with compilations.counted() as compiled:
    chex.assert_trees_all_equal(fit(2, rows), alone)
  print(*(compiled[f'jit({name})'] for name in ('segment', 'evaluate', 'end_epoch')))
"""


@pytest.mark.ci
def test_lanes_over_devices_are_compiled_once():
  found = subprocess.run(
    [sys.executable, '-c', ON_TWO_DEVICES],
    env=os.environ
    | {
      'XLA_FLAGS': f'{os.environ.get("XLA_FLAGS", "")} '
      '--xla_force_host_platform_device_count=2',
      'PYTHONPATH': f'tests{os.pathsep}.',
    },
    capture_output=True,
    text=True,
    check=False,
  )
  assert found.returncode == 0, found.stderr[-2000:]
  assert found.stdout.split() == ['1'] * 6


def test_history_goes_into_a_snapshot_and_comes_back():
  epochs = [{'mse': np.array([1.0, 2.0])}, {'mse': np.array([3.0, 4.0])}]
  history = snapshots.join(epochs)
  chex.assert_trees_all_equal(history, {'mse': np.array([[1.0, 2.0], [3.0, 4.0]])})
  chex.assert_trees_all_equal(snapshots.separate(history, 2), epochs)
  assert snapshots.join([]) == {}


def test_the_loss_of_an_epoch_is_the_mean_over_its_examples():
  # nothing moves, so by hand: the mean over all 30 examples of the first line's error
  states, history = toys.fit(toys.make_trainer(learning_rate=0.0, epochs=2))
  for lane in range(2):
    params = jax.tree.map(lambda leaf, lane=lane: leaf[lane], states.train.params)
    error = toys.squared_errors(params, toys.make_shared(), np.arange(30)).mean()
    np.testing.assert_allclose(history['loss'][:, lane], error, rtol=1e-5)
    np.testing.assert_allclose(history['mse'][:, lane], error, rtol=1e-5)


@pytest.mark.parametrize('make', [jnp.asarray, np.asarray])
def test_rows_are_renewed_before_each_epoch_but_the_first(make):
  def loss(variables, lane, shared, batch, info):
    error, stats = toys.loss(variables, lane, shared, batch, info)
    return error * 0 + lane['train'][batch.index].mean(), stats

  def rows(epoch):
    return make(np.full((2, toys.EXAMPLES), epoch, np.float32))

  trainer = toys.make_trainer(objective=toys.make_objective(loss=loss))
  lanes = toys.make_lanes() | {'train': rows(7)}
  shared = toys.make_shared() | {'train': np.zeros(toys.EXAMPLES)}
  sizes = {'num_examples': toys.EXAMPLES, 'order_seed': 0}
  _, history = trainer.fit(lanes, shared, renew=rows, **sizes)
  np.testing.assert_array_equal(history['loss'].T, [[7, 1, 2, 3]] * 2)
  np.testing.assert_array_equal(lanes['train'], rows(7))  # the caller's own
  _, history = trainer.fit(lanes, shared, **sizes)
  np.testing.assert_array_equal(history['loss'], 7)
  assert trainer.traces == 1


def test_progress_is_the_share_done_when_the_epoch_ends():
  def loss(variables, lane, shared, batch, info):
    error, stats = toys.loss(variables, lane, shared, batch, info)
    return error * 0 + info.progress, stats

  _, history = toys.fit(toys.make_trainer(objective=toys.make_objective(loss=loss)))
  expected = np.repeat([[0.25], [0.5], [0.75], [1.0]], 2, axis=1)
  np.testing.assert_allclose(history['loss'], expected)


def test_an_epoch_that_is_not_eligible_is_not_chosen():
  objective = toys.make_objective(eligible=lambda lane, progress: progress < 0.9)
  trainer = toys.make_trainer(objective=objective, learning_rate=3.0)
  states, history = toys.fit(trainer)
  assert (history['mse'].argmin(axis=0) == 3).all()  # the last epoch, which may not be
  early = history['mse'][:3]
  np.testing.assert_array_equal(states.best.epoch, early.argmin(axis=0) + 1)
  np.testing.assert_array_equal(states.best.value, early.min(axis=0))


def test_a_plateau_lowers_the_learning_rate_of_what_follows():
  after = []
  toys.fit(
    # no value is ever an improvement, so it fires after the first epoch
    toys.make_trainer(plateau_patience=0, plateau_threshold=1.0, plateau_factor=1e-30),
    each_epoch=lambda epoch, states: after.append(jax.device_get(states.train.params)),
  )
  start = jax.device_get(toys.make_trainer().create(toys.make_lanes()['key']))
  assert not np.allclose(
    after[0]['line']['kernel'], start.train.params['line']['kernel']
  )
  chex.assert_trees_all_equal(*after)


def test_every_epoch_takes_the_examples_in_an_order_of_its_own():
  def loss(variables, lane, shared, batch, info):
    error, stats = toys.loss(variables, lane, shared, batch, info)
    return error * 0 + batch.index[0], stats

  trainer = toys.make_trainer(objective=toys.make_objective(loss=loss))
  _, history = toys.fit(trainer)
  expected = []
  for epoch in range(toys.EPOCHS):
    order, masks = epoch_order(0, epoch, toys.EXAMPLES, toys.BATCH)
    expected.append((order[:, 0] * masks.sum(axis=1)).sum() / toys.EXAMPLES)
  np.testing.assert_allclose(history['loss'][:, 0], expected, rtol=1e-6)
  assert len(set(expected)) == toys.EPOCHS


@pytest.mark.parametrize(
  ('lanes', 'shared', 'message'),
  [
    ({'until': jnp.ones(3)}, {}, "lanes['until'] must have as many lanes"),
    (
      {'train': jnp.ones((2, 29))},
      {},
      "lanes['train'] must be [L, N, ...] with N = 30",
    ),
    ({}, {'train': jnp.ones(29)}, "shared['train'] must be [N, ...] with N = 30"),
    ({}, {'held_out': jnp.ones(29)}, "shared['held_out'] must be [N, ...] with N = 30"),
  ],
)
def test_arrays_that_do_not_fit_are_named(lanes, shared, message):
  with pytest.raises(AssertionError) as caught:
    toys.make_trainer().fit(
      toys.make_lanes() | lanes,
      toys.make_shared() | shared,
      num_examples=30,
      order_seed=0,
    )
  assert message in str(caught.value)
