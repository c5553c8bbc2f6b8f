"""Files of PyTorch weights, judged by their content and read without running code."""

# pyright: reportMissingImports=false, reportAttributeAccessIssue=false
# (torch is optional: lint must pass without)

import os
import pathlib
import pickle
import re
import warnings
import zipfile
from typing import Any

import numpy as np
import safetensors.numpy

from gpz_jax.types import InputError, first_line

# Endings that decide where the content does not show what a file is.
TORCH_ENDINGS = ('.pth', '.pt', '.bin', '.ckpt', '.th', '.tar')
# A state dict lies in a training script's dictionary, or in one within that.
_DEEPEST = 3


# What a pickle names for a NumPy value, before NumPy 2 and since.
_NUMPY = (
  *('numpy.core.multiarray.scalar', 'numpy._core.multiarray.scalar'),
  *('numpy.core.multiarray._reconstruct', 'numpy._core.multiarray._reconstruct'),
  *('numpy.dtype', 'numpy.ndarray'),
)


class _PassedOver:
  """Stands for a NumPy value beside the weights, such as an accuracy.

  NumPy's own constructors are not called: what they make of a crafted file is not safe.
  """

  def __init__(self, *arguments: Any):
    del arguments

  def __setstate__(self, state: Any) -> None:
    del state


def load_state_dict(path: str | pathlib.Path) -> dict[str, np.ndarray]:
  """Reads a torch state dict; nothing in the file is ever run.

  Args:
    path: File of safetensors or of torch.save, whatever its ending: the state dict
      itself, or a dictionary that holds exactly one, under any name.

  NumPy's numbers and arrays beside the tensors are passed over.

  Returns:
    Name -> array, in torch's layout; floating-point numbers as float32.

  Raises:
    InputError: There is no such file, its format is another, it is damaged, it holds
      more than tensors and plain values, it holds no state dict or several, or nothing
      is installed to read it with.
  """
  path = pathlib.Path(path)
  if not os.path.isfile(path):
    raise InputError(f"weights '{path}': no such file; give the path of one")
  form = _recognize(path)
  if form == 'safetensors':
    return _read_safetensors(path)
  if form == 'torch':
    return _read_torch(path)
  if form == 'torchscript':
    raise InputError(
      f"weights '{path}' are a TorchScript program, which could run code; save"
      ' torch.jit.load(FILE).state_dict() with torch.save'
    )
  raise InputError(
    f"weights '{path}': the format '{path.suffix}' is not known; give a file of"
    ' safetensors or of torch.save (.safetensors, .pth, .pt, .bin, .ckpt, .th)'
  )


def _recognize(path: pathlib.Path) -> str | None:
  """'safetensors', 'torch' or 'torchscript'; None where nothing tells."""
  try:
    with path.open('rb') as file:
      head = file.read(9)
  except OSError as error:
    raise _unreadable(path, error) from None
  if head[8:] == b'{' and int.from_bytes(head[:8], 'little') < path.stat().st_size:
    return 'safetensors'
  if head[:2] == b'PK':
    try:
      with zipfile.ZipFile(path) as archive:
        members = {name.rpartition('/')[2] for name in archive.namelist()}
    except Exception:  # a damaged archive fails in many ways; torch says how
      members = set()
    if 'constants.pkl' in members:
      return 'torchscript'
    if 'data.pkl' in members:
      return 'torch'
  elif head[:1] == b'\x80':  # a pickle, as torch wrote before 1.6
    return 'torch'
  if path.suffix == '.safetensors':
    return 'safetensors'
  return 'torch' if path.suffix in TORCH_ENDINGS else None


def _read_safetensors(path: pathlib.Path) -> dict[str, np.ndarray]:
  try:
    arrays = safetensors.numpy.load_file(path)
  except Exception as error:  # a damaged file fails in many ways
    if 'float8' in str(error):
      raise _float8(path) from None
    raise _unreadable(path, error) from None
  if any('float8' in str(array.dtype) for array in arrays.values()):
    raise _float8(path)
  return {
    name: array.astype(np.float32) if array.dtype.kind in 'fV' else array
    for name, array in arrays.items()
  }


