"""What the machine lacks is one line with the way out; what is ours is not hidden."""

import errno
import os
import pathlib
import subprocess
import sys
import types

import jax
import pytest
from absl import flags

from gpz_jax.commands import command, sweep
from gpz_jax.types import InputError

ROOT = pathlib.Path(__file__).parents[1]


def os_error(number, path='runs/x'):
  return OSError(number, os.strerror(number), path)


@pytest.mark.parametrize(
  ('error', 'message'),
  [
    (os_error(errno.ENOSPC), 'the disk is full'),
    (os_error(errno.EDQUOT), 'the disk is full'),
    (os_error(errno.EFBIG), 'the disk is full'),
    (
      ValueError('RESOURCE_EXHAUSTED: [errno 28: No space left]'),
      'the disk is full',
    ),
    (MemoryError(), 'out of memory'),
    (
      jax.errors.JaxRuntimeError('RESOURCE_EXHAUSTED: Out of memory allocating 9 b'),
      'out of memory',
    ),
    (os_error(errno.EIO), "Input/output error: 'runs/x'"),
    (os_error(errno.EACCES), "Permission denied: 'runs/x'"),
  ],
)
def test_failures_of_the_machine_are_one_line(error, message):
  found = command.explain_failure(error)
  assert message in found
  assert 'what is finished is kept' in found
  assert '\n' not in found
  assert len(found) < 400


@pytest.mark.parametrize('error', [ValueError('a bug'), KeyError('x'), RuntimeError()])
def test_other_errors_keep_their_traceback(error):
  assert command.explain_failure(error) is None


def test_only_reads_that_nobody_waits_for_go_unreported(monkeypatch):
  reported = []
  monkeypatch.setattr(command.sys, '__unraisablehook__', reported.append)
  closed, other = (
    types.SimpleNamespace(exc_value=RuntimeError(text))
    for text in ('Event loop is closed', 'something else')
  )
  command._report_unraisable(closed)
  command._report_unraisable(other)
  assert reported == [other]


def test_an_unwritable_home_leaves_one_line_for_a_refusal():
  """matplotlib would tell of it in three lines more."""
  environment = os.environ | {'HOME': '/proc/no_home'}
  for name in ('MPLCONFIGDIR', 'XDG_CONFIG_HOME', 'XDG_CACHE_HOME'):
    environment.pop(name, None)
  done = subprocess.run(
    [sys.executable, '-m', 'experiments.sweep', '--alphas=2'],
    cwd=ROOT,
    env=environment,
    capture_output=True,
    text=True,
    check=False,
  )
  assert done.returncode == 2
  assert done.stderr.startswith('sweep: --alphas=2.0 is not allowed')
  assert done.stderr.count('\n') == 1, done.stderr


@pytest.mark.parametrize(
  ('given', 'message'),
  [
    (('--attack=inversion', '--attack=rmle'), '--attack=inversion,rmle'),
    (('--seeds=0', '--model=cnn', '-seeds=1,2'), '--seeds=0,1,2'),
    (('--seeds', '0', '--seeds', '1'), '--seeds=0,1'),
    (('--seeds=0', '--flip', '--note', '--alphas=1', '--seeds', '1'), '--seeds=0,1'),
    (('--alphas', '-0.05', '--alphas=0'), '--alphas=-0.05,0'),
  ],
)
def test_a_list_that_is_given_twice_is_refused(given, message):
  """absl would keep the second one without a word."""
  values = flags.FlagValues()
  sweep.define_flags(values)
  with pytest.raises(InputError, match=f'is given twice; give one list, as {message}'):
    command.parse_flags(values, ['gpz-sweep', *given])


def test_a_list_replaces_that_of_a_flagfile(tmp_path):
  path = tmp_path / 'a.cfg'
  path.write_text('--seeds=0,1\n')
  values = flags.FlagValues()
  sweep.define_flags(values)
  command.parse_flags(values, ['gpz-sweep', f'--flagfile={path}', '--seeds=2'])
  assert values.seeds == '2'


def test_a_list_that_a_flagfile_gives_twice_is_refused(tmp_path):
  path, outer = tmp_path / 'a.cfg', tmp_path / 'b.cfg'
  path.write_text('# two\n--seeds=0\n --note=--seeds=3\n--seeds=1\n')
  outer.write_text(f'--flagfile={path}\n--flagfile={outer}\n')
  for argv in ([f'--flagfile={path}'], ['--flagfile', str(outer)]):
    values = flags.FlagValues()
    sweep.define_flags(values)
    message = f'--seeds is given twice in {path}; give one list, as --seeds=0,1'
    with pytest.raises(InputError, match=message):
      command.parse_flags(values, ['gpz-sweep', *argv])


def test_one_flagfile_replaces_a_list_of_another(tmp_path):
  path, outer = tmp_path / 'a.cfg', tmp_path / 'b.cfg'
  path.write_text('--seeds=0,1\n')
  outer.write_text(f'--flagfile={path}\n--seeds=2\n')
  values = flags.FlagValues()
  sweep.define_flags(values)
  command.parse_flags(values, ['gpz-sweep', f'--flagfile={outer}', '--seeds', '3'])
  assert values.seeds == '3'


def test_a_flagfile_that_is_a_pipe_is_read_once():
  reader, writer = os.pipe()
  os.write(writer, b'--seeds=4\n')
  os.close(writer)
  values = flags.FlagValues()
  sweep.define_flags(values)
  command.parse_flags(values, ['gpz-sweep', f'--flagfile=/dev/fd/{reader}'])
  os.close(reader)
  assert values.seeds == '4'
