"""Batch-norm averages that are measured anew."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gpz_jax.training import batch_norm
from gpz_jax.training.engine import Engine

ENGINE = Engine('map', devices=1).resolve()
IMAGES = np.random.default_rng(0).integers(0, 256, (300, 4, 5, 3)).astype(np.uint8)


class Net(nn.Module):
  """Batch norm of another momentum than ours, behind dropout and a layer."""

  momentum: float

  @nn.compact
  def __call__(self, x, *, train=False):
    x = nn.Dense(2, name='first')(x)
    x = nn.BatchNorm(not train, momentum=self.momentum, name='norm')(x)
    return nn.Dense(3)(x.reshape(len(x), -1))


@pytest.mark.parametrize('momentum', [0.0, 0.9, 0.99])
def test_averages_are_those_of_the_batches(momentum):
  model = Net(momentum)
  variables = jax.vmap(lambda key: model.init(key, jnp.zeros((1, 4, 5, 3))))(
    jax.random.split(jax.random.key(0), 2)
  )
  found = batch_norm.refresh(model, variables, IMAGES, ENGINE)
  for lane in range(2):
    first = jax.tree.map(
      lambda leaf, i=lane: np.asarray(leaf[i]), variables['params']['first']
    )
    x = IMAGES[:256].astype(np.float32) / 255 @ first['kernel'] + first['bias']
    means = [x[:128].mean((0, 1, 2)), x[128:].mean((0, 1, 2))]
    variances = [x[:128].var((0, 1, 2)), x[128:].var((0, 1, 2))]
    stats = found['batch_stats']['norm']
    np.testing.assert_allclose(stats['mean'][lane], np.mean(means, 0), rtol=2e-4)
    np.testing.assert_allclose(stats['var'][lane], np.mean(variances, 0), rtol=2e-4)
  np.testing.assert_array_equal(
    found['params']['first']['kernel'], variables['params']['first']['kernel']
  )


def test_a_model_without_batch_norm_stays_as_it_is():
  model = nn.Sequential([lambda x: x.reshape(len(x), -1), nn.Dense(3)])
  variables = model.init(jax.random.key(0), jnp.zeros((1, 4, 5, 3)))
  assert batch_norm.refresh(model, variables, IMAGES, ENGINE) is variables


class Counted(nn.Module):
  """Spectral norm before batch norm, and a counter: all keep `batch_stats`."""

  @nn.compact
  def __call__(self, x, *, train=False):
    seen = self.variable('batch_stats', 'seen', lambda: jnp.zeros(()))
    if train and not self.is_initializing():
      seen.value += 1
    x = nn.SpectralNorm(nn.Dense(4), name='spectral')(1e4 * x, update_stats=train)
    x = nn.BatchNorm(not train, name='norm')(x)
    return nn.Dense(3)(x.reshape(len(x), -1))


def test_only_averages_are_measured_anew():
  model = Counted()
  variables = model.init(jax.random.key(0), jnp.zeros((1, 4, 5, 3)))
  x = jnp.asarray(IMAGES[:128], jnp.float32) / 255
  _, moved = model.apply(variables, x, train=True, mutable=['batch_stats'])
  stacked = jax.tree.map(lambda leaf: leaf[None], {**variables, **moved})
  found = batch_norm.refresh(model, stacked, IMAGES[:128], ENGINE)['batch_stats']
  old = stacked['batch_stats']
  for name in ('spectral', 'seen'):
    jax.tree.map(np.testing.assert_array_equal, found[name], old[name])
  # By a pass of its own: from 0, linen's batch norm keeps a hundredth of the batch's.
  norm = jax.tree.map(jnp.zeros_like, moved['batch_stats']['norm'])
  start = {**moved['batch_stats'], 'norm': norm}
  _, after = model.apply(
    {**variables, 'batch_stats': start}, x, train=True, mutable=['batch_stats']
  )
  expected = jax.tree.map(lambda leaf: 100 * leaf, after['batch_stats']['norm'])
  assert expected['var'].max() > 1e5
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a[0], b, rtol=2e-4), found['norm'], expected
  )
