"""Signals are noted, looked for, and end the process the second time."""

import os
import signal
import subprocess
import sys
import threading

import pytest

from gpz_jax import interruption


@pytest.mark.parametrize('number', interruption.SIGNALS)
def test_the_first_signal_is_noted_until_it_is_looked_for(number):
  before = signal.getsignal(number)
  with interruption.handled():
    interruption.check()
    assert not interruption.requested()
    os.kill(os.getpid(), number)
    assert interruption.requested()
    with pytest.raises(interruption.Interrupted, match=f'{number.name} received'):
      interruption.check()
  assert not interruption.requested()
  assert signal.getsignal(number) == before


@pytest.mark.parametrize(
  ('wait', 'status', 'output'),
  [(1.2, -signal.SIGTERM, 'noted\n'), (0.3, 0, 'noted\nstill here\n')],
)
def test_a_later_signal_ends_the_process_unless_it_follows_at_once(
  wait, status, output
):
  program = (
    'import os, signal, time\n'
    'from gpz_jax import interruption\n'
    'with interruption.handled():\n'
    '  os.kill(os.getpid(), signal.SIGUSR1)\n'
    '  print("noted", flush=True)\n'
    f'  time.sleep({wait})\n'
    '  os.kill(os.getpid(), signal.SIGTERM)\n'
    '  print("still here")\n'
  )
  done = subprocess.run(
    [sys.executable, '-c', program], capture_output=True, text=True, check=False
  )
  assert (done.returncode, done.stdout) == (status, output)


def test_elsewhere_than_in_the_main_thread_signals_are_left_alone():
  before, seen = signal.getsignal(signal.SIGTERM), []

  def look():
    with interruption.handled():
      seen.append(signal.getsignal(signal.SIGTERM))

  thread = threading.Thread(target=look)
  thread.start()
  thread.join()
  assert seen == [before]
