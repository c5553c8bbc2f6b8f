"""The training of a prior: it learns, it averages, it goes on bit for bit."""

import dataclasses
import os
import signal

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gpz_jax import interruption
from gpz_jax.generators import PriorConfig, train_prior, training
from gpz_jax.generators.diff_augment import diff_augment
from gpz_jax.generators.prior_step import VALUES, Players
from gpz_jax.study.snapshots import SnapshotStore
from gpz_jax.training import segments
from gpz_jax.training.engine import Engine
from gpz_jax.types import Dataset, InputError

TINY = PriorConfig(
  width=4, critic_width=4, steps=6, batch=8, r1_every=2, round_steps=4, rate=2e-3
)
ENGINE = Engine('map').resolve()


def make_public(count=32):
  """Images whose left half is bright and whose right half is dark, 8 x 8."""
  rng = np.random.default_rng(0)
  images = rng.integers(0, 40, (count, 8, 8, 3))
  images[:, :, :4] += 200
  return Dataset(images.astype(np.uint8), np.zeros(count, np.int32))


def make_players(config=TINY):
  shape = (8, 8, 3)
  return Players(
    config, config.make_generator(shape), config.make_critic(shape), ENGINE
  )


def make_store(folder, seconds=1e9):
  return SnapshotStore(folder, {}, ENGINE, seconds, print)


def kill_self(done, total, values):
  """Sends the signal that a cluster sends, once four steps are done."""
  del total
  if done == 5 and not values:
    os.kill(os.getpid(), signal.SIGTERM)


@pytest.fixture(scope='module')
def whole():
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(segments, 'SEGMENT_SECONDS', 0.0)  # one step each
    return train_prior(make_public(), TINY, engine=ENGINE)


def test_a_training_that_was_killed_goes_on_bit_for_bit(whole, tmp_path, monkeypatch):
  monkeypatch.setattr(segments, 'SEGMENT_SECONDS', 0.0)
  with interruption.handled(), pytest.raises(interruption.Interrupted):
    train_prior(
      make_public(),
      TINY,
      engine=ENGINE,
      snapshots=make_store(tmp_path / 'prior'),
      on_progress=kill_self,
    )
  steps = []
  found = train_prior(
    make_public(),
    TINY,
    engine=ENGINE,
    snapshots=make_store(tmp_path / 'prior'),
    on_progress=lambda done, total, values: steps.append(done),
  )
  assert steps == [6, 6]  # the sixth step, then the end of the round
  assert found[:2] == whole[:2]
  chex.assert_trees_all_equal(found[2:], whole[2:])


def test_a_signal_at_the_last_step_loses_no_round(whole, tmp_path, monkeypatch):
  monkeypatch.setattr(segments, 'SEGMENT_SECONDS', 0.0)

  def kill(done, total, values):
    if done == total and not values:
      os.kill(os.getpid(), signal.SIGTERM)

  def train(on_progress):
    store = make_store(tmp_path / 'prior')
    return train_prior(
      make_public(), TINY, engine=ENGINE, snapshots=store, on_progress=on_progress
    )

  with interruption.handled(), pytest.raises(interruption.Interrupted):
    train(kill)
  found = train(lambda done, total, values: None)
  chex.assert_trees_all_equal(found[2:], whole[2:])


def test_history_has_the_mean_of_every_round(whole):
  history = whole.history
  assert set(history) == set(VALUES)
  assert all(values.shape == (2,) for values in history.values())  # of 4 and 2 steps
  assert all(np.isfinite(values).all() for values in history.values())


@pytest.mark.ci
def test_other_seeds_give_other_priors(whole):
  other = train_prior(
    make_public(), dataclasses.replace(TINY, seed=1), engine=ENGINE
  ).variables
  kernels = [v['params']['out']['conv']['kernel'] for v in (whole.variables, other)]
  assert np.abs(kernels[0] - kernels[1]).max() > 1e-3


def run(config, steps, **changes):
  """The state and the mean losses after some steps."""
  players = make_players(config)
  key = jax.random.key(0)
  state = players.create(key).replace(**changes)
  step = jax.jit(players.step)
  images = jnp.asarray(make_public().image)
  losses = []
  for _ in range(steps):
    state, values = step(state, key, images)
    losses.append({name: float(mean.compute()) for name, mean in values.items()})
  return players, state, losses


def test_a_critic_learns_to_tell_a_still_generator():
  config = dataclasses.replace(
    TINY, rate=0.0, critic_rate=5e-3, augment='none', steps=1_000
  )
  _, _, losses = run(config, 40)
  apart = [values['real_score'] - values['fake_score'] for values in losses]
  assert np.mean(apart[-5:]) > np.mean(apart[:5]) + 0.5
  assert losses[-1]['critic_loss'] < losses[0]['critic_loss'] - 0.3


def test_a_generator_learns_to_please_a_still_critic():
  config = dataclasses.replace(
    TINY, critic_rate=0.0, augment='none', rate=5e-3, steps=1_000
  )
  _, _, losses = run(config, 25)
  assert losses[-1]['generator_loss'] < losses[0]['generator_loss'] - 0.01
  assert losses[-1]['fake_score'] > losses[0]['fake_score']


@pytest.mark.parametrize(
  ('before', 'kept'),
  [
    (1_000, 0.5),  # a batch of 8 is the half-life
    (0, 0.5**20),  # the half-life is a twentieth of the 8 images seen
  ],
)
def test_the_average_moves_as_by_hand(before, kept):
  config = dataclasses.replace(TINY, average_images=8, steps=10_000)
  zeros = make_players(config).create(jax.random.key(0)).average
  zeros = jax.tree.map(jnp.zeros_like, zeros)
  _, state, _ = run(config, 1, step=jnp.int32(before), average=zeros)
  expected = jax.tree.map(lambda leaf: (1 - kept) * leaf, state.params)
  chex.assert_trees_all_close(state.average, expected, rtol=1e-5, atol=1e-7)


