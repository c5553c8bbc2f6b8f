"""Lanes whose defence alone differs."""

import jax
import pytest

from gpz_jax.types import Lane


@pytest.fixture(scope='module')
def one_key():
  """Lanes with the key of an undefended one, so that their defence alone differs."""
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(Lane, 'key', lambda lane: jax.random.key(lane.seed))
    yield
