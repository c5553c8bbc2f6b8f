"""The peer: plain PyTorch in a separate process, which does one run at a time.

Between runs it waits on a pipe, so that each side has the machine to itself. The client
in this file does not import torch; `torch_peer` is the other end of the pipe.
"""

import contextlib
import importlib.util
import json
import subprocess
import sys
from typing import Any

from gpz_jax.types import InputError


class Peer:
  """A running torch process.

  Args:
    compile_models: Whether the peer compiles its models with torch.compile.
    clock: 'wall', or 'cpu' for the seconds that processors worked for it.
  """

  def __init__(self, compile_models: bool = False, clock: str = 'wall'):
    if importlib.util.find_spec('torch') is None:
      raise InputError("--peer=torch needs PyTorch; pip install 'gpz_jax[torch]'")
    self._given = {'compile': compile_models, 'clock': clock}
    self._process = subprocess.Popen(
      [sys.executable, '-m', 'gpz_jax.commands.benchmarks.torch_peer'],
      stdin=subprocess.PIPE,
      stdout=subprocess.PIPE,
      text=True,
      start_new_session=True,  # Ctrl-C must reach only this process
    )

  def seconds(self, **request: Any) -> dict[str, Any]:
    """Returns the seconds per step of one timed run, and how they were computed.

    Args:
      **request: What to run; `torch_peer` lists the fields.
    """
    stdin, stdout = self._process.stdin, self._process.stdout
    assert stdin is not None
    assert stdout is not None
    line = ''
    with contextlib.suppress(BrokenPipeError):
      stdin.write(json.dumps({**request, **self._given}) + '\n')
      stdin.flush()
      line = stdout.readline()
    if not line:
      raise RuntimeError('the torch process ended; its message is above')
    return json.loads(line)

  def close(self) -> None:
    """Ends the process."""
    self._process.kill()
    with contextlib.suppress(BrokenPipeError), self._process:
      pass  # closes the pipes and waits