def test_r1_is_the_squared_gradient_and_is_paid_in_every_second_step():
  players = make_players(dataclasses.replace(TINY, augment='none', r1=3.0))
  state = players.create(jax.random.key(0))
  real = jnp.asarray(make_public(8).image) / 255.0

  def square(critic, x):
    # by images in [-1, 1], and by JAX's own convolutions
    plain = Players(
      players.config, players.generator, players.critic, Engine(conv='lax').resolve()
    )
    slopes = jax.grad(lambda y: plain._score(critic, (y + 1) / 2).sum())(2 * x - 1)
    return jnp.square(slopes).sum((1, 2, 3)).mean()

  penalty = jax.jit(players._penalty)
  mean, grads = penalty(state, real, jax.random.key(1))
  np.testing.assert_allclose(mean.total, square(state.critic, real), rtol=1e-4)
  # half the weight 3, times 2 because every second step pays
  expected = jax.tree.map(lambda g: 3.0 * g, jax.grad(square)(state.critic, real))
  chex.assert_trees_all_close(grads, expected, rtol=1e-3, atol=1e-5)
  none, zeros = penalty(state.replace(step=jnp.int32(1)), real, jax.random.key(1))
  assert none.count == 0
  assert not any(leaf.any() for leaf in jax.tree.leaves(zeros))


def test_settled_statistics_are_those_of_many_images():
  generator = TINY.make_generator((8, 8, 3))
  params = generator.init(jax.random.key(0))['params']
  stats = training.settle(generator, params, jax.random.key(1))['batch_stats']
  latents = generator.sample(None, jax.random.key(2), 4_096)
  kernel = params['project']['dense']['kernel']
  mapped = (latents @ kernel).reshape(-1, generator.width)
  found = stats['project']['norm']
  # 4096 images each: a variance is known to about 2 percent
  np.testing.assert_allclose(found['var'], mapped.var(0), rtol=0.1)
  np.testing.assert_allclose(found['mean'], mapped.mean(0), atol=0.02)


def test_a_critic_that_is_returned_judges_each_image_alone(whole):
  images = jnp.asarray(make_public().image) / 255.0
  critic, variables = whole.critic, whole.critic_variables
  together = critic.apply(variables, images)
  alone = jnp.concatenate([critic.apply(variables, image[None]) for image in images])
  np.testing.assert_allclose(together, alone, rtol=1e-4, atol=1e-6)
  # In its training, what it says of an image depends on the others of the batch.
  params = {'params': variables['params']}
  one, two = critic.apply(params, images[:8]), critic.apply(params, images[:2])
  assert np.abs(one[:2] - two).max() > 1e-5
  # The four batches of 8 public images have this spread on average.
  spreads = [
    critic.apply(params, images[i : i + 8], method=critic.measure_spread)
    for i in range(0, 32, 8)
  ]
  np.testing.assert_allclose(
    variables['statistics']['spread'], np.mean(spreads), rtol=1e-5
  )


def test_rates_fall_to_nothing_at_the_end():
  config = dataclasses.replace(TINY, decay_from=0.5)
  _, before, _ = run(config, 0, step=jnp.int32(TINY.steps))
  _, after, _ = run(config, 1, step=jnp.int32(TINY.steps))
  chex.assert_trees_all_equal(after.params, before.params)
  chex.assert_trees_all_equal(after.critic, before.critic)


@pytest.mark.parametrize('kind', ['colour', 'translation', 'cutout'])
def test_augmentations_have_gradients_and_keep_the_range_sane(kind):
  images = jax.random.uniform(jax.random.key(0), (16, 16, 16, 3))

  def loss(images):
    return jnp.square(diff_augment(jax.random.key(1), images, kind)).mean()

  seen = diff_augment(jax.random.key(1), images, kind)
  assert seen.shape == images.shape
  assert np.abs(seen - images).max() > 0.1
  # by hand: brightness by 0.25 at most, then contrast and saturation up to 1.5 x 2
  assert seen.min() > -2.5
  assert seen.max() < 3.5
  slopes = jax.grad(loss)(images)
  assert np.isfinite(slopes).all()
  # a black square of at most a quarter, a margin of at most an eighth on two sides
  assert (np.abs(slopes).sum((1, 2, 3)) > 0).all()
  assert (slopes != 0).mean() > 0.7


def test_a_translation_moves_by_whole_pixels():
  images = jnp.zeros((64, 16, 16, 1)).at[:, 8, 8].set(1)
  moved = diff_augment(jax.random.key(0), images, 'translation')
  np.testing.assert_array_equal(moved.sum((1, 2, 3)), np.ones(64))
  places = np.argwhere(np.asarray(moved))[:, 1:3] - 8
  assert places.min() == -2  # an eighth of 16
  assert places.max() == 2


def test_what_cannot_be_trained_is_refused():
  with pytest.raises(InputError, match="kind of prior 'vae' is not known"):
    PriorConfig(kind='vae')
  with pytest.raises(InputError, match="augmentation 'blur' is not known"):
    PriorConfig(augment='colour+blur')
  with pytest.raises(InputError, match='steps=0 of a prior must be at least 1'):
    PriorConfig(steps=0)
  with pytest.raises(InputError, match='not 8x16; give a square image_size'):
    TINY.make_generator((8, 16, 3))
  broken = dataclasses.replace(TINY, critic_rate=1e30)
  with pytest.raises(InputError, match='the prior diverged'):
    train_prior(make_public(), broken, engine=ENGINE)
