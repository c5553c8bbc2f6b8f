import jax
import jax.numpy as jnp
import numpy as np

from gpz_jax.attacks.model import pull
from gpz_jax.attacks.model.adaptive import Adaptive

BASIS = np.random.default_rng(0).normal(size=(3, 48)).astype(np.float32)


def make(latents):
  return (latents @ BASIS).reshape(-1, 4, 4, 3)


def identity(images, key):
  """A loss and two logits of each image."""
  del key
  sums = images.sum(axis=(1, 2))
  return jnp.square(sums[:, 0]), sums[:, :2]


def prior(images):
  return jnp.sin(images).sum(axis=(1, 2, 3))


def call(latents, adaptive, seed=0, **options):
  return pull.pull(
    make,
    latents,
    jnp.int32(1),
    jax.random.key(seed),
    prepare=lambda images: 2 * images,
    identity=identity,
    adaptive=adaptive,
    **options,
  )


def test_it_is_the_gradient_of_the_weighted_sum():
  latents = jnp.array([[0.1, 0.2, -0.3], [0.5, 0.0, 0.1]])

  def total(latents):
    images = make(latents)
    return (5 * identity(2 * images, None)[0] + prior(images)).sum()

  gradient, metrics = call(latents, Adaptive(), weight=5.0, prior=prior)
  np.testing.assert_allclose(gradient, jax.grad(total)(latents), rtol=1e-4)
  np.testing.assert_allclose(metrics['loss'], total(latents) / 2, rtol=1e-5)
  logits = identity(2 * make(latents), None)[1]
  np.testing.assert_allclose(
    metrics['gradient_mean'], np.abs(gradient).mean(), rtol=1e-4
  )
  slope = jax.grad(lambda images: identity(images, None)[0].sum())(2 * make(latents))
  np.testing.assert_allclose(
    metrics['target_gradient'], np.abs(slope).mean(), rtol=1e-4
  )
  sure = jax.nn.softmax(logits)[:, 1].mean()
  np.testing.assert_allclose(metrics['confidence'], sure, rtol=1e-5)


def test_the_prior_sees_no_views():
  latents = jnp.array([[0.1, 0.2, -0.3]])
  noisy = Adaptive('paa', views=3, sigma=0.5)
  alone, _ = call(latents, noisy)
  both, _ = call(latents, noisy, prior=prior)
  of_prior = jax.grad(lambda z: prior(make(z)).sum())(latents)
  np.testing.assert_allclose(both - alone, of_prior, rtol=1e-3, atol=1e-3)
  assert not np.allclose(alone, call(latents, Adaptive())[0])
  assert not np.allclose(alone, call(latents, noisy, seed=1)[0])
