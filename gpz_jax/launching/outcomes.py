"""What becomes of a unit whose process has ended: the rule for every launcher.

`launch/unit.sh` holds the same rule for Slurm; a test compares the two.
"""

import pathlib
from typing import Literal

from gpz_jax import atomic

Outcome = Literal['done', 'again', 'later', 'failed']
RETRIES = 5
# Another process writes the workdir, the machine failed, the kernel killed it.
PASSING = (73, 74, 137)
# It saved and ended because a signal asked it to, or ended before it could note that.
INTERRUPTED = (75, 130, 138, 143)


def decide(status: int, retries: int, most: int = RETRIES) -> Outcome:
  """What is to be done after a process has ended.

  Args:
    status: Its exit status; negative where a signal ended it.
    retries: How often the unit was begun again because of a passing fault.
    most: How often that may be.

  Returns:
    `done`; `again` at once, because it was only interrupted; `later`, because what was
    wrong may pass; or `failed`.
  """
  status = 128 - status if status < 0 else status
  if status == 0:
    return 'done'
  if status in INTERRUPTED:
    return 'again'
  return 'later' if status in PASSING and retries < most else 'failed'


def read_number(path: pathlib.Path, default: int | None) -> int | None:
  """The number in a file; the default where there is none."""
  try:
    return int(path.read_text())
  except (OSError, ValueError):
    return default


def read_retries(folder: pathlib.Path) -> int:
  """How often a unit was begun again because of a passing fault."""
  return read_number(folder / 'retries', 0) or 0


def count_retry(folder: pathlib.Path) -> None:
  """Counts one more."""
  atomic.write_text(folder / 'retries', f'{read_retries(folder) + 1}\n')


def write_status(folder: pathlib.Path, status: int) -> None:
  """Notes how the last process of a unit ended."""
  atomic.write_text(folder / 'status', f'{status}\n')
