"""Eq 6 to 8 and App. D of real targets: one split, many lanes, one program."""

from typing import ClassVar

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny import random_variables

from gpz_jax import partition
from gpz_jax.theory import (
  capture_on_host,
  gradient_quantities,
  gradients,
  radius,
  trajectory,
)
from gpz_jax.training import lanes
from gpz_jax.training.engine import Engine
from gpz_jax.types import InputError

SPLITS = ('stem', 'hidden')
SHAPE = (4, 4, 3)
ALPHA, GAMMA, K = 0.3, 0.5, 3


class Small(nn.Module):
  """A target with two splits; its last layer is linear. Counts its traces."""

  num_classes: int = K
  traces: ClassVar[list[int]] = []

  @nn.compact
  def __call__(self, x, *, train=False):
    self.traces.append(1)
    x = nn.tanh(nn.Conv(2, (3, 3), name='stem')(x))
    x = Block(name='hidden')(x)
    return nn.Dense(self.num_classes, name='logits')(x)


class Block(nn.Module):
  """A split that ends in its nonlinearity."""

  @nn.compact
  def __call__(self, x):
    return nn.tanh(nn.Dense(8)(x.reshape(len(x), -1)))


def make_data(number=21, seed=0):
  rng = np.random.default_rng(seed)
  images = rng.integers(0, 256, (number, *SHAPE)).astype(np.uint8)
  return images, (np.arange(number) % K).astype(np.int32)


def make_targets(count=2):
  model = Small()
  return model, random_variables(model, jnp.zeros((1, *SHAPE)), (count,))


def take(targets, lane):
  return lanes.take(targets, lane)


def by_name(quantities):
  named = {quantity.name: quantity for quantity in quantities}
  assert len(named) == len(quantities)
  return named


@pytest.fixture(scope='module')
def problem():
  return (*make_targets(), *make_data())


@pytest.fixture(scope='module')
def measured(problem):
  model, targets, images, labels = problem
  return by_name(
    gradients.measure(
      model,
      take(targets, 1),
      'stem',
      images,
      labels,
      alpha=ALPHA,
      gamma=GAMMA,
      batch_size=8,
      jacobians=10,
    )
  )


def explicit(problem, split, lane=1):
  """Activations [N, d], Jacobians [N, K, d], predictions, by jacrev."""
  model, targets, images, _ = problem
  variables = take(targets, lane)
  x = jnp.asarray(images, jnp.float32) / 255
  sent = partition.edge(model, variables, x, split)

  def cloud(z):
    return partition.cloud(model, variables, z[None], split, image_shape=SHAPE)[0]

  J = np.asarray(jax.jit(jax.vmap(jax.jacrev(cloud)))(sent), np.float64)
  p = np.asarray(jax.nn.softmax(model.apply(variables, x)), np.float64)
  return np.asarray(sent).reshape(len(x), -1), J.reshape(*p.shape, -1), p


