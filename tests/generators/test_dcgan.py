"""GMI's generator: its architecture counted by hand, its deconvolution, its layers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gpz_jax.generators import DCGAN, Critic, deconvolutions
from gpz_jax.generators.deconvolutions import deconvolve
from gpz_jax.models import choices
from gpz_jax.types import InputError

SMALL = DCGAN(size=16, width=2, channels=3, latent=5)


@pytest.fixture(scope='module')
def variables():
  return SMALL.init(jax.random.key(0))


def test_parameters_are_as_many_as_by_hand():
  # GMI's own, docs/paper.md#the-generator-of-gmi: a dense layer without bias and its
  # norm, three deconvolutions of 5 x 5 taps with theirs, one to the image with a bias
  dense = 100 * 16 * 512 + 2 * 512
  ups = sum(25 * c * (c // 2) + 2 * (c // 2) for c in (512, 256, 128))
  out = 25 * 64 * 3 + 3
  shapes = jax.eval_shape(DCGAN().init, jax.random.key(0))
  leaves = jax.tree.leaves(shapes['params'])
  assert sum(leaf.size for leaf in leaves) == dense + ups + out == 5_126_723


def test_one_pixel_spreads_as_by_hand():
  # y[2m + i - 2] = x[m] w[i]: the pixel at (1, 1) of 3 x 3 reaches rows 0 to 4
  w = jnp.arange(25.0).reshape(5, 5, 1, 1)
  x = jnp.zeros((1, 3, 3, 1)).at[0, 1, 1, 0].set(1)
  expected = np.zeros((6, 6))
  expected[:5, :5] = np.arange(25).reshape(5, 5)
  np.testing.assert_array_equal(deconvolve(x, w)[0, :, :, 0], expected)


def test_a_deconvolution_is_the_sum_over_all_pixels_and_taps():
  rng = np.random.default_rng(0)
  x, w = rng.normal(size=(2, 3, 4, 2)), rng.normal(size=(5, 5, 2, 3))
  whole = np.zeros((2, 6 + 4, 8 + 4, 3))
  for m, n, i, j in np.ndindex(3, 4, 5, 5):
    whole[:, 2 * m + i, 2 * n + j] += x[:, m, n] @ w[i, j]
  found = deconvolve(jnp.asarray(x, jnp.float32), jnp.asarray(w, jnp.float32))
  np.testing.assert_allclose(found, whole[:, 2:8, 2:10], rtol=1e-4, atol=1e-4)


@pytest.mark.ci
@pytest.mark.parametrize('way', choices.DENSE)
def test_every_way_gives_one_deconvolution(way):
  wide = deconvolutions.NARROW + 1
  x = jax.random.normal(jax.random.key(0), (2, 3, 4, 2))
  w = jax.random.normal(jax.random.key(1), (5, 5, 2, wide))

  def loss(way, x, w):
    with choices.using(way):
      y = deconvolve(x, w)
    return jnp.sum(jnp.sin(y)), y

  # Narrow enough, the same kernel is computed in one piece.
  parts = [w[..., :9], w[..., 9:]]
  expected = jnp.concatenate([loss('gemm', x, part)[1] for part in parts], -1)
  gradients, found = jax.grad(loss, (1, 2), has_aux=True)(way, x, w)
  np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
  for mine, theirs in zip(
    gradients, jax.grad(loss, (1, 2), has_aux=True)('lax', x, w)[0], strict=True
  ):
    np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-4)


def test_a_kernel_of_another_size_is_refused():
  with pytest.raises(AssertionError, match=r"w must be \[5, 5, C, C'\]"):
    deconvolve(jnp.zeros((1, 2, 2, 1)), jnp.zeros((4, 4, 1, 1)))


def test_images_lie_in_the_unit_interval(variables):
  latents = SMALL.sample(variables, jax.random.key(1), 7)
  images = SMALL.images(variables, latents)
  assert latents.shape == (7, *SMALL.latent_shape) == (7, 5)
  assert images.shape == (7, *SMALL.image_shape) == (7, 16, 16, 3)
  assert 0 < images.min() < images.max() < 1


def test_a_search_may_enter_at_every_layer(variables):
  latents = SMALL.sample(variables, jax.random.key(1), 2)
  whole = SMALL.images(variables, latents)
  assert SMALL.list_layers() == ('project', 'up_0', 'out')
  given = {n: SMALL.features(variables, latents, n) for n in SMALL.list_layers()}
  shapes = {name: value.shape[1:] for name, value in given.items()}
  # by hand: 4 x 4 with twice the width, then 8 x 8 with the width
  assert shapes == {'project': (5,), 'up_0': (4, 4, 4), 'out': (8, 8, 2)}
  for name, value in given.items():
    images = SMALL.images_from(variables, latents, name, value)
    np.testing.assert_allclose(images, whole, rtol=1e-6)
  other = SMALL.images_from(variables, latents, 'out', 2 * given['out'] + 1)
  assert np.abs(other - whole).max() > 1e-3


def test_what_cannot_be_made_is_refused(variables):
  with pytest.raises(InputError, match="size of a DCGAN '48' is not known"):
    DCGAN(size=48)
  with pytest.raises(InputError, match='width=0 of a DCGAN must be at least 1'):
    DCGAN(width=0)
  with pytest.raises(InputError, match="layer of a DCGAN 'up_7' is not known"):
    SMALL.features(variables, jnp.zeros((1, 5)), 'up_7')


def test_a_critic_scores_images_and_gives_features():
  critic = Critic(size=16, width=2, outputs=4)
  images = jax.random.uniform(jax.random.key(0), (3, 16, 16, 3))
  variables = critic.init(jax.random.key(1), images)
  scores = critic.apply(variables, images)
  features = critic.apply(variables, images, method='features')
  assert scores.shape == (3, 4)
  assert features.shape == (3, 4)  # twice the width of the one map before
  score = variables['params']['score']
  expected = features @ score['kernel'] + score['bias'][None]
  np.testing.assert_allclose(scores, expected, rtol=1e-5, atol=1e-6)
  with pytest.raises(AssertionError, match=r'images must be \[B, 16, 16, C\]'):
    critic.apply(variables, images[:, :8])


def test_without_its_spread_a_critic_sees_each_image_alone():
  images = jax.random.uniform(jax.random.key(0), (3, 8, 8, 3))
  for spread in (True, False):
    critic = Critic(size=8, width=4, spread=spread)
    variables = critic.init(jax.random.key(1), images)
    apart = critic.apply(variables, images[:1]) - critic.apply(variables, images)[:1]
    assert (float(jnp.abs(apart).max()) > 1e-4) == spread


def test_features_go_on_from_layer_to_layer():
  generator = SMALL
  variables = generator.init(jax.random.key(0))
  latents = generator.sample(variables, jax.random.key(1), 2)
  first, *_, last = generator.list_layers()
  begun = generator.features(variables, latents, first)
  found = generator.features_from(variables, latents, first, begun, last)
  expected = generator.features(variables, latents, last)
  np.testing.assert_array_equal(found, expected)
  with pytest.raises(InputError, match='comes before'):
    generator.features_from(variables, latents, last, found, first)
