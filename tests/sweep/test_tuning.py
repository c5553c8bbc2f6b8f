"""--tune, --compile_cache and --profile through a sweep."""

import dataclasses
import json

import jax
import pytest
import tiny

from gpz_jax import sweep
from gpz_jax.training import tune

pytestmark = pytest.mark.usefixtures('blank_charts')


@pytest.fixture
def config(tmp_path, monkeypatch):
  monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
  return tiny.sweep_config(
    tmp_path / 'run',
    tune=True,
    compile_cache=str(tmp_path / 'programs'),
  )


@pytest.mark.ci
@pytest.mark.parametrize('traced', [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_tuned_sweep_measures_once_and_says_so(
  config, traced, monkeypatch, tmp_path, capsys
):
  if traced:
    config = dataclasses.replace(config, profile=str(tmp_path / 'trace'))
  measured = []

  def measure(site, engine, lanes, batch):
    measured.append(site.text)
    return {'gemm': 1.0, 'taps': 2.0}

  monkeypatch.setattr(tune, '_measure', measure)
  before = jax.config.values['jax_compilation_cache_dir']
  (row,) = sweep.run(config).rows
  assert row['conv'] == 'tuned'
  # the four convolutions of the target, and the decoder's at 16x16: two and the last
  assert len(measured) == len(set(measured)) == 7
  tuned = json.loads((tmp_path / 'run' / 'tuned.json').read_text())
  assert tuned == dict.fromkeys(measured, 'gemm')
  assert 'gemm 1000.0 ms, taps 2000.0 ms' in capsys.readouterr().out
  assert bool(list(tmp_path.rglob('*.xplane.pb'))) == traced
  assert list((tmp_path / 'programs').iterdir())
  assert jax.config.values['jax_compilation_cache_dir'] == before
  another = dataclasses.replace(config, workdir=str(tmp_path / 'another'), profile=None)
  (again,) = sweep.run(another, quiet=True).rows
  assert len(measured) == 7  # kept for this machine
  assert again['test_mse'] == row['test_mse']
