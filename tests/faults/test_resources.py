"""What a sweep needs and does not get: data, a place to write, room on the disk."""

import errno
import os
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest
import tiny
from faults import harness
from made_up import make_rows
from PIL import Image

from gpz_jax import results, sweep
from gpz_jax.attacks.activation import interception
from gpz_jax.study import locking
from gpz_jax.study import workdir as workdir_lib
from gpz_jax.study.workdir import Workdir
from gpz_jax.types import InputError

ROOT = pathlib.Path(__file__).parents[2]


def contents(folder):
  return {
    path.relative_to(folder): path.read_bytes()
    for path in folder.rglob('*')
    if path.is_file()
  }


def test_a_data_folder_that_vanished_and_came_back(tmp_path):
  images = tmp_path / 'images'
  rng = np.random.default_rng(0)
  for place in ('train/a', 'train/b', 'test/a', 'test/b'):
    (images / place).mkdir(parents=True)
    for i in range(12):
      pixels = rng.integers(0, 255, (16, 16, 3), np.uint8)
      Image.fromarray(pixels).save(images / place / f'{i}.png')
  config = tiny.sweep_config(tmp_path / 'run', dataset=f'folder:{images}')
  with Workdir(tmp_path / 'run').locked(print):
    Workdir(tmp_path / 'run').write_identity(config)
  rows = make_rows([0.01, 0.02])
  results.append_rows(tmp_path / 'run' / 'results.jsonl', rows)
  before = contents(tmp_path / 'run')
  images.rename(tmp_path / 'elsewhere')
  with pytest.raises(InputError, match='no images in'):
    sweep.run(config, quiet=True)
  assert contents(tmp_path / 'run') == before
  (tmp_path / 'elsewhere').rename(images)
  sweep.make_plan(config)
  assert len(Workdir(config.workdir).read_rows()) == len(rows)


def test_a_workdir_where_nothing_can_be_written():
  workdir = pathlib.Path('/proc/gpz_jax')  # where root cannot write either
  with (
    pytest.raises(InputError, match='--workdir=/proc/gpz_jax cannot be written'),
    Workdir(workdir).locked(print),
  ):
    pass


@pytest.mark.parametrize('number', [errno.ENOSPC, errno.EDQUOT, errno.EIO])
def test_a_full_disk_is_not_blamed_on_the_choice_of_the_folder(
  tmp_path, monkeypatch, number
):
  def write(path, value):
    raise OSError(number, os.strerror(number), str(path))

  monkeypatch.setattr(workdir_lib.atomic, 'write_json', write)
  with pytest.raises(OSError, match=os.strerror(number)):
    Workdir(tmp_path).write_identity(tiny.sweep_config(tmp_path))


def test_a_run_killed_before_its_config_was_there_can_be_repeated(tmp_path):
  config = tiny.sweep_config(tmp_path / 'run')
  with Workdir(tmp_path / 'run').locked(print):
    pass
  (tmp_path / 'run' / 'config.json.partial').write_text('{"alp')
  Workdir(config.workdir).check(config)
  assert Workdir(config.workdir).read_rows() == []
  (tmp_path / 'run' / 'holiday.jpg').touch()
  with pytest.raises(InputError, match='holds files but no config'):
    Workdir(config.workdir).check(config)


def test_a_file_system_without_locks_is_told_of(tmp_path, monkeypatch):
  def flock(file, how):
    raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))

  monkeypatch.setattr(locking.fcntl, 'flock', flock)
  said = []
  with Workdir(tmp_path).locked(said.append):
    pass
  assert len(said) == 1
  assert 'cannot be locked (Operation not supported)' in said[0]


def limited(size: int, program: str) -> subprocess.CompletedProcess:
  """Runs a program that may write files of `size` bytes, and no larger ones."""
  limit = f'import resource as r; r.setrlimit(r.RLIMIT_FSIZE, ({size}, -1))\n'
  return subprocess.run(
    [sys.executable, '-c', limit + program],
    cwd=ROOT,
    capture_output=True,
    text=True,
    check=False,
  )


def test_activations_that_do_not_fit_the_disk_do_not_crash_later(tmp_path):
  """Mapped into memory, they would end the process without a word (SIGBUS)."""
  done = limited(
    100_000,
    'import pathlib\n'
    'from gpz_jax.attacks.activation import interception\n'
    f'path = pathlib.Path({str(tmp_path)!r}) / "aux.npy"\n'
    'try:\n'
    '  interception._make_store((2, 100, 64, 4), "float32", "disk", path)\n'
    'except OSError as error:\n'
    '  print(error.strerror)\n',
  )
  assert done.stdout == 'File too large\n', done.stderr
  store = interception._make_store(
    (2, 3), np.dtype('float32'), 'disk', tmp_path / 'a.npy'
  )
  store[:] = 1
  assert np.load(tmp_path / 'a.npy').sum() == 6


