"""Nobody has to read what a command prints while it works."""

import os
import pathlib
import subprocess
import sys
import threading

import pytest
from faults import harness
from forked import Run

from gpz_jax import results
from gpz_jax.commands import streams

ROOT = pathlib.Path(__file__).parents[2]


def read_one_line() -> None:
  """What `2>&1 | head -1` does to a process: its pipe has a reader for one line."""
  reading, writing = os.pipe()
  os.dup2(writing, 1)
  os.dup2(writing, 2)
  os.close(writing)

  def read() -> None:
    while os.read(reading, 1) not in (b'\n', b''):
      pass
    os.close(reading)

  threading.Thread(target=read).start()


def close_all() -> None:
  """What `<&- >&- 2>&-` does to a process."""
  for number in range(3):
    os.close(number)
  sys.stdin = sys.stdout = sys.stderr = None


@pytest.mark.ci
@pytest.mark.parametrize('prepare', [read_one_line, close_all])
def test_a_sweep_without_a_reader_finishes(tmp_path, prepare):
  run = harness.sweep(tmp_path / 'run', prepare, alphas='0', target_epochs=2)
  assert run.finish() == 0
  rows = results.read_parquet(tmp_path / 'run' / 'results.parquet')
  assert len(rows) == 2
  assert (tmp_path / 'run' / 'report' / 'index.html').exists()
  # No descriptor of the closed streams was given to a file of the sweep.
  lock = (tmp_path / 'run' / 'lock').read_text()
  assert lock.startswith('process ')
  assert lock.count('\n') == 1


@pytest.mark.parametrize('prepare', [read_one_line, close_all])
def test_a_refusal_without_a_reader_keeps_its_status(tmp_path, prepare):
  flags = [f'--workdir={tmp_path / "run"}', '--alphas=2']
  run = Run('sweep', flags, tmp_path, harness.ENVIRONMENT, prepare)
  assert run.finish() == 2


def test_closed_descriptors_are_not_given_to_files():
  program = (
    'import os\n'
    'from gpz_jax.commands import streams\n'
    'streams.open_closed()\n'
    'number = os.open("/", os.O_RDONLY)\n'
    'links = [os.readlink(f"/proc/self/fd/{i}") for i in range(3)]\n'
    'os._exit(number if links == 3 * [os.devnull] else 0)\n'
  )
  closing = '"$@" <&- >&- 2>&-'
  done = subprocess.run(
    ['sh', '-c', closing, 'sh', sys.executable, '-c', program], cwd=ROOT, check=False
  )
  assert done.returncode == 3


def test_what_nobody_reads_is_dropped(monkeypatch):
  reading, writing = os.pipe()
  os.close(reading)
  with os.fdopen(writing, 'w') as pipe:
    monkeypatch.setattr(sys, 'stdout', pipe)
    streams.outlive_readers()
    for _ in range(2):
      print('nobody reads this', flush=True)
    assert os.readlink(f'/proc/self/fd/{writing}') == os.devnull


def test_other_failures_are_not_hidden():
  full = os.open('/dev/full', os.O_WRONLY)
  with (
    streams._Output(full, 'w') as output,
    pytest.raises(OSError, match='No space left'),
  ):
    output.write(b'x')
