import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gpz_jax import models
from gpz_jax.attacks.activation import Scenario, enhance, interception, specs
from gpz_jax.attacks.activation.cohorts import AttackLane
from gpz_jax.training.engine import AUTO
from gpz_jax.types import Dataset, InputError, Lane, Treatment


def _normal(seed, *shape):
  return jax.random.normal(jax.random.key(seed), shape)


def test_merge():
  x, e = jnp.array([1.0, 2.0]), jnp.array([10.0, 20.0])
  assert enhance.merge(x, e, 'input').tolist() == [10, 20]
  assert enhance.merge(x, e, 'residual').tolist() == [11, 22]
  assert enhance.merge(x, e, 'concat').tolist() == [1, 2, 10, 20]


def test_spectrum_against_numpy():
  x = _normal(0, 3, 4, 4, 5)
  f = np.fft.fft2(np.asarray(x), axes=(1, 2)) / 4  # orthonormal on 4 x 4
  e = np.log(1 + np.abs(f.real) + np.abs(f.imag))
  y = jax.jit(enhance.spectrum)(x)
  for i in range(3):  # each example by itself
    np.testing.assert_allclose(y[i], (e[i] - e[i].mean()) / e[i].std(), atol=1e-4)


def test_constants_standardise_each_lane_by_its_own_channels():
  x = _normal(1, 2, 50, 4, 4, 3) * jnp.array([1.0, 5.0, 0.1]).reshape(1, 1, 1, 1, 3)
  x = x.at[1].add(7.0)
  found = enhance.normalization_stats('normalize_input+nn_concat', x)['normalize']
  assert found['mean'].shape == found['scale'].shape == (2, 3)
  module = enhance.Normalize('input')
  for lane in range(2):
    y = jax.jit(functools.partial(module.apply, train=True))(
      {'batch_stats': {k: v[lane] for k, v in found.items()}}, x[lane]
    )
    np.testing.assert_allclose(y.mean(axis=(0, 1, 2)), np.zeros(3), atol=1e-3)
    np.testing.assert_allclose(y.std(axis=(0, 1, 2)), np.ones(3), rtol=1e-3)


def test_constants_of_half_precision_tokens_leave_the_class_token_out():
  x = jnp.ones((1, 6, 5, 2), jnp.float16).at[:, :, 0].set(1000)
  x = x.at[:, :3, 1:, 1].set(3)  # half of the channel's values 3, the others 1
  found = enhance.normalization_stats('normalize_concat', x)['normalize']
  np.testing.assert_allclose(found['mean'], [[1, 2]])
  np.testing.assert_allclose(found['scale'], [[0, 1]])  # 0: never varies


def test_without_normalize_there_are_no_constants():
  assert enhance.normalization_stats('nn_concat', jnp.ones((1, 2, 4, 4, 3))) == {}


def test_normalize_keeps_its_constants():
  module = enhance.Normalize('residual')
  stats = {'mean': jnp.array([2.0]), 'scale': jnp.array([3.0])}
  x = jnp.full((1, 2, 2, 1), 4.0)
  y, updated = module.apply(
    {'batch_stats': stats}, x, train=True, mutable=['batch_stats']
  )
  np.testing.assert_allclose(y, 4 + (4 - 2) * 3)
  assert updated['batch_stats'] == stats


def test_feature_enhancer_by_hand():
  # identity kernels: instance norm of each channel, then ReLU
  x = _normal(2, 2, 4, 4, 2)
  module = enhance.FeatureEnhancer('input', dropout=0.0)
  eye = jnp.zeros((3, 3, 2, 2)).at[1, 1].set(jnp.eye(2))
  params = {
    'conv': {'kernel': eye, 'bias': jnp.array([5.0, -5.0])},
    'pointwise': {'kernel': jnp.eye(2), 'bias': jnp.zeros(2)},
  }
  mean, std = x.mean(axis=(1, 2), keepdims=True), x.std(axis=(1, 2), keepdims=True)
  np.testing.assert_allclose(
    jax.jit(module.apply)({'params': params}, x),
    jax.nn.relu((x - mean) / std),
    atol=1e-4,
  )


