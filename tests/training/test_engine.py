"""Engines: other ways to the same numbers, and what is refused."""

import itertools
import os
import subprocess
import sys

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gpz_jax.attacks.activation import decoders
from gpz_jax.models import choices
from gpz_jax.training.engine import AUTO, Engine
from gpz_jax.types import InputError
from gpz_jax.vocabulary import CONVOLUTIONS

ACTIVATION, IMAGE = (4, 4, 64), (16, 16, 3)


def make_problem():
  """Three lanes of a real decoder, and what they should reconstruct, in float32."""
  rng = np.random.default_rng(0)
  sent = rng.normal(size=(3, 8, *ACTIVATION)).astype(np.float32)
  wanted = rng.uniform(size=(8, *IMAGE)).astype(np.float32)
  decoder = decoders.make(ACTIVATION, IMAGE)
  variables = jax.vmap(lambda key, x: decoder.init(key, x, train=True))(
    jax.random.split(jax.random.key(2), 3), sent
  )
  return decoder, jax.device_get(variables), sent, wanted


def decoder_gradients(engine, problem, dtype=np.float32):
  """The reconstructions [L, B, ...] and gradients [L] of one training step."""
  decoder, *arrays = problem
  variables, sent, wanted = jax.tree.map(lambda leaf: leaf.astype(dtype), arrays)

  def one(lane):
    variables, x = lane

    def loss(params):
      found, _ = engine.apply(
        decoder,
        {**variables, 'params': params},
        x,
        train=True,
        mutable=['batch_stats'],
      )
      return jnp.mean((found - wanted) ** 2), found

    grads, found = jax.grad(loss, has_aux=True)(variables['params'])
    return found, grads

  return jax.jit(engine.over_lanes(one))((variables, sent))


def relative_error(found, expected):
  difference = jnp.linalg.norm(jnp.ravel(found) - jnp.ravel(expected))
  return float(difference / jnp.linalg.norm(jnp.ravel(expected)))


class Exact(Engine):
  """The model in whatever precision its variables have."""

  def apply(self, model, variables, x, **options):
    with choices.using('lax'):
      return model.apply(variables, x, **options)


@pytest.fixture(scope='module')
def problem():
  return make_problem()


@pytest.fixture(scope='module')
def exact(problem):
  """In float64, lanes one after another, by lax."""
  with jax.enable_x64(True):
    return jax.device_get(
      decoder_gradients(Exact('map', devices=1), problem, np.float64)
    )


STRATEGIES = ('map', 'vmap', 'unroll', 'chunk:2')
SAMPLE = {('map', conv, 'float32') for conv in CONVOLUTIONS} | {
  ('vmap', 'gemm', 'bfloat16'),
  ('chunk:2', 'auto', 'float32'),
}


@pytest.mark.parametrize(
  ('strategy', 'conv', 'precision'),
  [
    pytest.param(*each, marks=() if each in SAMPLE else pytest.mark.slow)
    for each in itertools.product(STRATEGIES, CONVOLUTIONS, ('float32', 'bfloat16'))
  ],
)
def test_every_combination_is_near_the_exact_result(
  problem, exact, strategy, conv, precision
):
  most = 1e-4 if precision == 'float32' else 2e-2
  engine = Engine(strategy, conv, precision).resolve()
  found, grads = decoder_gradients(engine, problem)
  expected, expected_grads = exact
  assert found.dtype == jnp.float32
  assert relative_error(found, expected) < most
  # all gradients as one vector: single ones that nearly cancel have no relative error
  flat, wanted = (
    jnp.concatenate([jnp.ravel(leaf) for leaf in jax.tree.leaves(tree)])
    for tree in (grads, expected_grads)
  )
  assert relative_error(flat, wanted) < (most if precision == 'float32' else 5 * most)


def test_low_precision_is_used_within_only():
  seen = []

  class Probe(nn.Module):
    @nn.compact
    def __call__(self, x, *, train=False):
      seen.append(x.dtype)
      y = nn.BatchNorm(use_running_average=not train)(nn.Dense(2)(x))
      seen.append(y.dtype)
      return y

  model, x = Probe(), jnp.ones((4, 3))
  variables = model.init(jax.random.key(0), x)
  seen.clear()
  engine = Engine(precision='bfloat16').resolve()
  y, moved = engine.apply(model, variables, x, train=True, mutable=['batch_stats'])
  assert seen == [jnp.bfloat16, jnp.bfloat16]
  assert y.dtype == jnp.float32
  assert {leaf.dtype for leaf in jax.tree.leaves(moved)} == {jnp.dtype('float32')}


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({'precision': 'float8'}, "precision 'float8' is not known"),
    ({'conv': 'gem'}, "conv 'gem' is not known; did you mean 'gemm'"),
    ({'devices': 99}, 'devices=99 is not allowed; there are'),
    ({'devices': -1}, 'devices=-1 is not allowed'),
  ],
)
def test_what_is_not_known_is_refused(changes, message):
  with pytest.raises(InputError, match=message):
    Engine(**changes).resolve()


