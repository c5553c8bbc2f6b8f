"""A file is there whole or not at all."""

import json

import numpy as np
import pytest

from gpz_jax import atomic


def test_what_is_written_is_read_back(tmp_path):
  atomic.write_text(tmp_path / 'text', 'zürich\n')
  atomic.write_json(tmp_path / 'values', {'a': [1, None]})
  atomic.write_array(tmp_path / 'array.npy', np.arange(6).reshape(2, 3))
  assert (tmp_path / 'text').read_text(encoding='utf-8') == 'zürich\n'
  assert json.loads((tmp_path / 'values').read_text()) == {'a': [1, None]}
  assert np.load(tmp_path / 'array.npy').tolist() == [[0, 1, 2], [3, 4, 5]]


@pytest.mark.parametrize('shared', [False, True])
def test_a_failure_leaves_the_old_file_and_nothing_beside_it(tmp_path, shared):
  path = tmp_path / 'file'
  path.write_text('old')

  def fail():
    with atomic.replacing(path, shared=shared) as partial:
      partial.write_text('half')
      raise KeyboardInterrupt

  with pytest.raises(KeyboardInterrupt):
    fail()
  assert path.read_text() == 'old'
  assert list(tmp_path.iterdir()) == [path]


def test_a_missing_folder_is_an_error(tmp_path):
  with pytest.raises(FileNotFoundError):
    atomic.write_text(tmp_path / 'no' / 'file', '')
