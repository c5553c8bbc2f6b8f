"""Settings every test runs under, and the real data where it is at hand."""

import os
import pathlib

os.environ.setdefault('JAX_PLATFORMS', 'cpu')

import jax
import pytest

jax.config.update('jax_numpy_rank_promotion', 'raise')

REAL_DATA = pathlib.Path(__file__).parents[2] / 'shared' / 'data' / 'tfds'


@pytest.fixture(scope='session')
def real_data_dir() -> str:
  """The TFDS folder with CIFAR-10 and MNIST; skips, saying so, where it is absent."""
  if not (REAL_DATA / 'cifar10').is_dir():
    pytest.skip(f'no prepared CIFAR-10 under {REAL_DATA}')
  return str(REAL_DATA)
