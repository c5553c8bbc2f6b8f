"""Files of weights: read by their content, or refused in one line."""

import os
import pathlib
import pickle
import zipfile

import numpy as np
import pytest
from safetensors.numpy import save_file

from gpz_jax.interop import files
from gpz_jax.interop.files import load_state_dict
from gpz_jax.types import InputError


def test_safetensors_in_bfloat16(tmp_path):
  torch = pytest.importorskip('torch', reason='torch is an optional extra')
  safetensors = pytest.importorskip('safetensors.torch')
  path = tmp_path / 'bfloat16.safetensors'
  safetensors.save_file({'weight': torch.tensor([1.5, -2.0]).bfloat16()}, path)
  loaded = load_state_dict(path)['weight']
  assert loaded.dtype == np.float32
  np.testing.assert_array_equal(loaded, [1.5, -2.0])


@pytest.mark.parametrize('ending', ['.pth', '.pth.tar', '.ckpt', '.th', '.bin', '.x'])
@pytest.mark.parametrize(
  'wrapper',
  [None, 'model', 'state_dict', 'net', 'model_state_dict', 'state_dict_ema'],
)
def test_pth_plain_and_wrapped(tmp_path, wrapper, ending):
  torch = pytest.importorskip('torch', reason='torch is an optional extra')
  content = {'fc.weight': torch.ones(2, 3).bfloat16(), 'count': torch.tensor(3)}
  path = tmp_path / f'model{ending}'
  beside = {
    'epoch': 1,
    'accuracy': {'val': torch.tensor(0.9)},
    'optimizer': {'state': {0: {'momentum_buffer': torch.ones(2, 3)}}},
  }
  torch.save({**beside, wrapper: content} if wrapper else content, path)
  loaded = load_state_dict(path)
  assert loaded.keys() == content.keys()
  assert loaded['fc.weight'].dtype == np.float32
  np.testing.assert_array_equal(loaded['fc.weight'], np.ones((2, 3)))


def test_several_state_dicts_are_named(tmp_path):
  torch = pytest.importorskip('torch', reason='torch is an optional extra')
  content = {'fc.weight': torch.ones(2, 3)}
  torch.save({'net': content, 'ema': {'net': content}}, tmp_path / 'a.pth')
  with pytest.raises(InputError, match=r"hold 2 state dicts \('net', 'ema/net'\)"):
    load_state_dict(tmp_path / 'a.pth')


def test_safetensors_of_any_ending(tmp_path):
  save_file({'a': np.ones(2, np.float32)}, tmp_path / 'model.bin')
  np.testing.assert_array_equal(load_state_dict(tmp_path / 'model.bin')['a'], [1, 1])


@pytest.mark.parametrize('kind', ['torchscript', 'float8', 'float8 safetensors', 'raw'])
def test_what_is_no_plain_state_dict_is_refused_in_one_line(tmp_path, kind, recwarn):
  torch = pytest.importorskip('torch', reason='torch is an optional extra')
  safetensors = pytest.importorskip('safetensors.torch')
  path = tmp_path / 'model.pt'
  numbers = {'a': torch.ones(2).to(torch.float8_e4m3fn)}
  if kind == 'torchscript':
    with zipfile.ZipFile(path, 'w') as archive:  # as torch.jit.save packs it
      for name in ('data.pkl', 'constants.pkl', 'code/__torch__.py', 'version'):
        archive.writestr(f'model/{name}', b'')
  elif kind == 'float8':
    torch.save(numbers, path)
  elif kind == 'raw':
    path.write_bytes(pickle.dumps({'a': np.float64(1)}, protocol=4))
  else:
    safetensors.save_file(numbers, path)
  expected = {'torchscript': 'are a TorchScript program', 'raw': 'more than tensors'}
  with pytest.raises(InputError, match=expected.get(kind, 'float8')) as caught:
    load_state_dict(path)
  message = str(caught.value)
  assert '\n' not in message
  assert 'weights_only' not in message
  assert not recwarn.list


class _Payload:
  """Unpickled by pickle itself, this makes the file it is given."""

  def __init__(self, path):
    self.path = path

  def __reduce__(self):
    return pathlib.Path.touch, (self.path,)


class _Shell(_Payload):
  def __reduce__(self):
    return os.system, (f'touch "{self.path}"',)


