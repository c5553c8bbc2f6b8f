"""Where compiled programs are kept when nothing is said."""

import os

import jax
import jax.numpy as jnp
import pytest

from gpz_jax.study import programs


@pytest.fixture
def cache(tmp_path, monkeypatch):
  """The user's cache folder, while JAX was told of none."""
  monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
  before = jax.config.values['jax_compilation_cache_dir']
  jax.config.update('jax_compilation_cache_dir', None)
  yield tmp_path / 'cache' / 'gpz_jax' / 'programs'
  jax.config.update('jax_compilation_cache_dir', before)


def test_programs_are_kept_for_this_user_alone(cache):
  folder = programs.find_folder('auto')
  assert folder is not None
  assert os.path.dirname(folder) == str(cache)
  assert os.stat(folder).st_mode & 0o777 == 0o700
  before = jax.config.values['jax_persistent_cache_min_compile_time_secs']
  with programs.kept(folder):
    jax.jit(lambda x: x * 3 + 1)(jnp.arange(7.0)).block_until_ready()
  assert os.listdir(folder)
  assert jax.config.values['jax_compilation_cache_dir'] is None
  assert jax.config.values['jax_persistent_cache_min_compile_time_secs'] == before


@pytest.mark.parametrize('named', ['', 'none'])
def test_nothing_is_kept_where_that_is_said(named, cache):
  assert programs.find_folder(named) is None
  assert not cache.exists()


def test_what_jax_is_told_already_goes_first(cache):
  jax.config.update('jax_compilation_cache_dir', '/elsewhere')
  assert programs.find_folder('auto') is None
  assert programs.find_folder('mine') == 'mine'
  assert not cache.exists()


def test_a_folder_that_others_may_write_to_is_not_used(cache):
  folder = programs.find_folder('auto')
  assert folder is not None
  os.chmod(folder, 0o777)
  with pytest.warns(UserWarning, match='others may write to .*--compile_cache=none'):
    assert programs.find_folder('auto') is None


def test_no_place_for_a_cache_is_no_failure(cache):
  cache.parent.parent.mkdir()
  cache.parent.write_text('a file in its place')
  with pytest.warns(UserWarning, match='compiled programs are not kept'):
    assert programs.find_folder('auto') is None


def test_versions_and_processors_have_folders_of_their_own(cache, monkeypatch):
  first = programs.default_dir()
  monkeypatch.setattr(programs, '_processor', lambda: 'another one')
  second = programs.default_dir()
  monkeypatch.setattr(programs.gpz_jax, '__version__', '99')
  assert len({first, second, programs.default_dir()}) == 3


def test_the_oldest_go_first(tmp_path):
  for age, name in enumerate(['new', 'old/er', 'oldest']):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(bytes(100))
    os.utime(path, (1000 - age, 1000 - age))
  programs.prune(tmp_path, 300)
  assert (tmp_path / 'oldest').exists()
  programs.prune(tmp_path, 150)
  assert [p.name for p in tmp_path.rglob('*') if p.is_file()] == ['new']
