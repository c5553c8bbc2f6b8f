import importlib.util
import pathlib
import subprocess
import sys

import pytest

from experiments import prepare_data
from gpz_jax import types
from gpz_jax.data.builders.shapes import shapes_dataset_builder


def run(*arguments: str) -> subprocess.CompletedProcess:
  command = [sys.executable, '-m', 'experiments.prepare_data', *arguments]
  root = pathlib.Path(__file__).parents[1]
  return subprocess.run(command, capture_output=True, text=True, cwd=root, check=False)


@pytest.fixture
def few_shapes(monkeypatch):
  counts = {'train': 4, 'test': 2}
  monkeypatch.setattr(shapes_dataset_builder, 'NUM_EXAMPLES', counts)


def test_prepares_and_reads_back(few_shapes, tmp_path):
  folder = prepare_data.prepare('shapes/2_low', tmp_path, None)
  assert folder == tmp_path / 'shapes' / '2_low' / '1.0.0'
  line = prepare_data.summary('shapes/2_low', folder)
  assert line.startswith('shapes/2_low: train 4, test 2, 64x64x3')
  done = run('--dataset=shapes/2_low', f'--data_dir={tmp_path}')
  assert (done.returncode, done.stdout, done.stderr) == (0, line + '\n', '')


@pytest.mark.parametrize(
  ('arguments', 'message'),
  [
    (['--dataset=cifr10'], "did you mean 'cifar10'"),
    (['--datasett=cifar10'], 'Unknown command line flag'),
    ([], '--dataset is missing'),
  ],
)
def test_errors_take_one_line_and_status_2(arguments, message):
  done = run(*arguments)
  assert done.returncode == 2
  assert message in done.stderr
  assert done.stderr.startswith('prepare_data: ')
  assert done.stderr.count('\n') == 1
  assert done.stdout == ''


def test_missing_tensorflow_is_said(tmp_path, monkeypatch):
  monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None)
  with pytest.raises(types.InputError, match=r'needs TensorFlow .*gpz_jax\[prepare\]'):
    prepare_data.prepare('mnist', tmp_path, None)


@pytest.mark.parametrize(
  ('name', 'manual_dir', 'message'),
  [
    ('folder:/there', None, 'needs no preparation'),
    ('mnist', '/not/there', '--manual_dir /not/there is not a folder'),
    ('shapes/99_low', None, 'has no config'),
  ],
)
def test_bad_input(name, manual_dir, message, tmp_path):
  with pytest.raises(types.InputError, match=message):
    prepare_data.prepare(name, tmp_path, manual_dir)
