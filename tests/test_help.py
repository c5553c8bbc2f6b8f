"""--help of the command users start with."""

import dataclasses
import subprocess
import sys

from gpz_jax.sweep import SweepConfig


def test_help_lists_every_field_and_succeeds():
  done = subprocess.run(
    [sys.executable, '-m', 'experiments.sweep', '--help'],
    capture_output=True,
    text=True,
    check=False,
  )
  assert done.returncode == 0
  for field in dataclasses.fields(SweepConfig):
    assert f'--{field.name}:' in done.stdout or f'--[no]{field.name}:' in done.stdout
