"""What initial weights are checked against, in several tests."""

import math
from typing import NamedTuple

import flax
import jax
import jax.numpy as jnp
import numpy as np


class Weights(NamedTuple):
  """How weights start that do not follow torch's default; a bias of theirs is 0."""

  deviation: float
  bound: float = math.inf


def xavier(fans):
  """Uniform; `fans` is the sum of fan-in and fan-out."""
  return Weights(math.sqrt(2 / fans), math.sqrt(6 / fans))


def he(fan_out):
  return Weights(math.sqrt(2 / fan_out))


def start(module, shape):
  """Path of each parameter -> its initial value."""
  params = jax.jit(module.init)(jax.random.key(0), jnp.ones((1, *shape)))['params']
  return flax.traverse_util.flatten_dict(params, sep='/')


def check(value, deviation, bound):
  assert np.abs(value).min() > 0
  assert np.abs(value).max() <= bound * (1 + 1e-6)
  # Five standard errors of a deviation, of normal draws, which vary most.
  np.testing.assert_allclose(
    value.std(), deviation, rtol=5 * math.sqrt(0.5 / value.size)
  )


def check_all(params, expected):
  """Every parameter is one of a layer that is expected, of a norm or of a PReLU."""
  seen = set()
  for path, value in params.items():
    layer, _, leaf = path.rpartition('/')
    if leaf == 'scale' or (leaf == 'bias' and 'norm' in layer.lower()):
      np.testing.assert_array_equal(value, float(leaf == 'scale'))
    elif leaf == 'slope':
      np.testing.assert_array_equal(value, 0.25)
    elif isinstance(fan_in := expected[layer], int):
      seen.add(layer)
      check(value, 1 / math.sqrt(3 * fan_in), 1 / math.sqrt(fan_in))
    elif leaf == 'bias':
      np.testing.assert_array_equal(value, 0)
    else:
      seen.add(layer)
      check(value, *expected[layer])
  assert seen == set(expected)


# MultiheadAttention of 32 features: its output's bias starts at 0, too.
OUT = Weights(1 / math.sqrt(3 * 32), 1 / math.sqrt(32))
ATTENTION = {'qkv': xavier(32 + 96), 'out': OUT}


def within(name, parts):
  return {f'{name}/{part}': expected for part, expected in parts.items()}
