"""Gradients averaged over views, and those of the target's own activations."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from toy_model_attack import IMAGE, LATENT, make_scenario

from gpz_jax.attacks.model import adaptive, losses, views
from gpz_jax.attacks.model.adaptive import Adaptive
from gpz_jax.attacks.model.sight import Sight, metrics

STILL = Adaptive('taa', 3, scale=(1, 1), ratio=(1, 1), degrees=0, flips=False)
QUIET = Adaptive('paa', 3, sigma=0.0)


def pull(how=None, watch=()):
  """What comes back for four latents of the first target."""
  scenario = make_scenario(lanes=1)
  sight = Sight.of(scenario.model, scenario.engine.resolve(), IMAGE, watch)
  target = jax.tree.map(lambda leaf: leaf[0], scenario.targets)
  latents = jax.random.normal(jax.random.key(3), (4, LATENT))
  pulled = sight.pull(
    target,
    lambda latents: scenario.generator.images(scenario.prior, latents),
    latents,
    jnp.int32(1),
    jax.random.key(4),
    loss=losses.poincare,
    adaptive=how or Adaptive(),
  )
  return pulled, (scenario, target, latents)


@pytest.mark.parametrize('how', [STILL, QUIET])
def test_views_that_change_nothing_give_the_plain_gradient(how):
  found, expected = pull(how)[0], pull()[0]
  for ours, plain in zip(
    jax.tree.leaves(found), jax.tree.leaves(expected), strict=True
  ):
    np.testing.assert_allclose(ours, plain, rtol=1e-5, atol=1e-7)


def test_the_gradient_is_the_mean_over_views():
  how = Adaptive('paa', 5)
  found, (scenario, target, latents) = pull(how)

  def loss(latents):
    images = scenario.generator.images(scenario.prior, latents)
    total = 0.0
    for i in range(5):
      view_key = jax.random.fold_in(jax.random.key(4), i)
      logits = scenario.model.apply(target, how.see(view_key, images))
      total += losses.poincare(logits, jnp.ones(4, int)).sum()
    return total / 5

  np.testing.assert_allclose(found.gradient, jax.grad(loss)(latents), rtol=1e-4)
  np.testing.assert_allclose(found.losses.sum(), loss(latents), rtol=1e-5)


@pytest.mark.parametrize('kind', ['taa', 'paa'])
def test_views_differ_by_key_and_image_and_keep_the_range(kind):
  images = jnp.full((3, 8, 8, 1), 0.5).at[:, 2:5, 3:7].set(0.9)
  how = Adaptive(kind)
  first, second = (how.see(jax.random.key(i), images) for i in range(2))
  assert not np.allclose(first, second)
  assert not np.allclose(first[0], first[1])
  if kind == 'taa':
    assert first.min() >= 0
    assert first.max() <= 0.9001
  else:
    np.testing.assert_allclose((first - images).std(), 0.05, rtol=0.2)


@pytest.mark.parametrize('kind', ['taa', 'paa'])
def test_what_an_objective_draws_is_not_what_a_view_drew(kind):
  given = []

  def objective(at, key):
    given.append(key)
    return jnp.zeros(len(at[0])), ()

  key = jax.random.key(0)
  with jax.disable_jit():
    images = jnp.zeros((4, 6, 6, 1))
    Adaptive(kind, views=1).gradient(objective, (images, ()), key)
  of_views = views.sample_keys(jax.random.fold_in(key, 0), 4)
  data = np.asarray(jax.random.key_data(of_views))
  with jax.disable_jit():
    mine = np.asarray(jax.random.key_data(given[-1]))
  assert not (data == mine).all(axis=-1).any()


def test_a_quarter_turn_by_hand():
  image = jnp.arange(9.0).reshape(3, 3, 1)
  # Row r, column c comes from row c, column 2 - r of the image.
  found = adaptive._turned(image, jnp.float32(np.pi / 2))
  expected = np.array([[2, 5, 8], [1, 4, 7], [0, 3, 6]])
  np.testing.assert_allclose(found[..., 0], expected, atol=1e-5)
  np.testing.assert_allclose(adaptive._turned(image, jnp.float32(0)), image)


def test_norms_are_those_of_the_activations_gradients():
  found, (scenario, target, latents) = pull(watch=('hidden',))
  plain, _ = pull()
  np.testing.assert_array_equal(found.gradient, plain.gradient)
  images = scenario.generator.images(scenario.prior, latents)
  params = target['params']
  x = images.reshape(4, -1)
  hidden = x @ params['hidden']['kernel'] + params['hidden']['bias'][None]

  def loss(hidden):
    logits = jnp.tanh(hidden) @ params['logits']['kernel']
    logits += params['logits']['bias'][None]
    return losses.poincare(logits, jnp.ones(4, int)).sum()

  expected = np.linalg.norm(jax.grad(loss)(hidden), axis=-1)
  np.testing.assert_allclose(found.norms['hidden'], expected, rtol=1e-4)
  kept = metrics(found)
  np.testing.assert_allclose(kept['grad_norm/hidden'], expected.mean(), rtol=1e-4)
  np.testing.assert_allclose(
    kept['gradient_std'], np.abs(np.asarray(found.gradient)).std(), rtol=1e-5
  )


def test_an_adaptive_attacker_watches_the_mean_gradient():
  found = pull(dataclasses.replace(STILL, views=2), watch=('hidden',))[0]
  plain = pull(watch=('hidden',))[0]
  np.testing.assert_allclose(found.norms['hidden'], plain.norms['hidden'], rtol=1e-5)