def _read_torch(path: pathlib.Path) -> dict[str, np.ndarray]:
  try:
    import torch
  except ImportError:
    raise InputError(
      f"weights '{path}' need torch: pip install torch, or convert to .safetensors"
    ) from None
  # Before 2.6 a crafted file could run code in spite of weights_only (CVE-2025-32434).
  if tuple(map(int, torch.__version__.split('.')[:2])) < (2, 6):
    raise InputError(
      f"weights '{path}' need torch 2.6 or later to be read safely, found"
      f' {torch.__version__}; upgrade torch or convert to .safetensors'
    )
  state_dict = _one_state_dict(path, _load_safely(path))
  if any('float8' in str(tensor.dtype) for tensor in state_dict.values()):
    raise _float8(path)
  try:
    return {
      name: (tensor.float() if tensor.is_floating_point() else tensor).detach().numpy()
      for name, tensor in state_dict.items()
    }
  except Exception as error:  # sparse, quantised, without data, ...
    raise _unreadable(path, error) from None


def _load_safely(path: pathlib.Path) -> Any:
  """What torch.save wrote, if it is tensors and plain values."""
  import torch

  try:
    passed_over: list[Any] = [(_PassedOver, name) for name in _NUMPY]
    with warnings.catch_warnings(), torch.serialization.safe_globals(passed_over):
      # torch's own words on a file would stand beside our one line
      warnings.simplefilter('ignore')
      return torch.load(path, map_location='cpu', weights_only=True)
  except Exception as error:  # likewise
    # torch's message advises to switch the safety off: it is never passed on
    if not isinstance(error, pickle.UnpicklingError) and 'weights_only' not in str(
      error
    ):
      raise _unreadable(path, error) from None
    found = re.search(r'GLOBAL ([\w.]{1,100})', str(error))
    raise InputError(
      f"weights '{path}' hold more than tensors{f' ({found[1]})' if found else ''} and"
      ' were refused, for such a file can run code; save model.state_dict() alone'
    ) from None


def _one_state_dict(path: pathlib.Path, content: Any) -> dict[str, Any]:
  """The state dict that the content is or holds.

  Raises:
    InputError: It holds none, or several.
  """
  found = _find_state_dicts(content, '', _DEEPEST)
  if not found:
    raise InputError(f"weights '{path}' are no state dict; save model.state_dict()")
  if len(found) > 1:
    places = ', '.join(f"'{place[:60]}'" for place in list(found)[:6])
    raise InputError(
      f"weights '{path}' hold {len(found)} state dicts ({places}); save the one to"
      ' attack in a file of its own'
    )
  return next(iter(found.values()))


def _find_state_dicts(content: Any, place: str, depth: int) -> dict[str, Any]:
  """Place -> state dict, such as 'checkpoint/net'; what an optimiser keeps is none."""
  import torch

  if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
    return {}
  values = list(content.values())
  # Scores can be tensors as well, but are single numbers.
  if all(map(torch.is_tensor, values)) and any(tensor.dim() for tensor in values):
    return {place: content}
  found = {}
  for key, value in content.items() if depth else ():
    if 'optim' not in key.lower():
      inner = f'{place}/{key}' if place else key
      found |= _find_state_dicts(value, inner, depth - 1)
  return found


def _float8(path: pathlib.Path) -> InputError:
  return InputError(
    f"weights '{path}' hold float8 numbers, which mean nothing without their scales;"
    ' save them as float32'
  )


def _unreadable(path: pathlib.Path, error: Exception) -> InputError:
  return InputError(
    f"weights '{path}' cannot be read ({first_line(error)[:300]}); save"
    ' model.state_dict() again'
  )