def test_measure_agrees_with_the_explicit_jacobian(problem, measured):
  z, J, p = explicit(problem, 'stem')
  label, found = problem[3], measured
  centres = np.stack([z[label == k].mean(0) for k in range(K)])
  spread = z - centres[label]
  T = np.einsum('ikd,id->ik', J, spread)
  onehot = np.eye(K)[label]
  soft = (1 - ALPHA) * onehot + ALPHA / K
  g = np.einsum('ikd,ik->id', J, p - soft)
  t_corr = (T * onehot).sum(1)
  towards = np.linalg.norm(np.einsum('ikd,ik->id', J, onehot), axis=1)
  moved = z - GAMMA * g
  shifted = moved - np.stack([moved[label == k].mean(0) for k in range(K)])[label]
  radius = np.square(spread).sum(1).mean()  # classes are of one size
  expected = {
    't_corr': t_corr.mean(),
    't_corr_positive': (t_corr > 0).mean(),
    'cos_theta': (t_corr / towards / np.linalg.norm(spread, axis=1)).mean(),
    'bracket_one_hot': ((p - onehot) * T).sum(1).mean(),
    'bracket_one_hot_wrong': (p * (1 - onehot) * T).sum(1).mean(),
    'bracket_smooth': ((p - soft) * T).sum(1).mean(),
    'bracket_smooth_correct': ((p - soft) * onehot * T).sum(1).mean(),
    'radius': radius,
    'radius_change_first': -2 * GAMMA * (g * spread).sum(1).mean(),
    'radius_change_second': np.square(shifted).sum(1).mean() - radius,
    'radius_change_measured': np.square(shifted).sum(1).mean() - radius,
    'gradient_norm': np.linalg.norm(g, axis=1).mean(),
    'residual_norm': np.linalg.norm(p - soft, axis=1).mean(),
    'c_a': ALPHA * np.sqrt(1 - 1 / K),
  }
  for name, value in expected.items():
    np.testing.assert_allclose(found[name].value, value, 2e-4, 1e-6, err_msg=name)
  rows = np.linspace(0, len(z) - 1, 10).astype(int)
  sigma = np.linalg.svd(J[rows], compute_uv=False)[:, -1]
  np.testing.assert_allclose(found['sigma_min'].value, sigma.mean(), rtol=1e-3)
  holds = np.linalg.norm(g, axis=1)[rows] >= sigma * expected['c_a']
  assert found['gradient_bound_c_a_holds'].value == holds.mean()


def test_every_quantity_says_what_it_depends_on(measured):
  for quantity in measured.values():
    assert quantity.assumes, quantity.name
    if quantity.name != 'c_a':
      assert quantity.low <= quantity.value <= quantity.high, quantity.name
  assert measured['sigma_min'].assumes == 'all vjps; 10 examples'
  assert 'standard smoothing at alpha=0.3' in measured['bracket_smooth'].assumes
  assert measured['radius'].unit == 'squared activation'


def test_the_bound_holds_and_the_sum_zero_one_is_sharper(measured):
  assert measured['gradient_bound_holds'].value == 1
  assert measured['sigma_min_sum_zero'].value > measured['sigma_min'].value > 0


def test_the_interval_of_a_mean_is_that_of_its_standard_error(problem):
  quantity = gradient_quantities._mean('x', np.array([1.0, 2.0, 3.0, 4.0]), '', '')
  # by hand: variance 5/3, standard error sqrt(5/12)
  np.testing.assert_allclose(quantity.high - 2.5, 1.96 * np.sqrt(5 / 12))
  assert np.isnan(gradient_quantities._mean('x', np.array([1.0]), '', '').low)
  share = gradient_quantities._share('x', np.array([True] * 10), '')
  np.testing.assert_allclose(share.low, 10 / (10 + 1.96**2), rtol=1e-3)  # Wilson's


def test_steps_choose_the_iterative_method(problem, measured):
  model, targets, images, labels = problem
  found = by_name(
    gradients.measure(
      model,
      take(targets, 1),
      'stem',
      images,
      labels,
      alpha=ALPHA,
      batch_size=8,
      jacobians=10,
      steps=2,
    )
  )
  assert found['sigma_min'].assumes.startswith('2 Golub-Kahan steps, an upper bound')
  exact = measured['sigma_min_sum_zero'].value  # 2 = K - 1 steps reach it
  np.testing.assert_allclose(found['sigma_min_sum_zero'].value, exact, rtol=1e-3)


@pytest.fixture(scope='module')
def epochs(problem):
  """Two epochs of two lanes, and how often the model was traced after each."""
  model, targets, images, labels = problem
  options = {'gamma': GAMMA, 'batch_size': 8}
  found, traces = [], []
  once = chex.assert_max_traces(trajectory._examine.__wrapped__, n=1)
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(trajectory, '_examine', jax.jit(once, static_argnums=0))
    for alphas, scale in (([0.0, ALPHA], 1.0), ([0.1, 0.2], 0.5)):
      variables = jax.tree.map(lambda leaf, scale=scale: scale * leaf, targets)
      found.append(
        trajectory.snapshot(
          model, variables, SPLITS, images, labels, alphas=alphas, **options
        )
      )
      traces.append(len(Small.traces))
  return found, traces


