"""One step: what it draws, what it counts, and what freezes a lane."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from gpz_jax.training.state import TrainState
from gpz_jax.training.step import Batch, train_step

KEY = jax.random.key(7)


def make_state():
  params = {'w': jnp.zeros(())}
  tx = optax.identity()
  state = TrainState(
    jnp.zeros((), jnp.int32), params, {}, tx.init(params), jnp.ones((), bool)
  )
  return state, tx


def take_steps(loss, batches, learning_rate=1.0):
  """The state and the loss after each of the batches."""
  state, tx = make_state()
  found = []
  for index, mask in batches:
    batch = Batch(jnp.array(index, jnp.int32), jnp.array(mask, jnp.float32))
    state, mean = train_step(
      loss,
      tx,
      state,
      {'key': KEY},
      {},
      batch,
      jnp.float32(learning_rate),
      jnp.float32(1),
    )
    found.append((state, mean))
  return found


FULL = ([0, 1], [1, 1])


def test_every_step_draws_from_a_key_of_its_own():
  def loss(variables, lane, shared, batch, info):
    # the gradient is the draw, and with learning rate 1 so is the step
    return -variables['params']['w'] * jax.random.uniform(info.key), {}

  steps = take_steps(loss, [FULL] * 3)
  found = np.diff([0.0, *(float(state.params['w']) for state, _ in steps)])
  # by the rule of the loop: step s draws from fold_in(key, 1 + s), parameters from 0
  keys = [jax.random.fold_in(KEY, 1 + step) for step in range(3)]
  np.testing.assert_allclose(
    found, [jax.random.uniform(key) for key in keys], rtol=1e-5
  )
  assert len(set(found)) == 3


def test_a_step_goes_against_the_gradient_by_the_learning_rate():
  def loss(variables, lane, shared, batch, info):
    return 3 * variables['params']['w'], {}

  ((state, _),) = take_steps(loss, [FULL], learning_rate=0.1)
  np.testing.assert_allclose(state.params['w'], -0.3, rtol=1e-6)
  assert state.step == 1


def test_a_loss_weighs_as_many_examples_as_count():
  def loss(variables, lane, shared, batch, info):
    return 5.0 + variables['params']['w'], {}

  ((_, mean),) = take_steps(loss, [([0, 1, 0], [1, 1, 0])])
  assert (float(mean.total), float(mean.count)) == (10.0, 2.0)


@pytest.mark.parametrize('where', ['loss', 'gradient'])
def test_a_lane_that_froze_never_thaws(where):
  """The second batch is not finite; the ones after it are, and change nothing."""

  def loss(variables, lane, shared, batch, info):
    w = variables['params']['w']
    is_bad = batch.index[0] == 1
    if where == 'loss':
      return jnp.where(is_bad, jnp.inf, 1.0) - w, {}
    return jnp.sqrt(jnp.where(is_bad, 0.0, 1.0) + w**2 * 0) - w, {}

  good, bad = ([0, 0], [1, 1]), ([1, 1], [1, 1])
  steps = take_steps(loss, [good, bad, good, good])
  assert [bool(state.is_finite) for state, _ in steps] == [True, False, False, False]
  assert [int(state.step) for state, _ in steps] == [1, 1, 1, 1]
  for state, _ in steps[1:]:
    chex.assert_trees_all_equal(state.params, steps[0][0].params)


def test_a_batch_that_does_not_fit_is_named():
  with pytest.raises(AssertionError, match=r'batch\.index and batch\.mask'):
    take_steps(lambda *_: None, [([0, 1], [1])])
