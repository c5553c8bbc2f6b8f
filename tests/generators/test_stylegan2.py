"""StyleGAN2 as a generator: shapes, truncation, noise, features in and out."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gpz_jax.generators import StyleGAN2, stylegan2, stylegan2_filters
from gpz_jax.generators.stylegan2_mapping import truncate
from gpz_jax.models import choices
from gpz_jax.types import InputError

TINY = functools.partial(
  StyleGAN2,
  resolution=16,
  z_dim=6,
  w_dim=5,
  mapping_layers=2,
  channel_base=64,
  channel_max=8,
)


def scattered(generator):
  """Variables of which none is at a constant, as biases and strengths start."""
  shapes = jax.eval_shape(generator.init, jax.random.key(0))
  rng = np.random.default_rng(0)
  return jax.tree.map(lambda s: rng.normal(size=s.shape).astype(np.float32), shapes)


@pytest.fixture(scope='module')
def variables():
  return scattered(TINY())


def draw(generator, count=3, seed=2):
  return jax.random.normal(jax.random.key(seed), (count, *generator.latent_shape))


def render(generator, variables, latents, **options):
  return jax.jit(functools.partial(generator.images, **options))(variables, latents)


@pytest.mark.parametrize('resolution', stylegan2.RESOLUTIONS)
@pytest.mark.parametrize('latents', stylegan2.LATENTS)
def test_shapes_at_every_resolution(resolution, latents):
  generator = StyleGAN2(resolution=resolution, latents=latents)
  variables = jax.eval_shape(generator.init, jax.random.key(0))
  drawn = jax.eval_shape(lambda v: generator.sample(v, jax.random.key(0), 2), variables)
  num_ws = 2 * round(np.log2(resolution)) - 2  # 18 at 1024, as published
  assert drawn.shape == ((2, 512) if latents == 'one' else (2, num_ws, 512))
  images = jax.eval_shape(generator.images, variables, drawn)
  assert images.shape == (2, resolution, resolution, 3)
  assert images.dtype == jnp.float32


def test_shapes_of_what_blocks_are_given():
  generator = StyleGAN2()
  variables = jax.eval_shape(generator.init, jax.random.key(0))
  drawn = jax.ShapeDtypeStruct((2, 512), jnp.float32)
  # Each block is given twice the sides of the one before, but for the first two.
  for i, layer in enumerate(generator.list_layers()):
    given = jax.eval_shape(
      functools.partial(generator.features, layer=layer), variables, drawn
    )
    side = 4 * 2 ** max(i - 1, 0)
    width = min(32768 // side, 512)  # the published rule
    assert given.x.shape == (2, side, side, width)
    assert (given.image is None) if i == 0 else given.image.shape == (2, side, side, 3)


def test_the_published_channels():
  # Karras et al.: 512 up to 64 pixels, then half for each doubling
  assert StyleGAN2().widths == (512, 512, 512, 512, 512, 256, 128, 64, 32)


def test_truncation_by_hand():
  w, mean = jnp.array([[3.0, 1.0]]), jnp.array([1.0, 1.0])
  ws = truncate(w, mean, 0.25, 2, 4)
  np.testing.assert_allclose(ws[0, :, 0], [1.5, 1.5, 3, 3])
  np.testing.assert_allclose(ws[0, :, 1], 1)
  np.testing.assert_allclose(truncate(w, mean, 0.25, None, 3)[0, :, 0], 1.5)
  np.testing.assert_allclose(truncate(w, mean, 0.25, 0, 3)[0, :, 0], 3)


def test_samples_are_truncated_towards_the_stored_mean(variables):
  mean = variables['constants']['mapping']['w_avg']
  key = jax.random.key(5)
  whole = TINY(latents='all').sample(variables, key, 2)
  cut = TINY(latents='all', psi=0.5, cutoff=4).sample(variables, key, 2)
  np.testing.assert_allclose(cut[:, 4:], whole[:, 4:], rtol=1e-6)
  half = mean.reshape(1, 1, -1) / 2 + whole[:, :4] / 2
  np.testing.assert_allclose(cut[:, :4], half, rtol=1e-5)
  one = TINY(psi=0.5, cutoff=4).sample(variables, key, 2)
  np.testing.assert_array_equal(one, cut[:, 0])


def test_a_sample_does_not_depend_on_how_many_are_drawn(variables):
  few, many = (TINY().sample(variables, jax.random.key(5), n) for n in (2, 5))
  np.testing.assert_allclose(few, many[:2], rtol=1e-5)
  assert len(np.unique(many[:, 0])) == 5


def test_one_w_is_the_same_w_for_all_layers(variables):
  one, every = TINY(), TINY(latents='all')
  w = draw(one)
  ws = jnp.repeat(w[:, None], every.num_ws, axis=1)
  np.testing.assert_array_equal(render(one, variables, w), render(every, variables, ws))


def test_every_layer_has_a_w_of_its_own(variables):
  generator = TINY(latents='all')

  def norms(ws):
    loss = lambda ws: jnp.sum(generator.images(variables, ws) ** 2)  # noqa: E731
    return jnp.sum(jax.grad(loss)(ws) ** 2, axis=(0, 2))

  assert (jax.jit(norms)(draw(generator)) > 0).all()


def test_constant_noise_is_none_where_its_strength_is_zero(variables):
  latents = draw(TINY())
  const = render(TINY(), variables, latents)
  none = render(TINY(noise='none'), variables, latents)
  assert np.abs(const - none).max() > 0.01

  def silence(path, leaf):
    return 0 * leaf if 'noise_strength' in jax.tree_util.keystr(path) else leaf

  silent = jax.tree_util.tree_map_with_path(silence, variables)
  np.testing.assert_array_equal(render(TINY(), silent, latents), none)


def test_random_noise_depends_on_the_key_of_the_image_alone(variables):
  generator = TINY(noise='random')
  latents = draw(generator, 2)
  keys = jax.random.split(jax.random.key(3), 2)
  images = render(generator, variables, latents, keys=keys)
  turned = render(generator, variables, latents[::-1], keys=keys[::-1])
  np.testing.assert_allclose(images, turned[::-1], atol=1e-5)
  other = render(generator, variables, latents, keys=keys[::-1])
  assert np.abs(images - other).max() > 0.01
  with pytest.raises(InputError, match="'const' or 'none'"):
    generator.images(variables, latents)


@pytest.mark.parametrize('layer', ['b4', 'b8', 'b16'])
def test_images_from_features_are_the_images(layer, variables):
  generator = TINY(latents='all')
  latents = draw(generator)
  images = render(generator, variables, latents)
  given = jax.jit(generator.features, static_argnums=2)(variables, latents, layer)
  go_on = jax.jit(lambda w, given: generator.images_from(variables, w, layer, given))
  np.testing.assert_allclose(go_on(latents, given), images, atol=1e-5)
  # The w of the layers before no longer matters.
  before = {'b4': 0, 'b8': 1, 'b16': 3}[layer]
  others = latents.at[:, :before].add(1)
  np.testing.assert_allclose(go_on(others, given), images, atol=1e-5)
  moved = jax.tree.map(lambda leaf: leaf + 0.5, given)
  assert np.abs(go_on(latents, moved) - images).max() > 0.01


def test_features_are_handed_on_from_block_to_block(variables):
  generator = TINY(precision='bfloat16')
  latents = draw(generator)

  @jax.jit
  def go(latents):
    first = generator.features(variables, latents, 'b8')
    on = generator.features_from(variables, latents, 'b8', first, 'b16')
    return first, on, generator.features(variables, latents, 'b16')

  first, on, whole = go(latents)
  jax.tree.map(np.testing.assert_allclose, on, whole)
  assert {leaf.dtype for leaf in jax.tree.leaves((first, on))} == {jnp.dtype('float32')}
  same = generator.features_from(variables, latents, 'b8', first, 'b8')
  jax.tree.map(np.testing.assert_array_equal, same, first)
  with pytest.raises(InputError, match="'b4' comes before 'b8'"):
    generator.features_from(variables, latents, 'b8', first, 'b4')


def test_whole_numbers_are_taken_as_floats():
  assert repr(TINY(psi=1, conv_clamp=256)) == repr(TINY(psi=1.0, conv_clamp=256.0))


def test_the_first_block_is_given_the_learned_constant(variables):
  given = TINY().features(variables, draw(TINY()), 'b4')
  constant = variables['params']['synthesis']['const']
  np.testing.assert_array_equal(given.x, np.broadcast_to(constant, given.x.shape))


def test_bfloat16_is_near_and_gives_float32(variables):
  latents = draw(TINY())
  exact = render(TINY(), variables, latents)
  rough = render(TINY(precision='bfloat16'), variables, latents)
  assert rough.dtype == jnp.float32
  error = np.abs(exact - rough).max() / np.abs(exact).max()
  assert 1e-5 < error < 0.05  # 8 bits of mantissa


def test_a_batch_is_a_dense_convolution_under_vmap_too(variables):
  """No images with kernels of their own: those would be a grouped convolution."""
  generator = TINY(latents='all')
  lanes = jnp.zeros((2, 3, *generator.latent_shape))

  def gradients(latents):
    return jax.grad(lambda w: generator.images(variables, w).sum())(latents)

  for way, given in ((gradients, lanes[0]), (jax.vmap(gradients), lanes)):
    with choices.using('lax'):  # the others compute gradients that XLA then drops
      text = str(jax.make_jaxpr(way)(given))
    counts = re.findall(r'(?:feature|batch)_group_count=(\d+)', text)
    assert set(counts) == {'1'}


def test_filters_keep_a_constant_inside():
  x = jnp.ones((1, 6, 6, 2))
  np.testing.assert_allclose(stylegan2_filters.upsample(x)[:, 1:-1, 1:-1], 1)
  np.testing.assert_allclose(stylegan2_filters.downsample(x)[:, 1:-1, 1:-1], 1)
  assert stylegan2_filters.upsample(x)[0, 0, 5, 0] == 0.75  # a quarter is beyond


@pytest.mark.parametrize(
  ('field', 'value'),
  [
    ('resolution', 48),
    ('latents', 'two'),
    ('noise', 'loud'),
    ('precision', 'float16'),
    ('w_dim', 0),
    ('channel_base', 8),
    ('cutoff', 7),
  ],
)
def test_bad_fields_are_one_line(field, value):
  with pytest.raises(InputError) as caught:
    TINY(**{field: value})
  assert field in str(caught.value)
  assert str(value) in str(caught.value)


def test_a_layer_that_is_not_there_is_named(variables):
  with pytest.raises(InputError, match=r'b32.*Known: b4, b8, b16'):
    TINY().features(variables, draw(TINY()), 'b32')


def test_latents_of_a_wrong_shape_are_refused(variables):
  with pytest.raises(AssertionError):
    TINY(latents='all').images(variables, jnp.zeros((2, 5)))