def test_one_program_serves_all_epochs_and_alphas(epochs):
  _, (first, second) = epochs
  assert first == second > 0


def test_a_snapshot_is_what_measure_says(problem, measured, epochs):
  first = epochs[0][0]
  assert tuple(first) == SPLITS
  for values in first.values():
    assert {*values} == {*trajectory.NAMES}
    assert {found.shape for found in values.values()} == {(2,)}
    one_hot, smooth = values['bracket_one_hot'], values['bracket_smooth']
    assert one_hot[0] == smooth[0]  # alpha = 0
  model, targets, images, labels = problem
  (sent,) = capture_on_host(model, take(targets, 1), images, ('stem',)).values()
  expected = measured | by_name(radius.measure(sent, labels))
  for name, (_, found) in first['stem'].items():
    np.testing.assert_allclose(found, expected[name].value, rtol=1e-4, err_msg=name)
  assert first['stem']['bracket_one_hot'][1] != first['stem']['bracket_smooth'][1]


def test_behind_the_last_nonlinearity_the_classes_can_only_narrow(epochs):
  # docs/paper.md#class-radius, and by another way than the jvp
  for found in epochs[0]:
    assert (found['hidden']['radius_change_first'] < 0).all()
    np.testing.assert_allclose(found['hidden']['t_corr'], 0, atol=1e-6)


def test_a_snapshot_follows_the_variables(epochs):
  first, second = (found['hidden']['radius'] for found in epochs[0])
  assert (second < first).all()


def test_predicted_labels_are_the_classes(problem):
  model, targets, images, labels = problem
  x = jnp.asarray(images, jnp.float32) / 255
  one = jax.tree.map(lambda leaf: 4 * leaf[:1], targets)
  predicted = np.asarray(model.apply(take(one, 0), x).argmax(-1))
  assert len(np.unique(predicted)) > 1
  assert (predicted != labels).any()
  options = {'alphas': [ALPHA], 'batch_size': 8}
  found = trajectory.snapshot(
    model, one, ['hidden'], images, labels, labels_from='predicted', **options
  )
  options['engine'] = Engine(strategy='vmap')
  given = trajectory.snapshot(model, one, ['hidden'], images, predicted, **options)
  for name, values in found['hidden'].items():
    np.testing.assert_allclose(values, given['hidden'][name], rtol=1e-5)


@pytest.mark.parametrize(
  ('changed', 'message'),
  [
    ({'splits': ['stem', 'nothing']}, "split 'nothing' is not in the model"),
    ({'splits': [partition.PREDICTION]}, 'leave no cloud'),
    ({'splits': []}, 'leave no cloud'),
    ({'labels': np.zeros(3, np.int32)}, 'must be uint8'),
    ({'images': np.zeros((21, *SHAPE), np.float32)}, 'must be uint8'),
    ({'labels': np.full(21, 3, np.int32)}, 'labels from 3 to 3 are not those'),
    ({'alphas': [0.0]}, 'one for each of 2 targets'),
    ({'convention': 'standart'}, "did you mean 'standard'"),
    ({'labels_from': 'guess'}, "labels_from 'guess' is not known"),
  ],
)
def test_what_cannot_be_used_is_named(problem, changed, message):
  model, targets, images, labels = problem
  arguments = {
    'splits': list(SPLITS),
    'images': images,
    'labels': labels,
    'alphas': [0.0, ALPHA],
    'gamma': GAMMA,
    'batch_size': 8,
    **changed,
  }
  with pytest.raises(InputError, match=message):
    trajectory.snapshot(model, targets, **arguments)


def test_a_measure_needs_a_jacobian(problem):
  model, targets, images, labels = problem
  with pytest.raises(InputError, match='jacobians=0 is not allowed'):
    gradients.measure(
      model, take(targets, 0), 'stem', images, labels, alpha=ALPHA, jacobians=0
    )