def test_rows_that_do_not_fit_leave_none_of_their_wave(tmp_path):
  rows = make_rows([0.01, 0.02, 0.03])
  path = tmp_path / 'results.jsonl'
  results.append_rows(path, rows[:1])
  length = path.stat().st_size
  done = limited(
    int(2.5 * length),
    'from math import nan\n'
    'from gpz_jax import results\n'
    f'rows = {[dict(row) for row in rows[1:]]!r}\n'
    'try:\n'
    f'  results.append_rows({str(path)!r}, rows)\n'
    'except OSError as error:\n'
    '  print(error.strerror)\n',
  )
  assert done.stdout == 'File too large\n', done.stderr
  assert path.stat().st_size == length
  results.append_rows(path, rows[1:])
  assert len(results.read_rows(path)) == 3


def test_a_flipped_byte_in_the_table_of_results_is_noticed(tmp_path):
  path = tmp_path / 'results.parquet'
  rows = make_rows([0.01, 0.02])
  results.write_parquet(path, rows)
  data = path.read_bytes()
  noticed = 0
  for i in range(0, len(data), len(data) // 60):
    flipped = bytearray(data)
    flipped[i] ^= 4
    path.write_bytes(flipped)
    try:
      found = results.read_parquet(path)
    except InputError:
      noticed += 1
    else:
      assert found == rows  # no value hangs on that byte
  assert noticed > 30


@pytest.fixture(scope='module')
def undisturbed(tmp_path_factory):
  workdir = tmp_path_factory.mktemp('undisturbed') / 'run'
  run = harness.sweep(workdir)
  assert run.finish() == 0, run.error
  return workdir


def mounted(folder, mount: str, *commands: str) -> subprocess.CompletedProcess:
  """Runs commands where `mount` was run, in a namespace of their own; prints statuses.

  Skips where namespaces are not to be had.
  """
  folder.mkdir(exist_ok=True)
  script = '\n'.join(f'{command}; echo status $?' for command in commands)
  inside = f'{mount} || exit 99\n{script}'
  done = subprocess.run(
    ['unshare', '-rm', 'sh', '-c', inside],
    cwd=ROOT,
    env=os.environ | harness.ENVIRONMENT | {'PYTHONPATH': str(ROOT / 'tests')},
    capture_output=True,
    text=True,
    check=False,
  )
  if done.returncode == 99 or 'unshare' in done.stderr:
    pytest.skip(f'no mounts of our own: {done.stderr}')
  return done


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which('unshare'), reason='unshare is of Linux')
@pytest.mark.parametrize('kilobytes', [100, 250, 400, 550])  # of 656 in the end
def test_a_small_disk_that_is_made_larger(undisturbed, tmp_path, kilobytes):
  disk = tmp_path / 'disk'
  flags = ' '.join(f"'{flag}'" for flag in harness.flags(disk / 'run'))
  sweep_command = f'{sys.executable} -m experiments.sweep {flags}'
  done = mounted(
    disk,
    f'mount -t tmpfs -o size={kilobytes}k none {disk}',
    sweep_command,
    f'mount -o remount,size=64m {disk}',
    sweep_command,
    f'cp -r {disk}/run {tmp_path}/found',
  )
  statuses = [line for line in done.stdout.splitlines() if line.startswith('status')]
  assert statuses == ['status 74', *3 * ['status 0']], done.stderr
  assert done.stderr.startswith('sweep: the disk is full')
  assert done.stderr.count('\n') == 1
  found = harness.metrics(tmp_path / 'found')
  assert harness.differences(found, harness.metrics(undisturbed)) == []


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which('unshare'), reason='unshare is of Linux')
def test_a_read_only_workdir_can_be_verified_but_not_swept(undisturbed):
  flags = ' '.join(f"'{flag}'" for flag in harness.flags(undisturbed))
  done = mounted(
    undisturbed,
    f'mount --bind {undisturbed} {undisturbed} &&'
    f' mount -o remount,bind,ro {undisturbed}',
    f'{sys.executable} -m experiments.verify --workdir={undisturbed}',
    f'{sys.executable} -m experiments.sweep {flags}',
  )
  statuses = [line for line in done.stdout.splitlines() if line.startswith('status')]
  assert statuses == ['status 0', 'status 2'], done.stderr
  assert done.stderr == (
    f'sweep: --workdir={undisturbed} cannot be written: Read-only file system;'
    ' name another\n'
  )
