"""Damaged and crafted files of weights: arrays, or one line that names the file."""

import json
import os
import pickle
import struct
import zipfile

import damage
import numpy as np
import pytest
from safetensors import numpy as safetensors_numpy

from gpz_jax.interop.torch import import_weights, load_state_dict

HARMLESS = (
  'flipped',
  'number',
  'crlf',
  'latin',
  'nul',
  'twice',
  'bom',
  'archive',
)  # may be
NAMES = {'params/conv_1/Conv_0/kernel': np.ones((3, 3, 3, 4), np.float32)}


def safetensors(header: object, data: bytes = b'\0' * 64) -> bytes:
  text = header if isinstance(header, bytes) else json.dumps(header).encode()
  return struct.pack('<Q', len(text)) + text + data


def one_array(dtype: str, shape: list[int], offsets=(0, 64)) -> bytes:
  entry = {'dtype': dtype, 'shape': shape, 'data_offsets': list(offsets)}
  return safetensors({'a': entry})


@pytest.fixture
def weights(tmp_path):
  """Writes a file of weights: from its name and bytes to its path."""

  def write(name: str, content: bytes):
    path = tmp_path / name
    path.write_bytes(content)
    return path

  return write


def assert_named(message: str, path) -> None:
  assert message.startswith(f"weights '{path}'"), message
  assert len(message) < 1000


def test_damaged_safetensors(weights, refused):
  whole = safetensors_numpy.save(NAMES)
  noticed = 0
  for how, content in damage.damaged(whole, range(10)):
    path = weights('model.safetensors', content)
    message = refused(load_state_dict, path)
    if message:
      assert_named(message, path)
      noticed += 1
    assert message or how.startswith(HARMLESS)
  assert noticed > 60


@pytest.mark.parametrize(
  'content',
  [
    struct.pack('<Q', 2**63) + b'{}',
    safetensors(
      {'a': {'dtype': 'F32', 'shape': [10**9, 10**9], 'data_offsets': [0, 64]}}
    ),
    safetensors({'a': {'dtype': 'F32', 'shape': [-1], 'data_offsets': [0, 64]}}),
    safetensors({'a': {'dtype': 'OBJ', 'shape': [1], 'data_offsets': [0, 64]}}),
    safetensors({'a': {'dtype': 'F32', 'shape': [16], 'data_offsets': [64, 0]}}),
    safetensors({'a': {'dtype': 'F8_E4M3', 'shape': [64], 'data_offsets': [0, 64]}}),
    safetensors(b'[' * 50_000),
    safetensors([1, 2]),
    pickle.dumps({'a': 1}),
  ],
  ids=range(9),
)
def test_crafted_safetensors(weights, content, refused):
  path = weights('model.safetensors', content)
  message = refused(load_state_dict, path)
  if message:
    assert_named(message, path)
  else:  # an exotic format of numbers may be known
    assert b'F8' in content


class Trap:
  """Unpickled, it makes a file."""

  def __init__(self, path):
    self.path = path

  def __reduce__(self):
    return os.system, (f'touch "{self.path}"',)


@pytest.mark.parametrize('place', ['file', 'archive', 'deep', 'safetensors'])
def test_a_pickle_never_runs(weights, tmp_path, place, refused):
  torch = pytest.importorskip('torch', reason='torch is an optional extra')
  ran = tmp_path / 'ran'
  path = tmp_path / f'model.{"safetensors" if place == "safetensors" else "pth"}'
  trap = pickle.dumps(Trap(ran), protocol=2)
  if place == 'archive':  # as torch.save packs it, made by hand
    with zipfile.ZipFile(path, 'w') as archive:
      archive.writestr('model/data.pkl', trap)
      archive.writestr('model/version', '3\n')
  elif place == 'deep':
    torch.save({'model': {'a': torch.ones(2), 'b': [{'c': Trap(ran)}]}}, path)
  else:
    path.write_bytes(trap)
  message = refused(load_state_dict, path)
  assert_named(message, path)
  assert not ran.exists()
  pickle.loads(trap)  # the trap itself works
  assert ran.exists()


@pytest.mark.filterwarnings('ignore')  # of torch, on what it is made to read
def test_damaged_pth(weights, tmp_path, refused):
  torch = pytest.importorskip('torch', reason='torch is an optional extra')
  torch.save({'a': torch.ones(4, 3), 'b': torch.zeros(2)}, tmp_path / 'whole.pth')
  whole = (tmp_path / 'whole.pth').read_bytes()
  noticed = 0
  for how, content in damage.damaged(whole, range(6)):
    path = weights('model.pth', content)
    message = refused(load_state_dict, path)
    if message:
      assert_named(message, path)
      noticed += 1
    assert message or how.startswith(HARMLESS)
  assert noticed > 30


@pytest.mark.filterwarnings('ignore')
def test_state_dicts_of_strange_tensors(tmp_path, refused):
  torch = pytest.importorskip('torch', reason='torch is an optional extra')
  path = tmp_path / 'model.pth'
  for content in (
    {0: torch.ones(2)},
    {'a': torch.ones(2).to_sparse()},
    {'a': torch.empty(2, device='meta')},
    {'a': {'b': torch.ones(2), 'c': 3}},
    {'a': {'b': torch.ones(2)}, 'c': {'d': torch.ones(2)}},
    {'model': {'model': 3}},
    {'state_dict': None},
    3,
  ):
    torch.save(content, path)
    assert_named(refused(load_state_dict, path), path)


@pytest.mark.parametrize('value', [np.nan, np.inf, 1j, 'x'])
def test_weights_that_are_no_finite_numbers(value, refused):
  strange = {name: np.full(array.shape, value) for name, array in NAMES.items()}
  message = refused(import_weights, 'cnn', strange, num_classes=3, width=0.0625)
  assert "do not fit 'cnn'" in message
  assert 'not of finite real numbers (params/conv_1/Conv_0/kernel)' in message


@pytest.mark.parametrize('name', ['.', 'absent.pth', 'x' * 300, 'a\0b', '/dev/zero'])
def test_paths_that_are_no_weights(name, refused):
  message = refused(load_state_dict, name)
  assert message.startswith('weights ')
