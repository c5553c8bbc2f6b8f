"""Becomes a command that runs on some cores and is told to end with its parent.

  python pinned.py PARENT CORES COMMAND...

It is a program of its own, because a process that has imported JAX must not fork.
"""

import ctypes
import os
import signal
import sys

DIE_WITH_PARENT = 1  # Linux: PR_SET_PDEATHSIG
AGAIN = 75


def main(parent: str, cores: str, *command: str) -> None:
  """Pins this process to cores, as 0,1 or '' for all, and becomes the command."""
  if sys.platform == 'linux':
    ctypes.CDLL(None).prctl(DIE_WITH_PARENT, int(signal.SIGTERM))
    if cores:
      os.sched_setaffinity(0, map(int, cores.split(',')))
  if os.getppid() != int(parent):
    sys.exit(AGAIN)  # it is gone already
  os.execv(command[0], command)


if __name__ == '__main__':
  main(*sys.argv[1:])