def test_dropout_takes_whole_channels_and_only_in_training():
  module = enhance.FeatureEnhancer('concat')
  x = _normal(3, 4, 4, 4, 64)
  variables = jax.jit(module.init)(jax.random.key(0), x)
  # pass the channels through, so that dropped ones show as exact zeros
  params = variables['params'] | {
    'pointwise': {'kernel': jnp.eye(64), 'bias': jnp.zeros(64)}
  }
  rngs = {'dropout': jax.random.key(1)}
  run = jax.jit(module.apply, static_argnames='train')
  y = run({'params': params}, x, train=True, rngs=rngs)[..., 64:]
  dropped = (y == 0).all(axis=(1, 2))
  assert 0.2 < dropped.mean() < 0.4  # 0.3 of 256 channels, 3.5 deviations either way
  kept = run({'params': params}, x, train=False)[..., 64:]
  assert not (kept == 0).all(axis=(1, 2)).any()
  np.testing.assert_allclose(
    y, jnp.where(dropped[:, None, None], 0, kept / 0.7), rtol=1e-4, atol=1e-5
  )


def test_part_modules_have_their_names():
  assert [p.name for p in enhance.parts('normalize_input+nn_concat')] == [
    'normalize',
    'nn',
  ]
  assert enhance.parts('none') == ()


@pytest.mark.parametrize(
  ('name', 'message'),
  [
    ('norm_input', r"'norm_input' is not known.*normalize_input"),
    ('normalize_input+nn', r"'nn' is not known"),
    ('nn_concat+nn_residual', 'twice'),
    ('nn_concat+normalize_input', 'put normalize first'),
  ],
)
def test_bad_names(name, message):
  with pytest.raises(InputError, match=message):
    enhance.parts(name)


def test_maps_are_needed_by_all_but_normalize():
  enhance.check('normalize_input', (10,))
  enhance.check('fft_concat', (4, 4, 8))
  with pytest.raises(InputError, match=r"'fft' needs an activation \(h, w, c\)"):
    enhance.check('normalize_input+fft_concat', (10,))


def test_shapes_that_do_not_fit_name_the_argument():
  with pytest.raises(AssertionError, match=r'x and enhanced'):
    enhance.merge(jnp.ones(2), jnp.ones(3), 'concat')
  with pytest.raises(AssertionError, match=r'x \[B, h, w, c\]'):
    enhance.spectrum(jnp.ones((4, 4, 3)))
  with pytest.raises(AssertionError, match=r'activations \[L, N, h, w, c\]'):
    enhance.normalization_stats('normalize_input', jnp.ones((2, 3)))


def test_raw_statistics_are_those_of_images_that_are_not_normalised():
  model = models.make('cnn', num_classes=3, width=0.0625)
  rng = np.random.default_rng(0)
  images = rng.integers(0, 255, (6, 16, 16, 3), np.uint8)
  key, blank = jax.random.key(0), jnp.zeros((1, 16, 16, 3))
  stacked = jax.tree.map(lambda leaf: leaf[None], model.init(key, blank))
  lane = AttackLane(0, Lane('cnn', 'x', Treatment(0.0), 0), 'conv_1')
  aux = Dataset(images, np.zeros(6, np.int32))
  unused: Any = None
  scenario = Scenario(
    model=model,
    targets=stacked,
    lanes=(lane,),
    intercepted=unused,
    train=aux,
    held_out=aux,
    held_out_activations=unused,
    test=aux,
    decoder_recipe=unused,
    target_recipe=unused,
    engine=AUTO,
  )
  sent = interception.intercept(model, stacked, (lane,), images)
  raw = specs.parse('inversion:enhance=normalize_input:stats=raw')
  plain = specs.parse('inversion:enhance=normalize_input')
  raw.check_model(model)
  found = raw._measure(scenario, sent)['normalize']['mean']
  other = model.clone(normalization='none')
  expected = interception.intercept(other, stacked, (lane,), images).mean((1, 2, 3))
  np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
  assert not np.allclose(found, plain._measure(scenario, sent)['normalize']['mean'])


def test_raw_statistics_are_refused_where_there_are_none():
  with pytest.raises(InputError, match='stats=raw is for enhance=normalize_'):
    specs.parse('inversion:stats=raw')
  raw = specs.parse('inversion:enhance=normalize_concat:stats=raw')
  with pytest.raises(InputError, match='Dense has no option normalization'):
    raw.check_model(nn.Dense(3))
