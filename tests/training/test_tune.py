"""Tuning: the fastest wins, what was measured is not measured again."""

import json

import numpy as np
import pytest

from gpz_jax.models import choices
from gpz_jax.training import tune
from gpz_jax.training.engine import Engine

SITE = choices.Site('dense', (3, 3), (8, 8), 4, 4)
ENGINE = Engine('map', devices=1).resolve()


@pytest.fixture
def clock(monkeypatch):
  """`gemm` is fastest; counts how often something is timed."""
  timed = []

  def time(run, arguments, steps):
    timed.append(run)
    return {'lax': 9.0, 'gemm': 1.0}.get(run, 2.0)

  monkeypatch.setattr(tune, '_time', time)
  monkeypatch.setattr(tune, 'make_step', lambda site, way, engine: way)
  return timed


def test_the_fastest_is_chosen_and_hopeless_ones_are_timed_once(clock):
  told = []
  table = tune.tune(
    [SITE, SITE],
    ENGINE,
    lanes=2,
    batch=4,
    on_progress=lambda site, seconds: told.append((site, seconds)),
  )
  assert table == ((SITE.text, 'gemm'),)
  assert [site for site, _ in told] == [SITE]
  assert set(told[0][1]) == set(choices.DENSE)
  assert clock.count('lax') == 2  # with and without its compilation
  assert clock.count('gemm') == 2 + tune.REPEATS


def test_what_was_measured_is_kept(clock, tmp_path):
  cache = tmp_path / 'there' / 'tuned.json'
  first = tune.tune([SITE], ENGINE, lanes=2, batch=4, cache=cache)
  count = len(clock)
  assert tune.tune([SITE], ENGINE, lanes=3, batch=4, cache=cache) == first  # map
  assert len(clock) == count
  tune.tune([SITE], ENGINE, lanes=2, batch=8, cache=cache)  # another batch
  assert len(clock) > count
  assert len(json.loads(cache.read_text())) == 2


@pytest.mark.parametrize('damage', ['', '[]', '{"x', '{}'])
def test_a_damaged_cache_is_measured_anew(clock, tmp_path, damage):
  cache = tmp_path / 'tuned.json'
  cache.write_text(damage)
  assert tune.tune([SITE], ENGINE, lanes=1, batch=4, cache=cache)[0][1] == 'gemm'
  assert len(json.loads(cache.read_text())) == 1


@pytest.mark.parametrize(
  'site',
  [SITE, SITE._replace(kernel=(1, 1)), SITE._replace(kind='upsample', kernel=(4, 4))],
)
def test_steps_train_input_and_kernel_of_every_lane(site):
  lanes = tune.make_lanes(site, ENGINE, 2, 3)
  moved = tune.make_step(site, 'gemm', ENGINE)(lanes, 2)
  for before, after in zip(lanes, moved, strict=True):
    assert before.shape == after.shape
    assert np.isfinite(after).all()
