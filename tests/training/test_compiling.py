"""Which programs XLA compiles by its older emitter of loops."""

import chex
import jax
import jax.numpy as jnp
import pytest
import toys

from gpz_jax.training import compiling
from gpz_jax.training.engine import Engine

# By hand: 8 points of 3 numbers, forward and for the gradient of the weights, in each
# of 16 steps.
FLOPS = 2 * (2 * 8 * 3) * toys.EPOCHS * toys.STEPS


def compiled_for(monkeypatch, trainer, lanes, *, is_ahead):
  """The operations that a training was compiled for."""
  seen = []
  monkeypatch.setattr(compiling, 'options_for', lambda flops: seen.append(flops))
  if is_ahead:
    forever = (toys.FOREVER,) * lanes
    trainer.compile(toys.make_lanes(forever), toys.make_shared(), toys.EXAMPLES)
  toys.fit(trainer, (toys.FOREVER,) * lanes)
  return seen


@pytest.mark.parametrize('strategy', ['map', 'vmap'])
@pytest.mark.parametrize('is_ahead', [False, True], ids=['as it runs', 'ahead'])
@pytest.mark.parametrize('lanes', [1, 3])
def test_the_work_of_one_lane_decides_however_many_there_are(
  monkeypatch, strategy, is_ahead, lanes
):
  trainer = toys.make_trainer(Engine(strategy))
  found = compiled_for(monkeypatch, trainer, lanes, is_ahead=is_ahead)
  assert found == [FLOPS]


def test_long_trainings_are_compiled_as_usual():
  assert compiling.options_for(2 * compiling.BRIEF_FLOPS) is None
  assert compiling.options_for(1.0) == compiling.brief_options()


@pytest.mark.skipif(compiling.brief_options() is None, reason='XLA has one emitter')
@pytest.mark.usefixtures('optimized')
def test_either_emitter_trains_alike(monkeypatch):
  states, _ = toys.fit(toys.make_trainer())
  monkeypatch.setattr(compiling, 'options_for', lambda flops: None)
  usual, _ = toys.fit(toys.make_trainer())
  chex.assert_trees_all_close(states.train.params, usual.train.params, rtol=1e-5)


def test_an_xla_without_the_option_compiles_as_usual(monkeypatch):
  monkeypatch.setattr(compiling, '_OLDER_EMITTER', {'xla_cpu_of_no_version': False})
  compiling.brief_options.cache_clear()
  assert compiling.brief_options() is None
  compiling.brief_options.cache_clear()


def test_accelerators_compile_as_usual(monkeypatch):
  monkeypatch.setattr(jax, 'default_backend', lambda: 'gpu')
  compiling.brief_options.cache_clear()
  assert compiling.brief_options() is None
  compiling.brief_options.cache_clear()


def test_brief_programs_keep_the_options_of_jit():
  traces = []

  @compiling.brief_jit(static_argnums=0)
  def scaled(factor, x):
    traces.append(factor)
    return factor * x

  assert [float(scaled(k, jnp.float32(2))) for k in (3, 3, 4)] == [6, 6, 8]
  assert traces == [3, 4]
