"""The wheel, installed in an environment of its own, in a folder that is not ours.

Nothing is downloaded: the environment borrows the packages that the tests run with.
"""

import os
import pathlib
import shutil
import tomllib
import zipfile

import pytest
from wheels import ROOT, run

PROJECT = tomllib.loads((ROOT / 'pyproject.toml').read_text())['project']


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
  """A user's project, which has a package named experiments of its own."""
  (tmp_path / 'experiments').mkdir()
  (tmp_path / 'experiments' / '__init__.py').write_text('raise SystemExit("not ours")')
  monkeypatch.chdir(tmp_path)
  monkeypatch.delenv('PYTHONPATH', raising=False)
  return tmp_path


def test_the_wheel_holds_types_settings_and_no_tests(wheel):
  with zipfile.ZipFile(wheel) as archive:
    names = set(archive.namelist())
  assert {name.split('/')[0] for name in names if '.dist-info' not in name} == {
    'gpz_jax',
    'experiments',
  }
  shipped = {
    path.relative_to(ROOT).as_posix()
    for folder in ('flagfiles', 'paper')
    for path in (ROOT / 'experiments' / folder).iterdir()
  }
  report = ROOT / 'gpz_jax' / 'report'
  pages = {path.relative_to(ROOT).as_posix() for path in report.rglob('*.html')}
  assert {'gpz_jax/py.typed', 'gpz_jax/report/page.css'} | pages | shipped <= names


@pytest.mark.parametrize('program', sorted(PROJECT['scripts']))
def test_each_program_answers_beside_a_package_of_the_same_name(
  installed, elsewhere, program
):
  done = run(installed / program, '--help')
  assert done.returncode == 0, done.stderr
  assert f'\n  {program} --' in done.stdout  # the intro shows how it is called
  assert list(elsewhere.iterdir()) == [elsewhere / 'experiments']


def test_a_preset_is_found_in_every_folder(installed, elsewhere):
  dispatched = [installed / 'python', '-m', 'gpz_jax', 'sweep']
  for start in ([installed / 'gpz-sweep'], dispatched):
    done = run(*start, '--preset=quickstart', '--help')
    assert done.returncode == 0, done.stderr
    assert '(given: runs/quickstart)' in done.stdout
    done = run(*start, '--preset=quickstrat')
    assert done.returncode == 2
    assert done.stderr.startswith(
      "sweep: preset 'quickstrat' is not known; did you mean"
    )


def test_the_promised_command_runs_where_nothing_hides_it(installed, elsewhere):
  python = installed / 'python'
  shutil.rmtree(elsewhere / 'experiments')
  (elsewhere / 'own.cfg').write_text('--model=ir152\n')
  done = run(python, '-m', 'experiments.sweep', '--flagfile=own.cfg', '--help')
  assert done.returncode == 0, done.stderr
  assert '(given: ir152)' in done.stdout
  done = run(python, '-c', 'import gpz_jax; print(gpz_jax.__file__)')
  assert installed.parent in pathlib.Path(done.stdout.strip()).parents


def test_the_dispatcher_lists_the_commands(installed, elsewhere):
  python = installed / 'python'
  done = run(python, '-m', 'gpz_jax', '--help')
  assert done.returncode == 0
  listed = {line.split()[0] for line in done.stdout.splitlines() if line[:2] == '  '}
  assert {f'gpz-{name}' for name in listed} == set(PROJECT['scripts'])
  assert run(python, '-m', 'gpz_jax').returncode == 2
  done = run(python, '-m', 'gpz_jax', 'swep')
  assert done.returncode == 2
  assert done.stderr.startswith("gpz_jax: command 'swep' is not known; did you mean")
  assert done.stderr.count('\n') == 1
  done = run(python, '-m', 'gpz_jax', 'prepare_data', '--nonsense')
  assert done.returncode == 2
  assert done.stderr.startswith('prepare_data: ')


def test_safetensors_are_read_without_torch(installed, elsewhere):
  code = """
import sys
sys.modules['torch'] = None  # a plain install has none
import ml_dtypes, numpy as np
from safetensors.numpy import save_file
from gpz_jax.interop.files import load_state_dict
arrays = {'a': np.ones(2, np.float16), 'b': np.ones(3, ml_dtypes.bfloat16)}
save_file(arrays, 'own.safetensors')
print(*(array.dtype for array in load_state_dict('own.safetensors').values()))
"""
  done = run(installed / 'python', '-c', code)
  assert done.returncode == 0, done.stderr
  assert done.stdout.split() == ['float32', 'float32']


STATED = [
  name.rpartition(' ')[2]
  for name in PROJECT['classifiers']
  if name.startswith('Programming Language :: Python :: ')
]


def find_python(version: str) -> str | None:
  """An interpreter of a version, from pyenv or the path."""
  pyenv = pathlib.Path(os.environ.get('PYENV_ROOT', pathlib.Path.home() / '.pyenv'))
  found = sorted(pyenv.glob(f'versions/{version}.*/bin/python{version}'))
  for python in (*map(str, found), shutil.which(f'python{version}')):
    if python and run(python, '-c', '').returncode == 0:  # a shim may stand for nothing
      return python
  return None


@pytest.mark.parametrize('version', STATED)
def test_the_sources_compile_on_each_python_that_is_stated(version, tmp_path):
  python = find_python(version)
  if python is None:
    pytest.skip(f'no python{version} is at hand')
  shutil.copytree(ROOT / 'gpz_jax', tmp_path / 'gpz_jax')
  done = run(python, '-W', 'error', '-m', 'compileall', '-q', '-f', tmp_path)
  assert done.returncode == 0, done.stdout