@pytest.mark.parametrize('payload', [_Payload, _Shell])
@pytest.mark.parametrize('writer', ['torch', 'pickle'])
def test_a_file_that_would_run_code_is_refused_and_runs_nothing(
  tmp_path, payload, writer
):
  torch = pytest.importorskip('torch', reason='torch is an optional extra')
  ran, path = tmp_path / 'ran', tmp_path / 'model.pth'
  content = {'fc.weight': torch.ones(2), 'evil': payload(ran)}
  if writer == 'torch':
    torch.save(content, path)
  else:
    path.write_bytes(pickle.dumps(payload(ran), protocol=2))
  with pytest.raises(InputError, match='refused') as caught:
    load_state_dict(path)
  assert '\n' not in str(caught.value)
  assert not ran.exists()
  pickle.loads(pickle.dumps(payload(ran)))  # the trap itself works
  assert ran.exists()


def test_a_pickled_module_is_refused(tmp_path):
  torch = pytest.importorskip('torch', reason='torch is an optional extra')
  torch.save(torch.nn.Linear(2, 2), tmp_path / 'model.pth')
  with pytest.raises(InputError, match=r'save model.state_dict\(\) alone'):
    load_state_dict(tmp_path / 'model.pth')


@pytest.mark.parametrize('suffix', ['.pth', '.safetensors'])
def test_damaged_files_are_named_in_one_line(tmp_path, suffix):
  pytest.importorskip('torch', reason='torch is an optional extra')
  path = tmp_path / f'model{suffix}'
  path.write_bytes(b'PK\x03\x04 not really')
  with pytest.raises(InputError, match='model') as caught:
    load_state_dict(path)
  assert '\n' not in str(caught.value)


def test_files_that_are_no_state_dict(tmp_path):
  torch = pytest.importorskip('torch', reason='torch is an optional extra')
  torch.save([torch.ones(2)], tmp_path / 'list.pth')
  with pytest.raises(InputError, match='no state dict'):
    load_state_dict(tmp_path / 'list.pth')
  with pytest.raises(InputError, match='no such file'):
    load_state_dict(tmp_path / 'absent.pth')
  (tmp_path / 'model.onnx').touch()
  with pytest.raises(InputError, match=r"format '.onnx' is not known"):
    load_state_dict(tmp_path / 'model.onnx')


def test_an_old_torch_is_refused(tmp_path, monkeypatch):
  torch = pytest.importorskip('torch', reason='torch is an optional extra')
  torch.save({}, tmp_path / 'model.pth')
  monkeypatch.setattr(torch, '__version__', '2.5.1+cpu')
  with pytest.raises(InputError, match=r'torch 2\.6 or later'):
    load_state_dict(tmp_path / 'model.pth')


def test_numpy_values_beside_the_weights_are_passed_over(tmp_path):
  torch = pytest.importorskip('torch')
  content = {
    'net': {'a': torch.ones(2)},
    'accuracy': np.float64(0.93),
    'epoch': np.int64(3),
    'name': np.str_('x'),
    'history': np.ones(3),
    'things': np.array([{}, 'x'], object),
    'rows': np.zeros(2, [('a', 'i4'), ('b', object)]),
  }
  torch.save(content, tmp_path / 'a.pth')
  found = load_state_dict(tmp_path / 'a.pth')
  assert {name: array.tolist() for name, array in found.items()} == {'a': [1.0, 1.0]}


@pytest.mark.parametrize('scalar', ['numpy.core', 'numpy._core'])
def test_numpys_own_constructors_are_never_called(tmp_path, scalar, monkeypatch):
  """What a file says of a dtype is ignored; an older NumPy's names are known."""
  torch = pytest.importorskip('torch')
  torch.save({'net': {'a': torch.ones(2)}, 's': np.float64(1)}, tmp_path / 'a.pth')
  with zipfile.ZipFile(tmp_path / 'a.pth') as archive:
    members = {name: archive.read(name) for name in archive.namelist()}
  name = next(name for name in members if name.endswith('data.pkl'))
  members[name] = members[name].replace(b'numpy._core', scalar.encode())
  assert scalar.encode() + b'.multiarray\nscalar' in members[name]
  with zipfile.ZipFile(tmp_path / 'b.pth', 'w') as archive:
    for member, data in members.items():
      archive.writestr(member, data)
  seen = []
  monkeypatch.setattr(files._PassedOver, '__setstate__', lambda self, s: seen.append(s))
  assert load_state_dict(tmp_path / 'b.pth').keys() == {'a'}
  assert seen  # the dtype's
