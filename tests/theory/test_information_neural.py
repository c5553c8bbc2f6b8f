"""Bounds from networks: on their side of a known truth, on pairs they never saw."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gpz_jax.theory.information import critics, kinds, neural
from gpz_jax.theory.information.critics import BOUNDS
from gpz_jax.theory.information.gaussian import LinearGaussian
from gpz_jax.theory.information.neural import Recipe
from gpz_jax.training import lanes
from gpz_jax.types import InputError

TINY = Recipe(steps=150, batch=64, hidden=32, features=16, learning_rate=5e-3)
SEEDS = 6
NATS = (3.0, 1.0, 0.0)
# Each takes seconds to compile; the others stand for them by default.
NWJ, SMILE = (pytest.param(name, marks=pytest.mark.slow) for name in ('nwj', 'smile'))


@functools.cache
def drawn(dimension, examples=1024):
  """Pairs of 3, 1 and 0 nats (shuffled), SEEDS of each: [L, N, d] twice."""
  xs, zs = [], []
  for nats in NATS:
    for seed in range(SEEDS):
      rng = np.random.default_rng(seed)
      channel = LinearGaussian.of_information(dimension, nats or 3.0, rng)
      x, _, z = channel.sample(examples, rng)
      xs.append(x)
      zs.append(z if nats else rng.permutation(z))
  return np.stack(xs), np.stack(zs)


@functools.cache
def estimated(name, dimension=2):
  """Quantities of all lanes: {nats: SEEDS of them}."""
  found = neural.estimate(jax.random.key(0), *drawn(dimension), name=name, recipe=TINY)
  return {nats: found[i * SEEDS :][:SEEDS] for i, nats in enumerate(NATS)}


def mean_and_error(quantities):
  values = [q.value for q in quantities]
  return np.mean(values), np.std(values, ddof=1) / math.sqrt(len(values))


@pytest.mark.ci
@pytest.mark.parametrize('nats', NATS)
@pytest.mark.parametrize('name', ['mine', NWJ, 'infonce'])
def test_lower_bounds_are_never_above_the_truth(name, nats):
  mean, error = mean_and_error(estimated(name)[nats])
  assert mean < nats + 3 * error


@pytest.mark.parametrize('name', ['mine', NWJ, 'infonce', SMILE])
def test_they_find_most_of_the_information(name):
  found = {
    nats: mean_and_error(of_seeds)[0] for nats, of_seeds in estimated(name).items()
  }
  assert abs(found[0.0]) < 0.1
  assert found[1.0] > 0.5
  assert found[3.0] > 1.2  # more than 1 nat: no sigmoid at the end caps them


@pytest.mark.parametrize('nats', [1.0, 3.0])
def test_vclub_is_above_the_truth(nats):
  mean, error = mean_and_error(estimated('vclub')[nats])
  assert mean > nats - 3 * error
  # With the true q it is dx (exp(2 I / dx) - 1), far above at 3 nats.
  assert mean == pytest.approx(2 * math.expm1(nats), rel=0.5)


def test_vclub_of_shuffled_pairs_is_0():
  mean, _ = mean_and_error(estimated('vclub')[0.0])
  assert mean == pytest.approx(0.0, abs=0.1)


@pytest.mark.parametrize('name', ['mine', NWJ, 'infonce', SMILE, 'vclub'])
def test_quantities_say_what_they_are(name):
  for quantity in estimated(name)[1.0]:
    assert quantity.name == f'information_{name}'
    assert quantity.unit == 'nats'
    assert quantity.low < quantity.value < quantity.high
    top = kinds.ceiling(quantity.name, examples=1024, batch=64)
    assert (f'at most {top:.2f}' in quantity.assumes) == math.isfinite(top)
    assert name != 'infonce' or quantity.value <= math.log(64)


def test_lanes_give_what_they_give_alone():
  x, z = drawn(2)
  alone = neural.estimate(
    jax.random.key(0), x[:1], z[:1], name='infonce', recipe=TINY, strategy='vmap'
  )
  others = estimated('infonce')[3.0]
  assert alone[0].value == pytest.approx(others[0].value, abs=0.02)
  assert len({quantity.value for quantity in others}) == SEEDS


def test_the_second_half_is_not_trained_on():
  x, z = drawn(2)
  half = x.shape[1] // 2
  shuffled = np.concatenate([z[:, :half], z[:, half:][:, ::-1]], axis=1)
  found = neural.estimate(jax.random.key(0), x, shuffled, name='infonce', recipe=TINY)
  assert max(q.value for q in found[:SEEDS]) < 0  # 3 nats, found where it trained
  program = neural._program('infonce', TINY, lanes.resolve('auto'))
  estimated('infonce')
  assert program._cache_size() == 1


def gaussian_scores(x, z, rho):
  """The true log density ratio of pairs of correlation rho: [B, B]."""
  x, z = x[:, None], z[None]
  square = rho**2 * (x**2 + z**2) - 2 * rho * x * z
  return -square / (2 * (1 - rho**2)) - 0.5 * math.log(1 - rho**2)


@pytest.mark.parametrize('name', ['mine', 'nwj', 'smile'])
def test_the_true_ratio_gives_the_truth(name):
  rng = np.random.default_rng(0)
  rho, B = 0.8, 1000
  x = rng.normal(size=B)
  z = rho * x + math.sqrt(1 - rho**2) * rng.normal(size=B)
  scores = jnp.asarray(gaussian_scores(x, z, rho), jnp.float32)
  truth = -0.5 * math.log(1 - rho**2)  # 0.51; the partition function is 1
  found = BOUNDS[name].value(scores, jnp.zeros(()))
  assert float(found) == pytest.approx(truth, abs=0.06)


def test_bounds_of_a_2_by_2_batch_by_hand():
  scores = jnp.array([[2.0, -1.0], [1.0, 0.0]])
  apart = (math.exp(-1) + math.exp(1)) / 2
  value = {
    name: float(bound.value(scores, jnp.log(2.0))) for name, bound in BOUNDS.items()
  }
  assert float(critics.log_mean_exp_apart(scores)) == pytest.approx(math.log(apart))
  assert value['nwj'] == pytest.approx(1 + 1 - apart)
  assert value['mine'] == pytest.approx(1 - math.log(2) - (apart / 2 - 1))
  assert value['smile'] == pytest.approx(1 - math.log(apart))
  assert value['vclub'] == pytest.approx(1 - 0)
  rows = math.log1p(math.exp(-3)) + math.log1p(math.exp(1))
  assert value['infonce'] == pytest.approx(math.log(2) - rows / 2, abs=1e-6)


def test_mine_is_below_donsker_and_varadhan():
  scores = jnp.array([[2.0, -1.0], [1.0, 0.0]])
  exact = float(critics.log_mean_exp_apart(scores))
  of = BOUNDS['mine'].value
  for log_partition in (-1.0, 0.3, 2.0):
    assert float(of(scores, jnp.asarray(log_partition))) < 1 - exact
  assert float(of(scores, jnp.asarray(exact))) == pytest.approx(1 - exact)


def test_mine_s_gradient_is_corrected_by_the_average():
  scores = jnp.array([[2.0, -1.0], [1.0, 0.0]])
  found = jax.grad(BOUNDS['mine'].loss)(scores, jnp.log(4.0))
  # -1/2 on the diagonal; off it exp(score) / 2 over the average 4, by hand
  expected = [[-0.5, math.exp(-1) / 8], [math.exp(1) / 8, -0.5]]
  np.testing.assert_allclose(found, expected, rtol=1e-6)


def filled(critic, value, *example):
  """Variables that are all `value`."""
  shapes = jax.eval_shape(critic.init, jax.random.key(0), *example)
  return jax.tree.map(lambda leaf: jnp.full(leaf.shape, value), shapes)


def test_the_gaussian_critic_s_scores_are_log_densities():
  x, z = jnp.ones((3, 2)), jnp.arange(6.0).reshape(3, 2)
  critic = critics.GaussianCritic(hidden=4, features=1)
  variables = filled(critic, 0.0, x, z)
  variables['params']['Perceptron_0']['Dense_3']['bias'] = jnp.array([1.0, 2.0])
  scores = critic.apply(variables, x, z)
  # means (1, 2), log variances 0: -|z - (1, 2)|^2 / 2, by hand
  np.testing.assert_allclose(scores, [[-1.0, -1.0, -9.0]] * 3, rtol=1e-5)


def test_scores_stay_within_reach():
  x = 1e4 * jnp.ones((3, 2))
  critic = critics.SeparableCritic(hidden=4, features=2)
  scores = critic.apply(filled(critic, 1.0, x, x), x, x)
  np.testing.assert_array_equal(scores, critics.SCORE)


@pytest.mark.parametrize(
  ('x', 'z', 'how', 'message'),
  [
    ((2, 64, 2), (2, 63, 2), {}, 'lanes must be'),
    ((64, 2), (64, 2), {}, 'lanes must be'),
    ((1, 64, 2), (1, 64, 2), {'recipe': Recipe(batch=17)}, '64 examples are too few'),
    ((1, 64, 2), (1, 64, 2), {'name': 'minee'}, r"did you mean 'mine'\?"),
    ((1, 64, 2), (1, 64, 2), {'recipe': Recipe(batch=8), 'strategy': 'no'}, 'strategy'),
  ],
)
def test_what_cannot_be_estimated_is_refused(x, z, how, message):
  with pytest.raises(InputError, match=message):
    neural.estimate(
      jax.random.key(0), jnp.ones(x), jnp.ones(z), **{'name': 'nwj'} | how
    )


@pytest.mark.parametrize('field', ['steps', 'batch', 'hidden', 'features'])
def test_a_recipe_without_work_is_refused(field):
  with pytest.raises(InputError, match=field):
    Recipe(**{field: 0})


@pytest.mark.slow  # trains 18 networks for each estimator
@pytest.mark.parametrize('name', ['mine', 'nwj', 'infonce'])
def test_lower_bounds_hold_at_8_dimensions(name):
  for nats, of_seeds in estimated(name, 8).items():
    mean, error = mean_and_error(of_seeds)
    assert mean < nats + 3 * error
