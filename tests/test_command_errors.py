"""What the machine lacks is one line with the way out; what is ours is not hidden."""

import errno
import os
import types

import jax
import pytest

from gpz_jax.commands import command


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