def test_resolving_twice_changes_nothing():
  once = AUTO.resolve()
  assert once == once.resolve()
  assert 'auto' not in (once.strategy, once.precision)


OVER_DEVICES = """
import sys
sys.path.insert(0, 'tests/attacks')
import jax
import numpy as np
import test_inversion
from gpz_jax.training.engine import Engine

assert jax.local_device_count() == 8
lanes = int(sys.argv[1])
_, one, history, *_ = test_inversion.train(lanes, Engine('map', devices=1))
decoder, many, same, activation, image = test_inversion.train(
  lanes, Engine('map', devices=8)
)
for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(many), strict=True):
  np.testing.assert_array_equal(a, b)
np.testing.assert_array_equal(history['mse'], same['mse'])
assert same['mse'].shape == (3, lanes)
scores = [
  test_inversion.inversion.evaluate(
    decoder, many, activation, image, engine=Engine('map', devices=devices)
  )['mse']
  for devices in (1, 8)
]
np.testing.assert_array_equal(*scores)
print('equal')
"""


@pytest.mark.ci
@pytest.mark.parametrize('lanes', [9, pytest.param(3, marks=pytest.mark.slow)])
def test_lanes_over_devices_equal_one_device(lanes):
  found = subprocess.run(
    [sys.executable, '-c', OVER_DEVICES, str(lanes)],
    env=os.environ
    | {
      'XLA_FLAGS': f'{os.environ.get("XLA_FLAGS", "")} '
      '--xla_force_host_platform_device_count=8',
      'JAX_PLATFORMS': 'cpu',
      'PYTHONPATH': f'tests{os.pathsep}.',
    },
    capture_output=True,
    text=True,
    check=False,
  )
  assert found.returncode == 0, found.stderr[-2000:]
  assert 'equal' in found.stdout


SPLIT = """
import gpz_jax.sweep.runner, gpz_jax.model_inversion  # importing them starts no backend
from gpz_jax.training import engine
engine.split_host(2)
import jax
print(jax.local_device_count(), engine.AUTO.resolve().devices)
engine.split_host(3)  # too late, and no error
"""


@pytest.mark.ci
@pytest.mark.parametrize(
  ('flags', 'count'),
  [('', min(2, os.cpu_count() or 1)), ('--xla_force_host_platform_device_count=3', 3)],
)
def test_a_host_is_split_before_jax_begins_to_compute(flags, count):
  found = subprocess.run(
    [sys.executable, '-c', SPLIT],
    env=os.environ | {'XLA_FLAGS': flags, 'JAX_PLATFORMS': 'cpu'},
    capture_output=True,
    text=True,
    check=True,
  )
  assert found.stdout.split() == [str(count)] * 2


def test_a_setting_reaches_only_what_is_traced_within(problem):
  with choices.recording() as sites:
    jax.eval_shape(lambda: decoder_gradients(AUTO.resolve(), problem))
  kinds = {site.kind for site in sites}
  assert kinds == {'dense', 'upsample'}
  assert [site.text for site in sites if site.kind == 'dense'] == [
    'dense 3x3 16x16 32>3'
  ]
  site = sites[0]
  shapes = (1, *site.size, site.c_in), (*site.kernel, site.c_in, site.c_out)
  usual = choices.choose(site.kind, *shapes)
  other = 'gemm' if usual != 'gemm' else 'taps'
  with choices.using(((site.text, other),)):
    assert choices.choose(site.kind, *shapes) == other
  assert choices.choose(site.kind, *shapes) == usual


def test_sites_read_back():
  site = choices.Site('dense', (3, 3), (64, 32), 64, 3)
  assert choices.Site.parse(site.text) == site
  assert site.distance(site._replace(size=(32, 32), c_in=32)) == pytest.approx(2)
  assert np.isinf(site.distance(site._replace(kernel=(5, 5))))
